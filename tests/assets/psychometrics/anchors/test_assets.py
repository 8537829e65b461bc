"""Anchors: criteria that fail, the choice, the tag, and parameters written back."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from sqlalchemy import Engine
from typer.testing import CliRunner

from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.psychometrics.anchors.week import judge_candidates
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.cli.app import app
from seedtest_analytics.settings import CalibrationSettings, Settings
from tests._database import execute, rows_of, snapshot
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(24, seed=5)
THETA = np.random.default_rng(6).normal(0.0, 1.0, 400)
SETTINGS = CalibrationSettings(lookback_days=7)
ALERT = (
    "INSERT INTO drift_alerts (item_id, window_id, metric, value, threshold, severity, run_id) "
    "VALUES (:item, 1, 'delta_b', 1, 0.25, 'severe', 'r')"
)
UNTAG = "UPDATE question SET meta = '{}'"
META = "SELECT id, meta FROM question ORDER BY id"


def calibrated(engine: Engine, number: int, **changes: Any) -> None:
    settings = SETTINGS.overridden_by(changes)
    outcomes_of(engine, week(number), compute=calibrate_week, settings=Settings(calibration=settings), is_dry_run=False)


def judged(engine: Engine, number: int) -> Outcome:
    return outcomes_of(engine, week(number), compute=judge_candidates, is_dry_run=False)[0]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of the test do not read the settings kept in the home of this checkout."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["tag-anchors", *arguments], env={"COLUMNS": "200"})


def tagged(engine: Engine) -> set[str]:
    query = "SELECT id FROM question WHERE meta -> 'tags' @> '[\"anchor\"]'"
    return {str(row["id"]) for row in rows_of(engine, query)}


@pytest.fixture
def two_weeks(database: Engine) -> Engine:
    """Two calibrated weeks; item 3 has moved by 1.6 between them."""
    BANK.store(database)
    store_answers(database, BANK, week(0), THETA, seed=7)
    store_answers(database, BANK.moved({3: 1.6}), week(1), THETA, seed=8, prefix="v")
    calibrated(database, 0)
    calibrated(database, 1)
    return database


def test_one_calibration_proves_no_stability(two_weeks: Engine) -> None:
    outcome = judged(two_weeks, 0)
    assert not outcome.checks[0].is_passed
    rows = rows_of(two_weeks, "SELECT * FROM anchor_candidates")
    assert len(rows) == 24
    assert not any(row["is_stable"] for row in rows)
    assert {row["rank"] for row in rows} == {None}


def test_an_item_that_moved_is_not_stable_and_the_rest_is_chosen_and_tagged(
    two_weeks: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(two_weeks, 1).checks[0].is_passed
    rows = {row["item_id"]: row for row in rows_of(two_weeks, "SELECT * FROM anchor_candidates")}
    assert not rows["3"]["is_stable"]
    assert "difficulty moved by" in rows["3"]["reason"]
    assert rows["3"]["rank"] is None
    chosen = {item for item, row in rows.items() if row["rank"] is not None}
    assert len(chosen) > 12
    for item in chosen:
        row = rows[item]
        assert row["n_responses"] >= 100
        assert -2 <= row["b"] <= 2
        assert row["a"] >= 0.5
        assert row["n_calibrations"] == 2

    monkeypatch.setenv("DATABASE_URL", two_weeks.url.render_as_string(hide_password=False))
    before = snapshot(two_weeks, "question")
    assert command("--dry-run").exit_code == 0
    monkeypatch.setenv("DRY_RUN", "true")
    assert "would be tagged" in command("tag").output
    monkeypatch.delenv("DRY_RUN")
    assert snapshot(two_weeks, "question") == before

    alerted = min(chosen, key=int)
    execute(two_weeks, ALERT, {"item": int(alerted)})
    assert command().exit_code == 0
    assert tagged(two_weeks) == chosen - {alerted}
    for item, meta in {str(r["id"]): r["meta"] for r in rows_of(two_weeks, META)}.items():
        if item in chosen - {alerted}:
            assert meta["tags"] == ["anchor"]
            assert meta["author"] == "kim"
            assert meta["irt"]["b"] == pytest.approx(rows[item]["b"])
            assert meta["irt"]["version"] == rows[item]["run_id"]
    before = snapshot(two_weeks, "question")
    again = command()
    assert again.exit_code == 0
    assert "already anchors" in again.output
    assert snapshot(two_weeks, "question") == before
    # The asset sees the alert as the command does.
    judged(two_weeks, 1)
    (row,) = rows_of(two_weeks, "SELECT reason FROM anchor_candidates WHERE item_id = :i", i=alerted)
    assert row["reason"] == "flagged: open alert of drift (delta_b)"


def test_the_options_are_the_criteria(two_weeks: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", two_weeks.url.render_as_string(hide_password=False))
    judged(two_weeks, 1)
    rows = rows_of(two_weeks, "SELECT item_id, a, b FROM anchor_candidates WHERE reason IS NULL")
    assert command("--max-candidates", "4").exit_code == 0
    assert len(tagged(two_weeks)) == 4
    execute(two_weeks, UNTAG)
    assert command("--difficulty-min", "0", "--difficulty-max", "1", "--discrimination-min", "0.9").exit_code == 0
    assert tagged(two_weeks) == {r["item_id"] for r in rows if 0 <= r["b"] <= 1 and r["a"] >= 0.9}
    execute(two_weeks, UNTAG)
    named = command("tag", "--item-ids", "3,7,99")
    assert named.exit_code == 0
    assert tagged(two_weeks) == {"7"}
    assert "3: flagged: not on the scale: difficulty moved" in named.output
    assert "99: not in the calibration" in named.output
    execute(two_weeks, UNTAG)
    none = command("--min-responses", "1000000")
    assert none.exit_code == 1
    assert "fewer than 1000000 answers: 24" in none.output
    assert tagged(two_weeks) == set()
    assert command("--difficulty-min", "2", "--difficulty-max", "1").exit_code == 2
    assert command("--item-ids", "7,x").exit_code == 2


def test_verify_says_which_anchors_fail_and_why_and_writes_nothing(
    two_weeks: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", two_weeks.url.render_as_string(hide_password=False))
    assert "no item is tagged" in command("verify").output
    assert command("verify").exit_code == 1
    assert command("tag", "--item-ids", "7,8,9,10,11,12").exit_code == 0
    execute(
        two_weeks,
        "INSERT INTO question (id, content, meta) VALUES (900, 'x', '{\"tags\": [\"anchor\"]}'), "
        '(901, \'x\', \'{"tags": ["anchor"], "irt": {"a": 1, "b": 0}}\')',
    )
    execute(two_weeks, ALERT, {"item": 8})
    # A third week fixes the anchors; item 9 has moved, so it is estimated again and named.
    store_answers(two_weeks, BANK.moved({9: 1.5}), week(2), THETA, seed=9, prefix="w")
    calibrated(two_weeks, 2)
    before = snapshot(two_weeks, "question")
    shown = command("verify")
    assert shown.exit_code == 0
    assert "4 of 8" in shown.output
    lines = {line.split("│")[1].strip(): line for line in shown.output.splitlines() if line.count("│") > 5}
    assert "open alert of drift" in lines["8"]
    assert "difficulty moved by" in lines["9"]
    assert "no parameters in question.meta.irt" in lines["900"]
    assert "not in the calibration" in lines["901"]
    for item in ("7", "10", "11", "12"):
        assert lines[item].split("│")[6].strip() == ""
    assert snapshot(two_weeks, "question") == before


def test_parameters_are_written_back_on_request_and_never_over_an_anchors(database: Engine) -> None:
    anchors = (5, 6)
    BANK.store(database, anchors)
    store_answers(database, BANK, week(0), THETA, seed=7)
    before = {r["id"]: r["meta"] for r in rows_of(database, META)}
    calibrated(database, 0)
    assert {r["id"]: r["meta"] for r in rows_of(database, META)} == before
    calibrated(database, 0, update_question_meta=True)
    stored = {r["item_id"]: r for r in rows_of(database, "SELECT * FROM mirt_item_params")}
    for row in rows_of(database, META):
        if row["id"] in anchors:
            assert row["meta"] == before[row["id"]]
            continue
        assert row["meta"]["author"] == "kim"
        assert row["meta"]["irt"]["b"] == stored[str(row["id"])]["params"]["b"]
        assert row["meta"]["irt"]["version"] == stored[str(row["id"])]["run_id"]
    # Values that were written back are not anchors: the next calibration is linked to the first one, not to them.
    versions = snapshot(database, "question")
    store_answers(database, BANK, week(1), THETA + 0.5, seed=9, prefix="v")
    calibrated(database, 1)
    (fit,) = rows_of(database, "SELECT model_spec FROM mirt_fit_meta WHERE week_start = :w", w=week(1).start)
    assert fit["model_spec"]["scale_origin"] == "linked"
    assert fit["model_spec"]["n_anchors_tagged"] == 2
    assert snapshot(database, "question") == versions


def test_a_calibration_off_the_scale_is_not_written_back(two_weeks: Engine) -> None:
    before = snapshot(two_weeks, "question")
    calibrated(two_weeks, 1, min_anchors=30, update_question_meta=True)
    assert snapshot(two_weeks, "question") == before


UNDERSTOOD = ["null", '"null"', '"{}"', "[]", '"[]"', "{}", '{"tags": null, "author": "kim"}', '{"tags": {}}']
UNDERSTOOD += ['"{\\"author\\": \\"kim\\"}"', '{"tags": "[\\"hard\\"]"}', '{"tags": ["hard"], "irt": "old"}']
NOT_UNDERSTOOD = ["7", '"text"', '""', "[1]", "true", '"\\"{}\\""', '"{broken"']
TAGS_NOT_UNDERSTOOD = ['{"tags": "mine"}', '{"tags": 7}', '{"tags": {"a": 1}}', '{"tags": true}']


def set_meta(engine: Engine, shapes: list[str]) -> None:
    """The first items of the bank get these values."""
    for item, shape in enumerate(shapes, 1):
        execute(engine, "UPDATE question SET meta = CAST(:m AS jsonb) WHERE id = :i", {"m": shape, "i": item})


def test_parameters_are_written_only_to_a_meta_that_was_understood(
    database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    BANK.store(database)
    store_answers(database, BANK, week(0), THETA, seed=7)
    shapes = [*UNDERSTOOD, *NOT_UNDERSTOOD]
    set_meta(database, shapes)
    before = {r["id"]: r["meta"] for r in rows_of(database, META)}
    for _ in range(2):
        calibrated(database, 0, update_question_meta=True)
        after = {r["id"]: r["meta"] for r in rows_of(database, META)}
        for item, shape in enumerate(shapes, 1):
            if shape in NOT_UNDERSTOOD:
                assert after[item] == before[item], shape
            else:
                assert after[item]["irt"]["model"] == "2PL", shape
                assert set(after[item]) <= {"irt", "tags", "author"}, shape
    assert f"question.meta of {len(NOT_UNDERSTOOD)} questions stays as it is" in caplog.text
    assert after[7]["author"] == after[9]["author"] == "kim"


def test_a_tag_is_added_only_to_tags_that_were_understood(two_weeks: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", two_weeks.url.render_as_string(hide_password=False))
    shapes = [*UNDERSTOOD, *NOT_UNDERSTOOD, *TAGS_NOT_UNDERSTOOD]
    set_meta(two_weeks, shapes)
    items = ",".join(str(item) for item in range(1, len(shapes) + 1))
    before = {r["id"]: r["meta"] for r in rows_of(two_weeks, META)}
    for _ in range(2):
        output = command("tag", "--item-ids", items).output
        after = {r["id"]: r["meta"] for r in rows_of(two_weeks, META)}
        for item, shape in enumerate(shapes, 1):
            if shape in UNDERSTOOD:
                tags = ["hard", "anchor"] if "hard" in shape else ["anchor"]
                # Other criteria, such as stability, may refuse an item.
                assert after[item] == before[item] or after[item]["tags"] == tags, shape
            else:
                assert after[item] == before[item], shape
    assert "question.meta is not an object with an array of tags" in output
    assert len(tagged(two_weeks)) >= len(UNDERSTOOD) - 2
