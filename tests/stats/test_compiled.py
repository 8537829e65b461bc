"""A compiled kernel follows every source that it is made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from seedtest_analytics.stats import compiled

PACKAGE = Path(compiled.__file__).parents[1]
PROGRAM = """
import sys
from pathlib import Path

import pytest
sys.path.insert(0, {folder!r})
from seedtest_analytics.stats import compiled
compiled._PACKAGE = Path({folder!r}) / "made"
from made.outer import outer
print(outer(1.0))
"""


def run(folder: Path) -> float:
    program = PROGRAM.format(folder=str(folder))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_a_kernel_is_compiled_again_when_a_module_that_it_uses_changes(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "__init__.py").touch()
    (made / "constants.py").write_text("STEP = 10.0\n")
    header = "from seedtest_analytics.stats.compiled import njit\n"
    (made / "inner.py").write_text(
        f"{header}from made.constants import STEP\n\n@njit(cache=True)\ndef inner(x):\n    return x + STEP\n"
    )
    (made / "outer.py").write_text(
        f"{header}from made.inner import inner\n\n@njit(cache=True)\ndef outer(x):\n    return 2.0 * inner(x)\n"
    )
    assert run(tmp_path) == 22.0
    kept = {path: path.stat().st_mtime_ns for path in (made / "__pycache__").glob("*.nb?")}
    assert len(kept) == 4
    assert run(tmp_path) == 22.0
    assert {path: path.stat().st_mtime_ns for path in (made / "__pycache__").glob("*.nb?")} == kept
    (made / "constants.py").write_text("STEP = 20.0\n")
    assert run(tmp_path) == 42.0
    (made / "inner.py").write_text((made / "inner.py").read_text().replace("x + STEP", "x - STEP"))
    assert run(tmp_path) == -38.0


def test_every_kernel_of_the_package_is_kept_in_this_way() -> None:
    direct = re.compile(r"^\s*(from numba\b(?! import prange$)|import numba\b)", flags=re.MULTILINE)
    found = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if direct.search(path.read_text())]
    assert found == ["stats/compiled.py"]


def test_the_sources_of_a_kernel_are_those_that_it_imports_directly_and_through_others() -> None:
    found = compiled.imported_sources(PACKAGE / "stats" / "ability" / "smoother_kernels.py")
    names = {path.relative_to(PACKAGE / "stats").as_posix() for path in found}
    assert {"ability/posterior_kernels.py", "ability/matrix_kernels.py", "irt/kernels.py", "compiled.py"} <= names
    assert "survival/churn.py" not in names


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.int8])
def test_a_kernel_asks_for_a_place_before_it_needs_it_and_no_number_changes(dtype: type) -> None:
    @numba.njit
    def total(values, places):  # type: ignore[no-untyped-def]
        found = 0.0
        for n in range(len(places)):
            compiled.ask_for(values, places[min(n + 2, len(places) - 1)])
            found += values[places[n]]
        return found

    values = np.arange(100).astype(dtype)
    assert total(values[::3], np.array([4, 0, 33])) == 3 * (4 + 0 + 33)
    assert total(values[:0], np.array([], dtype=np.int64)) == 0.0
    assert all("call void @llvm.prefetch" in code for code in total.inspect_llvm().values())


ENGINES = """
import numpy as np
from seedtest_analytics.stats import warm_up
from seedtest_analytics.stats.ability import filtering, smoothing
from seedtest_analytics.stats.growth import laplace
from seedtest_analytics.stats.irt import estimation, scoring

def shown(module, name, value_of):
    engine = getattr(module, name)

    def told(*arguments, **options):
        result = engine(*arguments, **options)
        print(name, np.asarray(value_of(result), dtype=float).tobytes().hex())
        return result

    setattr(module, name, told)

shown(estimation, "calibrate", lambda found: found.parameters.a)
shown(scoring, "score", lambda found: found.theta)
shown(filtering, "gather_evidence", lambda found: found.item_shift)
shown(smoothing, "smooth", lambda found: found.levels.level)
shown(laplace, "fit_laplace", lambda found: np.concatenate(list(found.parameters.values())))
warm_up.{engine}()
"""


@pytest.mark.long
@pytest.mark.parametrize("engine", ["calibration", "ability", "growth"])
def test_a_process_that_compiles_gives_the_same_digits_as_one_that_reads_the_cache(engine: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    told = []
    for _ in range(2):
        program = ENGINES.format(engine=engine)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        told.append(done.stdout)
    assert told[0].count("\n") >= 1
    assert told[0] == told[1]
