"""What a report is made from, as a digest: while it is the same and the files are stored, the report is not made again.

The digest covers the student's document (data, language, names), the code of the pages with template and catalogues, the
libraries that make them, and the settings: which pages, which formats, which renderer, and how objects are encrypted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from itertools import islice

from seedtest_analytics.assets.framework.code_version import Code
from seedtest_analytics.assets.report_documents import StudentReport
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError
from seedtest_analytics.resources.store.keys import ReportKey
from seedtest_analytics.resources.store.uploads import Uploads
from seedtest_analytics.settings import ReportSettings, StorageSettings

LIBRARIES = ("babel", "koreanize-matplotlib", "matplotlib", "pypandoc-binary", "typst")
"""Libraries whose release may change a page's bytes."""
MAKERS = (
    ("seedtest_analytics.assets.report_documents", "note_of"),
    ("seedtest_analytics.resources.quarto.worker", "renderer"),
)
"""Functions whose code turns a document into files and into what is recorded of it."""
_LOOKS_AT_ONCE = 64
_THREADS = 8
_FAILED_LOOKS = 3
"""After this many questions that the store does not answer, reports are made again without asking."""


@lru_cache(maxsize=1)
def page_version() -> str:
    """Version of what turns a document into files: code, template, catalogues and libraries."""
    code = Code()
    parts = [code.hash_of(module, name) for module, name in MAKERS] + [version(name) for name in LIBRARIES]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Inputs:
    """What all reports of a run are made from."""

    renderer: str
    settings: ReportSettings
    storage: StorageSettings
    version: str = field(default_factory=page_version)

    def digest(self, document: ReportDocument) -> str:
        """Digest of everything that one student's report is made from, hexadecimal."""
        settings = (
            self.version,
            self.renderer,
            self.settings.pages,
            self.settings.formats,
            self.storage.s3_encryption,
            self.storage.s3_kms_key_id,
        )
        return hashlib.sha256(json.dumps(settings).encode() + b"\0" + document.to_json()).hexdigest()

    def keys(self, document: ReportDocument) -> list[ReportKey]:
        """The files of a student's report."""
        user, week = document.user_id, document.week_start
        reports = [ReportKey(user, week, format="pdf" if one == "pdf" else "html") for one in self.settings.formats]
        return reports + ([ReportKey(user, week, name="teacher")] if "teacher" in self.settings.pages else [])


class Unchanged:
    """Passes on the reports that must be made, and counts the others; asks the store about each in threads."""

    def __init__(self, inputs: Inputs, store: ObjectStore, *, uploads: Uploads, dry: bool) -> None:
        self.users: list[str] = []
        """Students whose report is stored as it would be made."""
        self._inputs, self._store, self._uploads, self._dry = inputs, store, uploads, dry
        self._failed_looks = 0

    def changed(self, found: Iterable[StudentReport]) -> Iterator[tuple[ReportDocument, str]]:
        """The documents to render, each with the digest of its inputs."""
        waiting = iter(found)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="look") as pool:
            while some := list(islice(waiting, _LOOKS_AT_ONCE)):
                digests = [self._inputs.digest(one.document) for one in some]
                for one, digest, is_stored in zip(some, digests, pool.map(self._is_stored, some, digests), strict=True):
                    if is_stored:
                        self.users.append(one.document.user_id)
                    else:
                        yield one.document, digest

    def _is_stored(self, report: StudentReport, digest: str) -> bool:
        """Every file of the report was made from the same inputs, and the store has it."""
        recorded = {(file.name, file.format): file for file in report.files}
        for key in self._inputs.keys(report.document):
            file = recorded.get((key.name, key.format))
            if file is None or file.inputs != digest or file.url != self._store.url(key):
                return False
            if not self._has(key, file.sha256):
                return False
        return True

    def _has(self, key: ReportKey, sha256: str) -> bool:
        if self._failed_looks >= _FAILED_LOOKS:
            return False
        try:
            return self._store.digest(key) == sha256 if self._dry else self._uploads.holds(key, sha256)
        except ObjectStoreError as error:
            self._failed_looks += _FAILED_LOOKS if error.is_for_all else 1
            return False
