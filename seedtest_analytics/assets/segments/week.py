"""One run of the segmentation: features in, segments with names and members out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.segments.plots import segment_plots
from seedtest_analytics.database.publish import Published, publish, staged_from_frame
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import SegmentSettings
from seedtest_analytics.tables import segments as tables

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from seedtest_analytics.stats.segments.segments import Segmentation

SQL = "segments/segments.sql"
_THIS_WEEK = "t.week_start = :week_start"


@dataclass(frozen=True)
class Features:
    """(n,) students and their named (n,) features, NaN where there is no value."""

    user_ids: list[str]
    columns: dict[str, np.ndarray]


def segment_week(postgres: PostgresResource, week: Week, *, settings: SegmentSettings, dry: bool) -> Iterator[Outcome]:
    """Segment the students as of one week; the newest run is the one that user_segment holds."""
    with postgres.transaction("segment_meta", is_dry_run=dry) as connection:
        features = load_features(connection, week, settings=settings)
        run_id = _run_id(week, settings, features=features)
        found = _segment(connection, features, week=week, settings=settings) if features.user_ids else None
        meta, members = _publish(connection, week, run_id=run_id, features=features, found=found)
    metadata: dict[str, Any] = {"as_of": week.as_of.isoformat(), "students": len(features.user_ids)}
    if found is None:
        none = [
            CheckOutcome(name, False, description="no student has enough weeks")  # noqa: FBT003
            for name in ("several_segments", "stable")
        ]
        yield Outcome(meta, metadata, checks=none, partition=week.key, is_dry_run=dry)
        yield Outcome(members, {}, checks=[], partition=week.key, is_dry_run=dry)
        return
    metadata |= {"run_id": run_id, "method": found.method, "reason": found.reason, **segment_plots(found)}
    checks = [
        CheckOutcome("several_segments", len(found.segments) > 1, description=found.reason or f"{len(found.segments)}"),
        CheckOutcome("stable", not found.warnings, description="; ".join(found.warnings) or "every segment is stable"),
    ]
    yield Outcome(meta, metadata, checks=checks, partition=week.key, is_dry_run=dry)
    yield Outcome(members, {"run_id": run_id}, checks=[], partition=week.key, is_dry_run=dry)


def load_features(connection: Connection, week: Week, *, settings: SegmentSettings) -> Features:
    """The contract's nine features of the students with enough weeks."""
    from seedtest_analytics.stats.segments.features import CONTRACT_FEATURES

    first = week.start - (settings.lookback_weeks - 1) * WEEK
    connection.execute(
        statement(SQL, "features"),
        {"first_week": first, "week_start": week.start, "min_weeks": settings.min_weeks},
    )
    rows = copy_to_arrow(connection, statement(SQL, "feature_rows"), dictionaries=("user_id",))
    frame = rows.to_pandas()
    columns = {name: frame[name].to_numpy(dtype="float64", na_value=float("nan")) for name in CONTRACT_FEATURES}
    return Features([str(user) for user in frame["user_id"]], columns)


def _run_id(week: Week, settings: SegmentSettings, *, features: Features) -> str:
    digest = hashlib.blake2b(json.dumps(settings.model_dump(mode="json")).encode(), digest_size=16)
    digest.update("\0".join(features.user_ids).encode())
    for values in features.columns.values():
        digest.update(values.tobytes())
    return f"cluster-{week.iso_label}-{digest.hexdigest()[:10]}"


def _segment(connection: Connection, features: Features, *, week: Week, settings: SegmentSettings) -> Segmentation:
    from seedtest_analytics.stats.segments import segments
    from seedtest_analytics.stats.segments.identity import PreviousSegment

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
    connection: Connection, week: Week, *, run_id: str, features: Features, found: Segmentation | None
) -> tuple[Published, Published]:
    parameters = {"week_start": week.start}
    staged = (
        ("staged_meta", tables.segment_meta, _meta_rows(week, run_id, found=found)),
        ("staged_profile", tables.segment_profile, _profile_rows(week, run_id, found=found)),
    )
    published = []
    for name, table, frame in staged:
        staged_from_frame(connection, name, table=table, frame=frame)
        published.append(publish(connection, table, staged=name, partition=_THIS_WEEK, parameters=parameters))
    is_newest = not connection.execute(statement(SQL, "has_newer"), parameters).scalar_one()
    rows = _member_rows(week, run_id, features=features, found=found)
    staged_from_frame(
        connection, "staged_member", table=tables.user_segment, frame=rows if is_newest else rows.iloc[:0]
    )
    condition = "true" if is_newest and found is not None else "false"
    return published[0], publish(connection, tables.user_segment, staged="staged_member", partition=condition)


def _meta_rows(week: Week, run_id: str, *, found: Segmentation | None) -> pd.DataFrame:
    import pandas as pd

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
    import pandas as pd

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
    import pandas as pd

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
