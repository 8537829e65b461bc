"""Weekly reports."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from seedtest_analytics.settings.group import MOST_ROWS, SettingsGroup, option, variable


class ReportSettings(SettingsGroup):
    """Weekly report (contract 8)."""

    report_format: Literal["html", "pdf", "both"] = variable(
        "html", "REPORT_FORMAT", description="Format of the family's page: html, pdf or both."
    )
    language: str = variable(
        "en",
        "REPORT_LANGUAGE",
        description="Language of a reader without one in users.language: en, ko, or another catalogue.",
    )
    teacher_pages: bool = variable(
        True, "REPORT_TEACHER_PAGES", description="Whether each student also has a page for teachers."
    )
    silent_students: Literal["page", "none"] = variable(
        "page",
        "REPORT_SILENT_STUDENTS",
        description="What a student without an answer in the week gets: page (how to come back) or none.",
    )
    min_cohort: int = variable(
        5,
        "REPORT_MIN_COHORT",
        ge=2,
        le=MOST_ROWS,
        description="Students that a class needs; the page of a smaller one shows no numbers.",
    )
    max_users: int | None = option(
        None,
        "MAX_USERS",
        ge=1,
        le=MOST_ROWS,
        description="Maximum number of reports a week, for the most active students; if unset, all.",
    )
    parallel: int | None = option(
        None, "PARALLEL", ge=1, le=256, description="Reports rendered in parallel; if unset, the number of cores."
    )

    @field_validator("language")
    @classmethod
    def _has_a_catalogue(cls, value: str) -> str:
        from seedtest_analytics.reporting.language import languages

        if value not in languages():
            raise ValueError(f"there is no catalogue for it; use one of {', '.join(languages())}")
        return value

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of the family's page."""
        return ("html", "pdf") if self.report_format == "both" else (self.report_format,)

    @property
    def pages(self) -> tuple[str, ...]:
        """The pages of each student."""
        return ("family", "teacher") if self.teacher_pages else ("family",)
