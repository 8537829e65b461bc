"""`seedtest health` over a home in which nothing has run yet."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from seedtest_analytics.cli.app import app


@pytest.mark.long
def test_it_prints_every_asset_and_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtest_analytics.cli.health.use_instance", lambda: None)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    page = tmp_path / "health.html"
    result = CliRunner().invoke(app, ["--home", str(tmp_path), "health", "--page", str(page)])
    assert result.exit_code == 0, result.output
    assert "survival_fit_meta: never\n" in result.output
    assert result.output.endswith(f"next: seedtest --home {tmp_path} materialize   computes them\n")
    assert "survival&#95;fit&#95;meta" in page.read_text(encoding="utf-8")


@pytest.mark.long
def test_a_failed_asset_is_named_with_its_repair_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"asset": "a", "state": "failed", "last_success_at": None, "row_count": None, "failed_checks": {}}
    rows = [{**row, "failed_partitions": ["2026-03-02"], "repair": "seedtest run compute_daily_kpis 2026-03-02"}]
    monkeypatch.setattr("seedtest_analytics.cli.health.use_instance", lambda: None)
    monkeypatch.setattr("seedtest_analytics.cli.health.health_rows", lambda now: rows)
    result = CliRunner().invoke(app, ["--home", str(tmp_path), "health"])
    assert result.exit_code == 1
    assert result.output == (
        "a: failed, failed partitions 2026-03-02\n"
        f"  seedtest --home {tmp_path} run compute_daily_kpis 2026-03-02\n"
        f"next: repair what is failed or stale, then seedtest --home {tmp_path} health again\n"
    )
