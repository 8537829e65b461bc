"""Calibrations of one topic or subject, which must not stand in the place of those of all answers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings

SCALE = "psychometrics/scale.sql"


class FilteredCalibrationError(ValueError):
    """A calibration of some answers where those of all answers are the platform's scale."""


def filter_of(settings: CalibrationSettings) -> dict[str, Any] | None:
    """Which answers alone are calibrated, such as ``{"topic_id": "algebra"}``; None for all."""
    asked = {"topic_id": settings.topic_id, "subject_id": settings.subject_id}
    return {name: value for name, value in asked.items() if value is not None} or None


def refusal_of_filter(connection: Connection, week: Week, *, settings: CalibrationSettings) -> str | None:
    """Why a filtered calibration of the week may not be stored; None where it may.

    A week has one calibration and a platform one scale: abilities of a topic's items would take the place of the
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
        f"week of {week.key}: a calibration with the filter {what} is not stored where there are calibrations of all "
        f"answers ({stored.run_id}, week of {stored.week_start.isoformat()}); leave the filter out (MIRT_TOPIC_ID, "
        "MIRT_SUBJECT_ID or the run configuration), or run with DRY_RUN=true, which reports what it finds"
    )
