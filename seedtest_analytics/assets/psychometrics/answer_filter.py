"""Calibrations of one topic or subject, which must not replace the calibrations of all answers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from seedtest_analytics.assets.psychometrics.statements import SCALE
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings


def filter_of(settings: CalibrationSettings) -> dict[str, Any] | None:
    """The answers that are calibrated, such as ``{"topic_id": "algebra"}``; None for all."""
    asked = {"topic_id": settings.topic_id, "subject_id": settings.subject_id}
    return {name: value for name, value in asked.items() if value is not None} or None


def refusal_of_filter(connection: Connection, week: Week, *, settings: CalibrationSettings) -> str | None:
    """Why a filtered calibration of the week must not be stored; None if it may be.

    A week has one calibration and the platform one scale. Abilities from the items of a topic would replace the
    abilities, and the other items would keep the parameters of another run.
    """
    asked = filter_of(settings)
    if asked is None:
        return None
    stored = connection.execute(statement(SCALE, "of_all_answers"), {"week_start": week.start}).one_or_none()
    if stored is None:
        return None
    what = ", ".join(f"{name}={value}" for name, value in asked.items())
    return (
        f"week of {week.key}: a calibration with the filter {what} is not stored, because there are calibrations of all "
        f"answers ({stored.run_id}, week of {stored.week_start.isoformat()}); leave the filter out (MIRT_TOPIC_ID, "
        "MIRT_SUBJECT_ID or the run configuration), or run with DRY_RUN=true, which reports what it finds"
    )
