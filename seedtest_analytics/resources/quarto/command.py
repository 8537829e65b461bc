"""The Quarto CLI: one ``quarto render`` per report, in a temporary copy of the template."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from seedtest_analytics.resources.quarto.data_file import DATA_VARIABLE, private_data_file
from seedtest_analytics.resources.quarto.errors import CellError
from seedtest_analytics.reporting.language import SOURCE_LANGUAGE, known_language, say, speaking
from seedtest_analytics.resources.quarto.template import front_matter, template_files
from seedtest_analytics.scratch import scratch_folder

OUTPUT_FILE = "report.html"


def render_with_quarto(executable: str, folder: Path, *, main: str, document: bytes) -> bytes:
    """A page of one document; raises :class:`CellError`.

    The error omits the command's output, because a traceback in it may quote the student's data.
    """
    with (
        scratch_folder("quarto") as copy,
        private_data_file(document) as data,
    ):
        for path in template_files(folder):
            shutil.copyfile(path, copy / path.name)
        command = [executable, "render", main, "--to", "html", "--output", OUTPUT_FILE]
        command += ["--no-execute-daemon", "--quiet", *_spoken(folder / main, document)]
        environment = {**os.environ, DATA_VARIABLE: str(data), "QUARTO_PYTHON": sys.executable}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, stdin=subprocess.DEVNULL)
        output = copy / OUTPUT_FILE
        if done.returncode != 0 or not output.is_file():
            raise CellError(
                f"quarto render {main} ended with status {done.returncode} and wrote "
                f"{'a' if output.is_file() else 'no'} {OUTPUT_FILE}; use the embedded renderer to see which cell fails"
            )
        return output.read_bytes()


def _spoken(main: Path, document: bytes) -> list[str]:
    """Title and language of the page as metadata."""
    code = known_language(json.loads(document).get("language"), SOURCE_LANGUAGE)
    options, _ = front_matter(main.read_text(encoding="utf-8"), main.name)
    with speaking(code):
        title = say(str(options.get("title", "")))
    return ["--metadata", f"title={title}", "--metadata", f"lang={code}"]
