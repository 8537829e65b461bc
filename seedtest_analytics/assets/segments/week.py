"""The segmentation of one week: load the features, find and name the segments, publish them with their members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import Replace, WeekRun, publish_week
from seedtest_analytics.assets.segments.checks import SEVERAL_SEGMENTS, STABLE
from seedtest_analytics.assets.segments.plots import segment_plots
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.settings import SegmentSettings
from seedtest_analytics.stats.segments import segments
from seedtest_analytics.stats.segments.features import CONTRACT_FEATURES
from seedtest_analytics.stats.segments.identity import PreviousSegment
from seedtest_analytics.stats.segments.segments import Segmentation
from seedtest_analytics.tables import segments as tables

SQL = "segments/segments.sql"


@dataclass(frozen=True)
class Features:
    """(n,) students and their named (n,) features, NaN if a value is missing."""

    user_ids: list[str]
    columns: dict[str, np.ndarray]


def segment_week(run: WeekRun) -> Sequence[Outcome]:
    """Segment the students as of one week. user_segment holds the newest run."""
    settings = run.settings.segments
    features = load_features(run.connection, run.week, settings=settings)
    run_id = fit_id(
        "cluster",
        run.week,
        settings=settings.model_dump(mode="json"),
        data=["\0".join(features.user_ids), *features.columns.values()],
    )
    found = _segment(run, features) if features.user_ids else None
    meta, members = _publish(run, features, run_id=run_id, found=found)
    metadata: dict[str, Any] = {"as_of": run.week.as_of.isoformat(), "students": len(features.user_ids)}
    if found is None:
        none = [check.failed("no student has enough weeks") for check in (SEVERAL_SEGMENTS, STABLE)]
        return run.outcome(meta, metadata, checks=none), run.outcome(members)
    metadata |= {"run_id": run_id, "method": found.method, "reason": found.reason, **segment_plots(found)}
    checks = [
        SEVERAL_SEGMENTS.judged(
            found.reason or f"{len(found.segments)}",
            is_passed=len(found.segments) > 1,
            metadata={"segments": len(found.segments)},
        ),
        STABLE.judged(
            "; ".join(found.warnings) or "every segment is stable",
            is_passed=not found.warnings,
            metadata={"smallest_jaccard": min((s.jaccard for s in found.segments), default=None)},
        ),
    ]
    return run.outcome(meta, metadata, checks=checks), run.outcome(members, {"run_id": run_id})


def load_features(connection: Connection, week: Week, *, settings: SegmentSettings) -> Features:
    """The contract's nine features of the students with enough weeks."""
    first = week.start - (settings.lookback_weeks - 1) * WEEK
    connection.execute(
        statement(SQL, "features"), {"first_week": first, "week_start": week.start, "min_weeks": settings.min_weeks}
    )
    rows = copy_to_arrow(connection, statement(SQL, "feature_rows"), dictionaries=("user_id",))
    frame = rows.to_pandas()
    columns = {name: frame[name].to_numpy(dtype="float64", na_value=float("nan")) for name in CONTRACT_FEATURES}
    return Features([str(user) for user in frame["user_id"]], columns)


def _segment(run: WeekRun, features: Features) -> Segmentation:
    connection, week, settings = run.connection, run.week, run.settings.segments
    before = connection.execute(statement(SQL, "previous"), {"week_start": week.start}).all()
    previous = [
        PreviousSegment(
            row.segment_id,
            row.segment_label,
            centre={name: float("nan") if value is None else value for name, value in row.centre.items()},
        )
        for row in before
    ]
    chosen = segments.SegmentSettings(
        n_clusters=settings.n_clusters, method=settings.method, min_users=settings.min_users
    )
    first_new_id = connection.execute(statement(SQL, "first_new_id"), {"week_start": week.start}).scalar_one()
    return segments.segment_students(features.columns, chosen, previous=previous, first_new_id=first_new_id)


def _publish(
    run: WeekRun, features: Features, *, run_id: str, found: Segmentation | None
) -> tuple[Published, Published]:
    meta = publish_week(run, tables.segment_meta, rows=_meta_rows(run.week, run_id, found=found))
    publish_week(run, tables.segment_profile, rows=_profile_rows(run.week, run_id, found=found))
    is_newest = not run.connection.execute(statement(SQL, "has_newer"), {"week_start": run.week.start}).scalar_one()
    rows = _member_rows(run.week, run_id, features=features, found=found)
    members = publish_week(
        run,
        tables.user_segment,
        rows=rows if is_newest else rows.iloc[:0],
        replace=Replace.EVERYTHING if is_newest and found is not None else Replace.NOTHING,
    )
    return meta, members


def _meta_rows(week: Week, run_id: str, *, found: Segmentation | None) -> pd.DataFrame:
    names = ["run_id", "week_start", "method", "n_clusters", "centers", "metrics", "n_users", "fitted_at"]
    if found is None:
        return pd.DataFrame(columns=names)
    within = {str(s.segment_id): s.within_ss for s in found.segments}
    metrics = {
        "withinss": within,
        "tot_withinss": sum(within.values()),
        "betweenss": found.between_ss,
        "silhouette": dict(found.count.silhouette),
        "gap": dict(found.count.gap),
        "gap_se": dict(found.count.gap_se),
        "reason": found.reason,
        "jaccard": {str(s.segment_id): s.jaccard for s in found.segments},
        "explained": found.explained,
        "dropped": dict(found.scale.dropped),
        "warnings": list(found.warnings),
    }
    centers = {str(s.segment_id): dict(s.centre) for s in found.segments}
    row = [
        run_id,
        week.start,
        found.method,
        len(found.segments),
        json_text(centers),
        json_text(metrics),
        len(found.segment_id),
        week.as_of,
    ]
    return pd.DataFrame([row], columns=names)


def _profile_rows(week: Week, run_id: str, *, found: Segmentation | None) -> pd.DataFrame:
    names = [column.name for column in tables.segment_profile.columns]
    rows = [
        {
            "run_id": run_id,
            "segment_id": s.segment_id,
            "week_start": week.start,
            "segment_label": s.label,
            "segment_description": s.description,
            "centre": json_text(dict(s.centre)),
            "scaled_centre": json_text(dict(s.scaled_centre)),
            "n": s.n,
            "share": s.share,
            "jaccard": s.jaccard,
            "is_new": s.is_new,
            "moved": s.moved,
        }
        for s in (found.segments if found else ())
    ]
    return pd.DataFrame(rows, columns=names)


def _member_rows(week: Week, run_id: str, *, features: Features, found: Segmentation | None) -> pd.DataFrame:
    names = [column.name for column in tables.user_segment.columns]
    if found is None:
        return pd.DataFrame(columns=names)
    labels = {s.segment_id: s.label for s in found.segments}
    keys = ["user_id", *features.columns]
    values = zip(features.user_ids, *(v.tolist() for v in features.columns.values()), strict=True)
    return pd.DataFrame(
        {
            "user_id": features.user_ids,
            "segment_label": [labels[i] for i in found.segment_id.tolist()],
            "features_snapshot": [json_text(dict(zip(keys, row, strict=True))) for row in values],
            "assigned_at": week.as_of,
            "run_id": run_id,
            "week_start": week.start,
            "segment_id": found.segment_id,
            "confidence": found.confidence.clip(0, 1),
            "map_x": found.coordinates[:, 0],
            "map_y": found.coordinates[:, 1],
        },
        columns=names,
    )
