"""Every figure on a rendered page equals its table: HTML and PDF in both languages, parsed section by section.

The expected figures are computed here from the rows, not by the package. What is left of a section must be the constants of
its prose.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from statistics import NormalDist
from typing import Any

import pytest
from pypdf import PdfReader
from sqlalchemy import Engine

from seedtest_analytics.assets.report_documents import documents
from seedtest_analytics.partitions import PLATFORM, week_at
from seedtest_analytics.resources.quarto.execute import render_page, runnable_cells
from seedtest_analytics.resources.quarto.pdf import pdf_of
from seedtest_analytics.resources.quarto.renderer import template_folder
from seedtest_analytics.resources.quarto.template import PAGES, compile_template
from seedtest_analytics.settings import ReportSettings
from tests._database import execute

MONDAY = dt.date(2025, 11, 3)
USER = "kim"
LANGUAGES = ("en", "ko")
KPIS: dict[str, Any] = {
    "I_t": 0.12, "I_t_n_recent": 96, "I_t_n_previous": 88, "delta_theta": 0.31, "delta_theta_se": 0.14,
    "R_t": 0.46, "R_t_n_wrong": 22, "R_t_n_met_again": 13,
    "A_t": 0.57, "A_t_n_attempts": 190, "sessions": 16, "mean_gap": 1.8,
    "P": 0.66, "P_lower": 0.51, "P_upper": 0.79, "P_target": 0.5, "P_target_source": "interest_goal", "P_method": "normal",
    "P_horizon_date": "2025-12-15", "theta": 0.42, "theta_n_answers": 412, "sigma": 0.24,
    "S": 0.11, "S_lower": 0.07, "S_upper": 0.16, "S_method": "cox", "S_horizon_days": 14, "S_days_silent": 1.3,
    "S_n_sessions": 31, "S_state": "active",
}  # fmt: skip
ABILITIES = [
    (-0.11, 0.36),
    (0.09, 0.34),
    (0.12, 0.33),
    (0.17, 0.31),
    (0.23, 0.3),
    (0.28, 0.29),
    (0.37, 0.27),
    (0.42, 0.26),
]
"""Ability and its standard error as of the end of eight weeks, the newest last."""
TOPICS = [
    # topic, day counted from the Monday, attempts, right, median ms, theta, sd
    ("Fractions", -15, 13, 9, 31_000, -0.22, 0.33),
    ("Fractions", 1, 11, 8, 35_000, -0.31, 0.31),
    ("Angles", -9, 16, 7, 41_000, 0.12, 0.32),
    ("Angles", 2, 17, 6, 37_000, 0.26, 0.31),
    ("Percentages", -4, 19, 14, 39_000, 0.95, 0.33),
    ("Percentages", 4, 14, 12, 43_000, 1.06, 0.3),
]
DATE = {
    "en": re.compile(r"(\d{1,2}) (Jan|Feb|Mar|Apr|May|June|July|Aug|Sept|Oct|Nov|Dec)(?: \d{4})?"),
    "ko": re.compile(r"(?:\d{4}년 )?(\d{1,2})월 (\d{1,2})일"),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec")
NUMBER = re.compile(r"[+−-]?\d+(?:,\d{3})*(?:\.\d+)?")
DOTS = re.compile(r"(\d{3}) (?:to|~) (\d{3})\s+(\d{1,2})(?!\d)")
Figures = Counter[str]


class Sections(HTMLParser):
    """The text of a page by heading, and the text of its pictures."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = [""]
        self.pictures = ""
        self._hidden = self._picture = 0
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"style", "head", "title", "desc"}
        self._picture += tag == "svg"
        if tag == "h2":
            self.text.append("")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"style", "head", "title", "desc"}
        self._picture -= tag == "svg"
        self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        if self._picture and not self._hidden:
            self.pictures += data
        elif not self._hidden:
            self.text[-1] += data


def figures(text: str, code: str) -> Figures:
    """Numbers and dates of a text; a date as month/day."""
    found: Figures = Counter()

    def take(match: re.Match[str]) -> str:
        first, second = match.groups()
        found[f"{MONTHS.index(second) + 1}/{first}" if code == "en" else f"{first}/{second}"] += 1
        return " "

    rest = DATE[code].sub(take, text)
    found.update(token.lstrip("-") for token in NUMBER.findall(rest))
    return found


def day(date: dt.date) -> str:
    return f"{date.month}/{date.day}"


def points(theta: float) -> str:
    return str(round(500 + 100 * theta))


def plain(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def percent(share: float) -> str:
    return str(round(100 * share))


def wilson(right: int, n: int) -> list[str]:
    """The 95% limits of a share, in percent."""
    z, p = 1.96, right / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [percent((centre + sign * half) / (1 + z * z / n)) for sign in (-1, 1)]


def logistic(theta: float) -> str:
    return percent(1 / (1 + math.exp(-theta)))


def fill(engine: Engine) -> None:
    """One student with eight weeks of ability, two weeks of practice in three topics, a goal and a name."""
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))",
        {"user": USER, "week": MONDAY, "kpis": json.dumps(KPIS)},
    )
    for number, (theta, se) in enumerate(reversed(ABILITIES)):
        start = MONDAY - dt.timedelta(weeks=number)
        fitted = dt.datetime.combine(start + dt.timedelta(days=7), dt.time(), dt.UTC)
        execute(
            engine,
            "INSERT INTO mirt_ability (user_id, theta, se, version, fitted_at, week_start) "
            "VALUES (:user, :theta, :se, :version, :at, :week)",
            {"user": USER, "theta": theta, "se": se, "version": str(start), "at": fitted, "week": start},
        )
    for topic, on, n, right, median, theta, sd in TOPICS:
        execute(
            engine,
            "INSERT INTO features_topic_daily (user_id, topic_id, date, attempts, correct, rt_median, avg_time_ms, hints, "
            "theta_estimate, theta_sd) VALUES (:user, :topic, :date, :n, :right, :median, :median, 1, :theta, :sd)",
            {
                "user": USER, "topic": topic, "date": MONDAY + dt.timedelta(days=on), "n": n, "right": right,
                "median": median, "theta": theta, "sd": sd,
            },
        )  # fmt: skip
    execute(engine, "INSERT INTO student_name VALUES (:user, 'Minji')", {"user": USER})
    execute(
        engine,
        "INSERT INTO interest_goal (user_id, topic_id, target_level, priority, created_at) "
        "VALUES (:user, 'Fractions', 0.8, 2, '2025-09-01')",
        {"user": USER},
    )


def tally(topic: str | None = None, *, first: int = -21, last: int = 6) -> tuple[int, int]:
    """Answers and right ones of the days, counted from the Monday."""
    rows = [row for row in TOPICS if topic in (None, row[0]) and first <= row[1] <= last]
    return sum(row[2] for row in rows), sum(row[3] for row in rows)


def sundays() -> list[str]:
    return [day(MONDAY + dt.timedelta(days=6 - 7 * number)) for number in range(len(ABILITIES))]


def mondays() -> list[str]:
    return [day(MONDAY - dt.timedelta(weeks=number)) for number in range(4)]


def limits(value: float, error: float, show: Any) -> list[str]:
    return [show(value + sign * 1.96 * error) for sign in (-1, 1)]


def by_topic(*, is_teacher: bool) -> list[str]:
    found: list[str] = []
    for topic in ("Fractions", "Angles", "Percentages"):
        (n, right), (n_week, right_week) = tally(topic), tally(topic, first=0)
        found += map(str, (n, right, n_week, right_week))
        if is_teacher:
            rows = [row for row in TOPICS if row[0] == topic]
            theta, sd = rows[-1][5:]
            seconds = sum(row[4] for row in rows) / len(rows) / 1000
            found += [percent(right / n), str(round(seconds)), plain(theta), plain(1.96 * sd)]
    return found


def advice() -> list[str]:
    n, right = tally("Angles")
    n_all, right_all = tally()
    others = percent((right_all - right) / (n_all - n))
    n_basics, right_basics = tally("Fractions")
    basics = [str(right_basics), str(n_basics), logistic(-0.31), "100"]
    return [str(right), str(n), *wilson(right, n), others, *basics, signed(100 * KPIS["delta_theta"], 0)]


def header() -> list[str]:
    n, right = tally(first=0)
    return [day(MONDAY), day(MONDAY + dt.timedelta(days=6)), str(n), "3", "3", percent(right / n)]


def family_figures() -> list[list[str]]:
    """The figures of each section of the family's page."""
    theta, se = ABILITIES[-1]
    course = [text for t, error in ABILITIES for text in (points(t), *limits(t, error, points))]
    spread = KPIS["theta"] - 1.645 * KPIS["sigma"], KPIS["theta"] + 1.645 * KPIS["sigma"]
    dots = [str(round(50 * KPIS["P"])), str(50 - round(50 * KPIS["P"]))]
    return [
        header(),
        advice(),
        [points(theta), *limits(theta, se, points), logistic(theta), *course, *sundays()],
        by_topic(is_teacher=False),
        [points(KPIS["P_target"]), "12/15", dots[0], *dots, *map(points, spread)],
        [*(str(row[2]) for row in TOPICS), *mondays()],
        [day(MONDAY + dt.timedelta(days=6))],
    ]


def teacher_figures() -> list[list[str]]:
    """The same of the teacher's page."""
    theta, se = ABILITIES[-1]
    cards = [signed(KPIS["I_t"]), plain(KPIS["P_target"]), plain(KPIS["mean_gap"], 1), str(int(KPIS["S_days_silent"]))]
    counts = ("I_t_n_recent", "I_t_n_previous", "R_t_n_wrong", "R_t_n_met_again", "A_t_n_attempts", "sessions")
    more = ("theta_n_answers", "S_n_sessions", "S_horizon_days")
    shares = ("R_t", "A_t", "P", "P_lower", "P_upper", "S", "S_lower", "S_upper")
    days = [(str(n), str(right)) for n, right in (tally(first=number, last=number) for number in range(7))]
    of_weeks = [tally(first=first, last=first + 6) for first in (-21, -14, -7, 0)]
    rates = [percent(right / n) for n, right in [*of_weeks, *(row[2:4] for row in TOPICS if row[1] >= 0)]]
    course = [text for t, error in ABILITIES for text in (plain(t), *limits(t, error, plain))]
    return [
        header(),
        [*advice(), str(KPIS["R_t_n_met_again"]), percent(KPIS["R_t"])],
        [*cards, *(str(KPIS[name]) for name in counts + more), *(percent(KPIS[name]) for name in shares)],
        [plain(theta), *limits(theta, se, plain), day(MONDAY + dt.timedelta(days=6)), *course, *sundays()],
        [
            *(text for pair in days for text in pair),
            *(day(MONDAY + dt.timedelta(days=number)) for number in range(7)),
            *(str(count) for pair in of_weeks for count in pair),
            *rates,
            *mondays(),
        ],
        [*by_topic(is_teacher=True), "10/19", "11/9"],
        ["0.80", plain(-0.31), plain(1.96 * 0.31), plain(0.8 + 0.31), "2"],
        [day(MONDAY + dt.timedelta(days=7))],
    ]


CONSTANTS: dict[str, list[tuple[str, str]]] = {
    # What the prose of each section says of itself, in English and in Korean.
    "family": [
        ("", ""),
        ("", "2"),
        ("95 100 500 50 100 600 73", "95 100 500 50 600 73"),
        ("7 10 8", "4 4 7 10 8"),
        ("50 50", "50 50"),
        ("", "4"),
        ("", ""),
    ],
    "teacher": [
        ("", ""),
        ("", "2"),
        ("14 14 14 14 0 28 28 28 28 28 100 28 56", "14 14 14 14 0 28 28 28 28 28 28 100 28 56"),
        ("95 95 95 0", "95 95 95 0 2"),
        ("95", "95"),
        ("95 95", "95 95 50"),
        ("", ""),
        ("0 2.7 95 19 20 00 00", "0 1 2.7 20 19 95 00 00"),
    ],
}


def rendered(engine: Engine, page: str) -> Iterator[tuple[str, int, bytes]]:
    """The page of the student in each language, from the rows of the tables."""
    fill(engine)
    week = week_at(MONDAY, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), platform=PLATFORM)
    (report,) = documents(engine, week, settings=ReportSettings(), withhold=pytest.fail, skip=lambda: None)
    template = compile_template(template_folder(), PAGES[page])
    cells = runnable_cells(template)
    for number, code in enumerate(LANGUAGES):
        document = report.document.model_copy(update={"language": code})
        yield code, number, render_page(template, cells, document=document.to_json())


def without_dots(text: str) -> str:
    """The text without the table of the projection's dots, whose rows are compared here."""
    projected = NormalDist(KPIS["theta"], KPIS["sigma"])
    dots = [500 + 100 * projected.inv_cdf((number + 0.5) / 50) for number in range(50)]
    rows = [(int(a), int(b), int(n)) for a, b, n in DOTS.findall(text)]
    assert sum(n for _, _, n in rows) == 50
    for low, high, n in rows:
        # The limits of a row are shown as whole points.
        assert sum(low + 1 < dot < high - 1 for dot in dots) <= n <= sum(low - 1 < dot < high + 1 for dot in dots)
    return DOTS.sub(" ", text)


def compare(page: str, content: bytes, code: str, *, number: int, expected: list[list[str]]) -> None:
    sections = Sections(content).text
    assert len(sections) == len(expected)
    for at, (text, of_tables) in enumerate(zip(sections, expected, strict=True)):
        shown = figures(without_dots(text) if DOTS.search(text) and page == "family" and at == 4 else text, code)
        assert shown == Counter(of_tables) + Counter(CONSTANTS[page][at][number].split()), (page, code, at)


def test_every_figure_of_the_familys_page_equals_its_table_in_both_languages_and_formats(database: Engine) -> None:
    for code, number, content in rendered(database, "family"):
        compare("family", content, code, number=number, expected=family_figures())
        read = Sections(content)
        shown, drawn = figures(" ".join(read.text), code), figures(read.pictures, code)
        reader = PdfReader(io.BytesIO(pdf_of(content)))
        in_pdf = figures("\n".join(page.extract_text() for page in reader.pages), code)
        assert shown - in_pdf == Counter(), code
        # A PDF keeps the words of one drawing of each chart too.
        assert in_pdf - shown - drawn == Counter(), code


def test_every_figure_of_the_teachers_page_equals_its_table_in_both_languages(database: Engine) -> None:
    for code, number, content in rendered(database, "teacher"):
        compare("teacher", content, code, number=number, expected=teacher_figures())
