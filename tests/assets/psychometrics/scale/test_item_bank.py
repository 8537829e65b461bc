"""Items keep their parameters, and every calibration is on the scale of those before it."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.psychometrics.scoring.week import score_week
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings, Settings
from tests._database import execute, rows_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

BANK = Bank.drawn(24, seed=5)
THETA = np.random.default_rng(6).normal(0.0, 1.0, 300)
WEEKLY = CalibrationSettings(lookback_days=7, min_responses=10)


def run(
    engine: Engine, at: Week, *, compute: Any = calibrate_week, settings: CalibrationSettings = WEEKLY
) -> list[Outcome]:
    return outcomes_of(engine, at, compute=compute, settings=Settings(calibration=settings), is_dry_run=False)


def store(engine: Engine, at: Week, items: Collection[int], *, shift: float = 0.0, prefix: str = "u") -> None:
    """New students of mean ability ``shift`` answer the items of the week."""
    store_answers(engine, BANK, at, THETA + shift, seed=7 + at.start.day, prefix=f"{prefix}{at.key}-")
    execute(
        engine,
        "DELETE FROM attempt_log WHERE user_id LIKE :who AND item_id <> ALL(:items)",
        {"who": f"{prefix}{at.key}-%", "items": list(items)},
    )


def bank(engine: Engine, at: Week) -> dict[str, dict[str, Any]]:
    query = "SELECT * FROM mirt_item_bank WHERE week_start = :w"
    return {row["item_id"]: row for row in rows_of(engine, query, w=at.start)}


def fit(engine: Engine, at: Week) -> dict[str, Any]:
    query = (
        "SELECT run_id, version, is_usable, model_spec ->> 'scale_origin' AS origin, model_spec ->> 'scale' AS scale, "
        "(metrics ->> 'group_mean')::float8 AS mean, model_spec -> 'linking_constants' AS constants "
        "FROM mirt_fit_meta WHERE week_start = :w"
    )
    (row,) = rows_of(engine, query, w=at.start)
    return row


def check(outcomes: list[Outcome], name: str) -> Any:
    return next(c for o in outcomes for c in o.checks if c.check.name == name)


@pytest.fixture
def items(database: Engine) -> Engine:
    """Week 0 has answers to all items, week 1 to the first 12 and five answers to item 20."""
    BANK.store(database)
    store(database, week(0), range(1, 25))
    store(database, week(1), [*range(1, 13), 20])
    execute(
        database,
        "DELETE FROM attempt_log WHERE item_id = 20 AND user_id LIKE :w AND user_id !~ '-[0-4]$'",
        {"w": f"u{week(1).key}%"},
    )
    return database


def test_an_item_outside_the_window_keeps_its_parameters_with_age_errors_and_source(items: Engine) -> None:
    run(items, week(0))
    run(items, week(1))
    before, now = bank(items, week(0)), bank(items, week(1))
    assert len(before) == len(now) == 24
    assert {row["method"] for row in before.values()} == {"estimated"}
    assert {item for item, row in now.items() if row["method"] == "kept"} == {str(i) for i in range(13, 25)}
    kept, first = now["20"], before["20"]
    assert [kept[name] for name in ("a", "b", "se_a", "se_b", "n_responses")] == [
        first[name] for name in ("a", "b", "se_a", "se_b", "n_responses")
    ]
    assert (kept["age_days"], kept["source_week_start"]) == (7, week(0).start)
    assert kept["source_run_id"] == fit(items, week(0))["run_id"]
    assert kept["estimated_at"] == week(0).as_of
    assert (now["1"]["age_days"], now["1"]["source_run_id"]) == (0, fit(items, week(1))["run_id"])
    # An answer to a kept item counts for the ability, and the metadata says how many items are kept.
    metadata = run(items, week(1), compute=score_week)[0].metadata
    assert (metadata["items"], metadata["items_kept"], metadata["oldest_item_days"]) == (24, 12, 7)
    query = "SELECT max(n_answers) AS most FROM mirt_ability WHERE week_start = :w"
    assert rows_of(items, query, w=week(1).start) == [{"most": 13}]


def test_a_setting_forgets_items_outside_the_window(items: Engine) -> None:
    run(items, week(0))
    run(items, week(1), settings=WEEKLY.overridden_by({"keep_parameters": False}))
    assert set(bank(items, week(1))) == {str(i) for i in range(1, 13)}


def test_without_a_look_back_the_history_is_calibrated_and_30_days_are_scored(items: Engine) -> None:
    settings = CalibrationSettings()
    assert settings.days_to_score == 30
    assert settings.overridden_by({"lookback_days": 60}).days_to_score == 60
    assert settings.overridden_by({"lookback_days": 60, "scoring_days": 14}).days_to_score == 14
    run(items, week(1), settings=settings)
    rows = bank(items, week(1)).values()
    assert len(rows) == 24
    assert {row["method"] for row in rows} == {"estimated"}
    assert {row["n_responses"] for row in rows} == {300, 305, 600}
    assert len(rows_of(items, "SELECT FROM mirt_ability")) == 0
    run(items, week(6), compute=score_week, settings=settings)
    assert len(rows_of(items, "SELECT FROM mirt_ability")) == 0
    run(items, week(5), compute=score_week, settings=settings)
    assert len(rows_of(items, "SELECT FROM mirt_ability")) == 300


def test_few_answers_are_enough_with_priors_only_and_never_for_a_link() -> None:
    defaults = CalibrationSettings()
    assert (defaults.answers_needed, defaults.pool_below, defaults.responses_to_link) == (1, 10, 10)
    # What is rare in a part of the history need not be rare, and mirt has no prior by item.
    for change in ({"lookback_days": 60}, {"max_observations": 1000}, {"backend": "mirt"}, {"priors": "weak"}):
        without = defaults.overridden_by(change)
        assert (without.answers_needed, without.pool_below) == (2, 0)
    assert defaults.overridden_by({"priors": "none"}).answers_needed == 10
    asked = defaults.overridden_by({"priors": "none", "min_responses": 12})
    assert (asked.answers_needed, asked.responses_to_link) == (12, 12)


def test_new_findings_about_an_item_replace_its_parameters(items: Engine) -> None:
    """Item 3 is answered wrong by everybody in week 1: its key has changed, and the old parameters would mislead."""
    run(items, week(0))
    execute(
        items, "UPDATE attempt_log SET correct = false WHERE item_id = 3 AND user_id LIKE :w", {"w": f"u{week(1).key}%"}
    )
    run(items, week(1))
    assert "3" not in bank(items, week(1))
    assert "3" in bank(items, week(0))


def test_a_calibration_whose_anchors_disappear_stays_on_their_scale(database: Engine) -> None:
    """Anchors 1 logit above the students' own scale; without the link the mean would be 0 again, with every check green."""
    Bank(BANK.a, BANK.b + 1.0).store(database, tuple(range(1, 13)))
    store(database, week(0), range(1, 25))
    store(database, week(1), range(1, 25))
    run(database, week(0))
    execute(database, "TRUNCATE question")
    BANK.store(database)
    outcomes = run(database, week(1))
    first, second = fit(database, week(0)), fit(database, week(1))
    assert (first["origin"], first["scale"]) == ("anchors", "anchors")
    assert (second["origin"], second["version"], second["scale"]) == ("linked", "anchors", "anchors")
    assert second["constants"]["onto_run_id"] == first["run_id"]
    assert first["mean"] == pytest.approx(1.0, abs=0.2)
    assert second["mean"] == pytest.approx(first["mean"], abs=0.15)
    assert not check(outcomes, "anchors_enough").is_passed


def test_where_nothing_links_the_calibration_is_not_usable_and_says_so(database: Engine) -> None:
    BANK.store(database)
    store(database, week(0), range(1, 13))
    store(database, week(1), range(13, 25))
    run(database, week(0))
    outcomes = run(database, week(1))
    assert not fit(database, week(1))["is_usable"]
    for name in ("usable", "on_the_scale"):
        assert not check(outcomes, name).is_passed
        assert "0 common items" in check(outcomes, name).description
    assert bank(database, week(1)) == {}


def test_items_that_the_origin_never_had_link_through_the_last_calibration_and_what_it_keeps(database: Engine) -> None:
    """Week 2 shares no item with the origin, 6 with week 1, and 12 with the bank of week 1's successor."""
    BANK.store(database)
    store(database, week(0), range(1, 13))
    store(database, week(1), range(7, 19), shift=0.5)
    store(database, week(2), range(13, 25), shift=1.0)
    store(database, week(3), range(1, 13), shift=0.5)
    store(database, week(4), range(19, 25), shift=1.0)
    for number in range(5):
        run(database, week(number))
    found = [fit(database, week(number)) for number in range(5)]
    assert [row["scale"] for row in found] == ["2025-W10"] * 5
    assert [row["is_usable"] for row in found] == [True] * 5
    assert found[2]["constants"]["onto_run_id"] == found[1]["run_id"]
    # Week 4 has none of the items that week 3 estimated: the link is by those that week 3 keeps.
    assert found[4]["constants"]["onto_run_id"] == found[3]["run_id"]
    assert [row["mean"] for row in found] == pytest.approx([0.0, 0.5, 1.0, 0.5, 1.0], abs=0.35)
    assert len(bank(database, week(4))) == 24


def test_the_origin_of_a_scale_stays_it_when_it_is_calibrated_again(items: Engine) -> None:
    for number in (0, 1, 0):
        run(items, week(number))
    assert (fit(items, week(0))["origin"], fit(items, week(1))["origin"]) == ("own", "linked")


def test_a_run_id_names_the_anchors_and_the_link_too(items: Engine) -> None:
    run(items, week(0))
    free = fit(items, week(0))["run_id"]
    execute(items, "TRUNCATE question")
    BANK.store(items, tuple(range(1, 13)))
    run(items, week(0))
    fixed = fit(items, week(0))["run_id"]
    execute(items, "TRUNCATE question")
    BANK.moved({1: 0.01}).store(items, tuple(range(1, 13)))
    run(items, week(0))
    moved = fit(items, week(0))["run_id"]
    assert len({free, fixed, moved}) == 3
    run(items, week(0), settings=WEEKLY.overridden_by({"timeout_secs": 7.0, "scoring_days": 3, "max_retries": 9}))
    assert fit(items, week(0))["run_id"] == moved
    run(items, week(0), settings=WEEKLY.overridden_by({"min_responses": 11}))
    assert fit(items, week(0))["run_id"] != moved
