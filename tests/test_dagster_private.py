"""Dagster's private modules are imported in one module only."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
EXEMPT = {ROOT / "seedtest_analytics" / "dagster_private.py", Path(__file__)}


def test_only_one_module_names_private_modules_of_dagster() -> None:
    folders = [ROOT / name for name in ("seedtest_analytics", "tests", "benchmarks", "scripts")]
    sources = {path for folder in folders for path in folder.rglob("*.py")} - EXEMPT
    assert len(sources) > 200
    assert [str(path.relative_to(ROOT)) for path in sources if "dagster._" in path.read_text()] == []
