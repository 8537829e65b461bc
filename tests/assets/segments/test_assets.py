"""Segments in the graph: features, recovery of planted groups, identity over runs, the newest run as current."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.segments.week import load_features, segment_week
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import SegmentSettings, Settings
from tests._database import execute, rows_of, snapshot
from tests.assets._activity import week
from tests.assets._week_runs import outcomes_of

TABLES = ("segment_meta", "segment_profile", "user_segment")


def store_weeks(engine: Engine, numbers: list[int], groups: dict[str, dict[str, float]], seed: int = 1) -> None:
    """Forty students a group, named by it, with KPIs around the group's own."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in numbers:
        for group, centre in groups.items():
            for student in range(40):
                kpis = {key: round(value + 0.05 * abs(value) * rng.normal(), 6) for key, value in centre.items()}
                rows.append(
                    {
                        "user": f"{group}{student}",
                        "week": week(number).start,
                        "kpis": json.dumps({**kpis, "sessions": round(kpis["sessions"])}),
                    }
                )
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb)) "
        "ON CONFLICT (user_id, week_start) DO UPDATE SET kpis = excluded.kpis",
        rows,
    )


BUSY = {"A_t": 0.8, "I_t": 0.1, "E_t": 0.3, "R_t": 0.7, "sessions": 20.0, "mean_gap": 1.4}
RARE = {"A_t": 0.25, "I_t": 0.0, "E_t": 0.1, "R_t": 0.3, "sessions": 3.0, "mean_gap": 9.0}


def run(engine: Engine, at: Week, settings: SegmentSettings | None = None, dry: bool = False) -> list[Any]:
    chosen = Settings(segments=settings or SegmentSettings())
    return outcomes_of(engine, at, compute=segment_week, settings=chosen, is_dry_run=dry)


def test_features_are_means_of_the_weeks_and_days_of_the_look_back(database: Engine) -> None:
    for number, a_t in ((0, 0.9), (1, 0.2), (2, 0.4), (3, None)):
        execute(
            database,
            "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES "
            "('u', :w, jsonb_build_object('A_t', CAST(:a AS float8), 'sessions', 4)), ('few', :w, '{}')",
            {"w": week(number).start, "a": a_t},
        )
    execute(
        database,
        "INSERT INTO features_topic_daily (user_id, topic_id, date, attempts, hints, rt_median) VALUES "
        "('u', 'a', :d, 3, 1, 1000), ('u', 'b', :d, 5, 2, 3000), ('u', 'a', :e, 2, 0, 5000), ('u', 'a', :old, 9, 9, 9)",
        {"d": week(1).start, "e": week(3).start + dt.timedelta(days=6), "old": week(1).start - dt.timedelta(days=1)},
    )
    with database.begin() as connection:
        found = load_features(connection, week(3), settings=SegmentSettings(lookback_weeks=3, min_weeks=2))
    assert found.user_ids == ["u"]
    values = {name: column.tolist()[0] for name, column in found.columns.items()}
    assert values["engagement"] == pytest.approx(0.3)
    assert np.isnan(values["improvement"])
    assert (values["sessions"], values["avg_rt"], values["avg_hints"], values["total_attempts"]) == (4, 3500, 1.5, 10)


def test_planted_groups_are_found_named_and_written_once(database: Engine) -> None:
    store_weeks(database, [4, 5, 6, 7], {"busy": BUSY, "rare": RARE})
    meta, members = run(database, week(7))
    assert [c.check.name for c in meta.checks if not c.is_passed] == []
    assert members.published.inserted == 80
    rows = rows_of(database, "SELECT * FROM user_segment")
    labels = {(row["user_id"][:4], row["segment_label"]) for row in rows}
    assert labels == {("busy", "short_frequent"), ("rare", "long_rare")}
    assert rows[0]["features_snapshot"]["user_id"] == rows[0]["user_id"]
    assert rows[0]["features_snapshot"].keys() >= {"engagement", "gap", "avg_rt", "total_attempts"}
    (run_row,) = rows_of(database, "SELECT * FROM segment_meta")
    assert run_row["n_clusters"] == 2
    assert len(run_row["centers"]) == 2
    assert run_row["metrics"].keys() >= {"withinss", "tot_withinss", "betweenss", "silhouette", "gap"}
    before = snapshot(database, *TABLES)
    run(database, week(7))
    assert snapshot(database, *TABLES) == before


def test_segments_keep_identity_and_name_over_four_runs(database: Engine) -> None:
    identities = []
    for number in (7, 11, 15, 19):
        drift = 1 + 0.02 * (number - 7) / 4
        groups = {"busy": {k: v * drift for k, v in BUSY.items()}, "rare": RARE}
        store_weeks(database, list(range(number - 3, number + 1)), groups, seed=number)
        run(database, week(number), SegmentSettings(lookback_weeks=4))
        rows = rows_of(database, "SELECT DISTINCT left(user_id, 4), segment_id, segment_label FROM user_segment")
        identities.append({tuple(row.values()) for row in rows})
    assert len(identities[0]) == 2
    assert all(later == identities[0] for later in identities)
    moved = rows_of(database, "SELECT is_new, moved FROM segment_profile WHERE week_start = :w", w=week(19).start)
    assert all(not row["is_new"] and row["moved"] < 0.5 for row in moved)


def test_an_older_week_done_later_changes_no_current_segment(database: Engine) -> None:
    store_weeks(database, list(range(4, 12)), {"busy": BUSY, "rare": RARE})
    run(database, week(11))
    before = snapshot(database, "user_segment")
    run(database, week(7))
    assert snapshot(database, "user_segment") == before
    assert len(rows_of(database, "SELECT * FROM segment_meta")) == 2


def test_with_too_few_students_there_is_one_segment_or_none_and_it_is_said(database: Engine) -> None:
    meta, members = run(database, week(7))
    assert (meta.published.staged, members.published.staged) == (0, 0)
    assert not any(check.is_passed for check in meta.checks)
    store_weeks(database, [4, 5, 6, 7], {"busy": BUSY})
    execute(database, "DELETE FROM weekly_kpi WHERE user_id NOT IN ('busy1', 'busy2', 'busy3')")
    meta, members = run(database, week(7))
    assert members.published.inserted == 3
    (check,) = [c for c in meta.checks if c.check.name == "several_segments"]
    assert not check.is_passed
    assert "3 students are fewer than the 10 needed" in check.description


def test_stability_that_is_not_known_is_stored_empty_and_said(database: Engine) -> None:
    """Ten students in eight segments: hardly a resample holds eight of them."""
    store_weeks(database, [4, 5, 6, 7], {"busy": BUSY})
    execute(database, "DELETE FROM weekly_kpi WHERE length(user_id) <> 5")
    meta, _ = run(database, week(7), SegmentSettings(n_clusters=8))
    (check,) = [c for c in meta.checks if c.check.name == "stable"]
    assert not check.is_passed
    assert "is not known: only" in check.description
    rows = rows_of(database, "SELECT jaccard FROM segment_profile")
    assert [row["jaccard"] for row in rows] == [None] * 8
    (row,) = rows_of(database, "SELECT metrics FROM segment_meta")
    assert set(row["metrics"]["jaccard"].values()) == {None}
    assert "nan" not in meta.metadata["segments"].value
