"""The data file of a page about a group of students: a class, an organisation, or the platform as a whole.

Nearly every part can be missing; a missing number is None and never NaN. JSON that other programs may have written (of
fits and of KPI rows) is read leniently: what has another type counts as missing.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, ConfigDict

from seedtest_analytics.reporting.document_base import Count, Document, Number, Part, Share
from seedtest_analytics.reporting.found_values import FoundObject, FoundText, object_or_none
from seedtest_analytics.reporting.platform_document import Platform
from seedtest_analytics.reporting.summary import Tally

Scope = Literal["class", "organisation", "platform"]


class Summary(Part):
    """The week of a group: students, those with answers, answers and right ones, and those who need help or stopped."""

    students: Count
    active: Count
    answers: Count
    correct: Count
    helped: Count
    stopped: Count = 0
    without_report: Count = 0

    @property
    def tally(self) -> Tally:
        """Answers of the week and how many were right."""
        return Tally(self.answers, self.correct)


class Gain(Part):
    """Mean gain of the same students since the first week, with its 95% interval over students (logits)."""

    week_start: dt.date
    students: Count
    gain: Number = None
    lower: Number = None
    upper: Number = None
    level: Number = None


class Step(Part):
    """The first piece of advice of a student's report, as a code with values."""

    rule: FoundText = None
    tone: FoundText = None
    values: FoundObject = {}


class Student(Part):
    """A student of a class in the week; ``usual`` are the answers of the three weeks before."""

    user_id: str
    name: str | None = None
    answers: Count = 0
    usual: Count = 0
    has_report: bool = False
    needs_help: bool | None = None
    step: Annotated[Step | None, BeforeValidator(object_or_none)] = None
    days_silent: Number = None
    state: str | None = None
    reasons: tuple[Any, ...] = ()

    @property
    def shown(self) -> str:
        """The name; the id where no name is known. Untrusted text."""
        return self.name or self.user_id


class Topic(Part):
    """A topic of four weeks; an answer with several topics counts in each. ``ability`` is the mean of the students."""

    topic_id: str
    answers_week: Count = 0
    answers: Count
    correct: Count
    students: Count
    ability: Number = None

    @property
    def tally(self) -> Tally:
        """Answers of four weeks and how many were right."""
        return Tally(self.answers, self.correct)


class CurvePoint(Part):
    """Right answers of a week in a topic, and how many of the same answers the model expected to be right."""

    topic_id: str
    week_start: dt.date
    answers: Count
    correct: Count
    expected: Number = None

    @property
    def tally(self) -> Tally:
        """Answers of the week and how many were right."""
        return Tally(self.answers, self.correct)


class Item(Part):
    """An item that the class met in four weeks.

    ``expected`` right answers with their ``variance`` are those of the ``n_expected`` answers whose probability was known
    before; ``infit`` with its standard error is of ``n_fit`` answers of all students in eight weeks. ``drift`` is the change
    of difficulty in the newest comparison, which finds one of ``drift_found_from`` in 80 % of cases and a severe one with
    ``drift_power`` (logits); ``drift_origin`` says whether it moved alone or with its topic.
    """

    item_id: str
    topic_id: str | None = None
    answers: Count
    correct: Count
    n_expected: Count = 0
    n_expected_correct: Count = 0
    expected: Number = None
    variance: Number = None
    n_fit: Count = 0
    infit: Number = None
    infit_se: Number = None
    discrimination: Number = None
    difficulty: Number = None
    flag: str | None = None
    has_moved: bool = False
    is_drift_judged: bool = True
    drift: Number = None
    drift_origin: str | None = None
    drift_found_from: Number = None
    drift_power: Share = None
    differs_by_group: bool = False


class ClassOfOrganisation(Part):
    """A class of an organisation; without an id the students without a class. No number where it is not shown."""

    class_id: str | None = None
    name: str | None = None
    grade: int | None = None
    is_shown: bool = False
    students: Count | None = None
    active: Count | None = None
    answers: Count | None = None
    correct: Count | None = None
    helped: Count | None = None
    stopped: Count | None = None
    growth: tuple[Gain, ...] = ()


class CohortDocument(Document):
    """Everything that the page of one group and week shows; ``is_shown`` is false for a group that is too small."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    subject: str = ""
    week_start: dt.date
    language: str = "en"
    name: str | None = None
    grade: int | None = None
    organisation: str | None = None
    time_zone: str = "UTC"
    generated_at: AwareDatetime | None = None
    minimum: Count = 5
    is_shown: bool = True
    topic_names: dict[str, str] = {}
    summary: Summary | None = None
    growth: tuple[Gain, ...] = ()
    students: tuple[Student, ...] = ()
    topics: tuple[Topic, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    items: tuple[Item, ...] = ()
    classes: tuple[ClassOfOrganisation, ...] = ()
    platform: Platform | None = None

    @property
    def shown(self) -> str:
        """The name of the class or organisation; the key where no name is known. Untrusted text."""
        return self.name or self.subject

    def topic(self, topic_id: str) -> str:
        """A topic's name; the id where no name is known. Untrusted text."""
        return self.topic_names.get(topic_id) or topic_id

    @property
    def topic_ids(self) -> set[str]:
        """The topics that the page may name."""
        steps = (student.step for student in self.students)
        advised = {str(step.values["topic"]) for step in steps if step is not None and "topic" in step.values}
        platform = self.platform or Platform()
        series = {f.metric for f in platform.forecasts} | {a.metric for a in platform.anomalies}
        return (
            advised
            | {topic.topic_id for topic in self.topics}
            | {item.topic_id for item in self.items if item.topic_id is not None}
            | {metric.removeprefix("topic:") for metric in series if metric.startswith("topic:")}
        )

    @property
    def week_end(self) -> dt.date:
        """Sunday of the week."""
        return self.week_start + dt.timedelta(days=6)
