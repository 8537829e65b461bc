"""Pages of the reports per processor second, and a week of reports from 1,000 to 100,000 students.

    python -m benchmarks.report [--students 1000,10000,100000] [--sample 200] [--shards 4] [--quick]

The first table renders a sample: the family's and the teacher's page of one student with twelve weeks of data, and the PDF.

The second table goes through PostgreSQL (DATABASE_URL, else an embedded one in a temporary folder), each row in a
separate process. Everything is in full but the rendering: a line stands in place of each page, and the store keeps nothing.
"new" reads each student's data and records each file; "unchanged" runs again; "one of n shards" is the same by one of n
steps; "messages" writes the sentences of the week. Imports are not in the seconds. "processor s" is
without the database; "with rendering" adds both HTML pages at the first table's rate where they would be rendered.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks._measure import database, in_own_process, machine
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.quarto.execute import render_page, runnable_cells
from seedtest_analytics.resources.quarto.pdf import pdf_of
from seedtest_analytics.resources.quarto.renderer import RenderedPage, RenderedReport, template_folder
from seedtest_analytics.resources.quarto.template import PAGES, compile_template

Done = tuple[int, float, float]
"""Students, seconds, and processor seconds of this process, without those of the database."""

MONDAY = dt.date(2025, 11, 3)
SEED = 20251103
GOALS = {"HTML": 50, "PDF": 8}
"""Pages a second and core."""

_FILL = (
    "TRUNCATE weekly_kpi, mirt_ability, features_topic_daily, attempt_log, report_artifacts, report_pages, weekly_message, "
    "mirt_fit_meta, mirt_item_params_history",
    """
    INSERT INTO weekly_kpi (user_id, week_start, kpis)
    SELECT 'student-' || n, CAST(:monday AS date) - 7 * week, jsonb_build_object(
        'P', 0.6, 'P_method', 'normal', 'P_target', 0.5, 'P_target_source', 'interest_goal', 'theta', random() - 0.5,
        'sigma', 0.3, 'S', 0.1, 'A_t', random(), 'A_t_n_attempts', 40, 'I_t', random() - 0.5, 'R_t', random())
    FROM generate_series(1, :students) AS n, generate_series(0, 7) AS week
    """,
    """
    INSERT INTO mirt_ability (user_id, theta, se, version, fitted_at, week_start, run_id)
    SELECT user_id, random() - 0.5, 0.3, week_start::text, (week_start + 7)::timestamptz, week_start, 'irt' FROM weekly_kpi
    """,
    """
    INSERT INTO features_topic_daily
        (user_id, topic_id, date, attempts, correct, rt_median, avg_time_ms, theta_estimate, theta_sd)
    SELECT 'student-' || n, 'topic ' || topic, CAST(:monday AS date) - 7 * week + topic, 8, floor(9 * random())::int,
        30000, 30000, random() - 0.5, 0.3
    FROM generate_series(1, :students) AS n, generate_series(1, 5) AS topic, generate_series(0, 3) AS week
    """,
    """
    INSERT INTO attempt_log (id, student_id, item_id, correct, response_time_ms, hint_used, completed_at, started_at, attempt_no,
        session_id, user_id, topic_id, exam_result_id, question_ordinal, is_answered, answer_no, occurrence_no)
    SELECT 20 * n + k, md5(n::text)::uuid, 1 + (n + 7 * k) % 300, random() < 0.6, 0, false, at, at, 1, n || '/' || k,
        'student-' || n, 'topic ' || 1 + k % 5, md5(n || '/' || k)::uuid, 1, true, 1, 1
    FROM generate_series(1, :students) AS n, generate_series(0, 19) AS k,
        LATERAL (SELECT CAST(:monday AS timestamptz) + make_interval(days => k % 7 - 7 * (k / 7), hours => 9) AS at) AS t
    """,
    """
    INSERT INTO mirt_fit_meta (run_id, model_spec, metrics, fitted_at, week_start, version, is_usable, data_fingerprint)
    VALUES ('irt', '{"model": "Rasch", "scale_origin": "own"}', '{}', CAST(:monday AS date), :monday, 'v', true,
        gen_random_uuid())
    """,
    """
    INSERT INTO mirt_item_params_history (run_id, item_id, model, a, b, c, n_responses, is_anchor, week_start)
    SELECT 'irt', n::text, 'Rasch', 1, -1.5 + 0.01 * n, 0, 100, false, :monday FROM generate_series(1, 300) AS n
    """,
    "ANALYZE",
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", default="1000,10000,100000", help="sizes, separated by commas")
    parser.add_argument("--sample", type=int, default=200, help="rendered pages of each kind")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="20 pages of each kind, and 500 students")
    arguments = parser.parse_args()
    sample = 20 if arguments.quick else arguments.sample
    sizes = [500] if arguments.quick else [int(size) for size in arguments.students.split(",")]
    rates, pages = rendering(sample)
    Console(width=150).print(pages)
    growth(sizes, shards=arguments.shards, page_seconds=sum(1 / rate for rate in rates))


def rendering(n: int) -> tuple[list[float], Table]:
    """HTML pages of each kind per processor second, and the table."""
    documents = [student(random.Random(SEED + i)).to_json() for i in range(n)]
    shown = Table("page", "sample", "pages a processor second", "goal", "peak memory, MB", title=machine())
    rates = []
    for page, main_file in PAGES.items():
        template = compile_template(template_folder(), main_file)
        cells = runnable_cells(template)
        made = [render_page(template, cells, document=document) for document in documents]
        rates.append(
            per_second(partial(render_page, template, cells), [{"document": document} for document in documents])
        )
        shown.add_row(f"{page}, HTML", str(n), f"{rates[-1]:.0f}", str(GOALS["HTML"]), str(peak_mb()))
        if page == "family":
            pdf_of(made[0])
            rate = per_second(pdf_of, [{"page": content} for content in made])
            shown.add_row("family, PDF", str(n), f"{rate:.0f}", str(GOALS["PDF"]), str(peak_mb()))
    return rates, shown


def growth(sizes: Sequence[int], *, shards: int, page_seconds: float) -> None:
    """Print a week of reports and of messages by number of students."""
    parts: list[tuple[str, Callable[..., Done], tuple[int, int], bool]] = [
        ("reports, new", reports_of_week, (0, 1), True),
        ("reports, unchanged", reports_of_week, (0, 1), False),
        (f"reports, unchanged, 1 of {shards} shards", reports_of_week, (0, shards), False),
        ("list of the week", list_of_week, (0, 1), False),
        ("messages", messages_of_week, (0, 1), False),
        (f"messages, 1 of {shards} shards", messages_of_week, (0, shards), False),
    ]
    columns = ("students", "part", "done", "seconds", "processor s", "with rendering, processor s", "peak MB")
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, database(Path(folder)) as url:
        for size in sizes:
            in_own_process(fill, url, size)
            table = Table(*columns, title=f"{size:,} students; {machine()}")
            for part, function, shard, is_rendered in parts:
                run = in_own_process(function, url, *shard)
                done, seconds, processor = run.result
                total = processor + done * page_seconds if is_rendered else processor
                shown = [f"{size:,}", part, f"{done:,}", f"{seconds:.1f}", f"{processor:.1f}", f"{total:.0f}"]
                table.add_row(*shown, f"{run.megabytes:,.0f}")
            Console(width=150).print(table)


class Clock:
    """Seconds and processor seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Both."""
        return time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def fill(url: str, n_students: int) -> None:
    """Eight weeks of KPIs and abilities, four weeks of five topics, twenty answers in three weeks."""
    from sqlalchemy import text

    from seedtest_analytics.database.engine import engine_for, normalised_url

    with engine_for(normalised_url(url)).begin() as connection:
        connection.execute(text("SELECT setseed(0.5)"))
        for query in _FILL:
            connection.execute(text(query), {"monday": MONDAY, "students": n_students})


class _Line:
    """Renders a line in place of each page."""

    renderer = "embedded"

    def render_many(self, documents: Iterator[ReportDocument]) -> Iterator[RenderedReport]:
        """One line for each page."""
        for document in documents:
            pages = tuple(RenderedPage(page, "html", content=_line(document.user_id)) for page in PAGES)
            yield RenderedReport(document.user_id, document.week_start, pages=pages, renderer="embedded")


def _line(user_id: str) -> bytes:
    return f"<p>{user_id}</p>".encode()


def _store() -> Any:
    """A store that keeps nothing and knows what it would have kept."""
    from seedtest_analytics.resources.store.folder import FolderStore

    class Forgetful(FolderStore):
        def put(self, key: Any, content: bytes, *, language: str = "en") -> bool:
            return True

        def digest(self, key: Any) -> str | None:
            return hashlib.sha256(_line(key.user_id)).hexdigest()

    return Forgetful(Path("/nowhere"))


def reports_of_week(url: str, number: int, shards: int) -> Done:
    """The reports of a week's shard, without rendering."""
    from seedtest_analytics.assets.framework.shards import Shard
    from seedtest_analytics.assets.report_inputs import page_version
    from seedtest_analytics.assets.report_work import render_week
    from seedtest_analytics.resources.object_store import ObjectStoreResource
    from seedtest_analytics.resources.postgres import PostgresResource
    from seedtest_analytics.resources.quarto.resource import QuartoResource
    from seedtest_analytics.settings import ReportSettings

    class Lines(QuartoResource):
        @contextmanager
        def open(self, *_: Any, **__: Any) -> Iterator[Any]:
            yield _Line()

    class Nowhere(ObjectStoreResource):
        def store(self) -> Any:
            return _store()

        def waiting(self) -> None:
            return None

    page_version()
    clock = Clock()
    found = render_week(
        PostgresResource.having(url=url),
        Nowhere(),
        quarto=Lines(),
        week=_week(),
        settings=ReportSettings(),
        shard=Shard(number, shards),
        dry=False,
    )
    assert found.is_whole, found
    return found.made, *clock.read()


def messages_of_week(url: str, number: int, shards: int) -> Done:
    """The sentences of a week's shard."""
    import logging

    from seedtest_analytics.assets.framework.shards import Shard
    from seedtest_analytics.assets.framework.week_run import WeekRun
    from seedtest_analytics.assets.messages.week import write_week
    from seedtest_analytics.resources.postgres import PostgresResource
    from seedtest_analytics.settings import Settings

    week, clock = _week(), Clock()
    with PostgresResource.having(url=url).transaction("messages") as connection:
        run = WeekRun(
            week,
            connection,
            settings=Settings(),
            log=logging.getLogger("benchmarks"),
            is_dry_run=False,
            lock="messages",
        )
        found = write_week(run, Shard(number, shards))
    return found.students, *clock.read()


def list_of_week(url: str, _number: int, _shards: int) -> Done:
    """The list of the week's reports."""
    from seedtest_analytics.assets.report_index import index_file
    from seedtest_analytics.resources.postgres import PostgresResource
    from seedtest_analytics.settings import ReportSettings

    clock = Clock()
    with PostgresResource.having(url=url).engine.connect() as connection:
        file = index_file(connection, _week(), store=_store(), settings=ReportSettings())
    assert file is not None
    return file.content.count(b"report.html"), *clock.read()


def _week() -> Any:
    from seedtest_analytics.partitions import week_at
    from seedtest_analytics.settings import PlatformSettings

    return week_at(MONDAY, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), platform=PlatformSettings())


def per_second(make: Callable[..., object], arguments: Sequence[dict[str, bytes]]) -> float:
    """Pages that ``make`` makes in a second of this process."""
    start = time.process_time()
    for one in arguments:
        make(**one)
    return len(arguments) / (time.process_time() - start)


def peak_mb() -> int:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def student(draw: random.Random) -> ReportDocument:
    """An invented student: five topics, four weeks of answers, twelve abilities, a goal."""
    theta = draw.gauss(0.0, 1.0)
    topics = [
        {
            "topic_id": f"topic {topic}",
            "date": MONDAY - dt.timedelta(days=7 * week - draw.randint(0, 6)),
            "attempts": (n := draw.randint(3, 9)),
            "correct": draw.randint(0, n),
            "theta_estimate": theta + draw.gauss(0.0, 0.3),
            "theta_sd": 0.3,
        }
        for topic in range(5)
        for week in range(4)
    ]
    abilities = [
        {"date": MONDAY - dt.timedelta(days=7 * week - 6), "theta": theta - 0.05 * week, "se": 0.3}
        for week in range(12)
    ]
    kpis = {"P": 0.6, "P_method": "normal", "P_target": 0.5, "theta": theta, "sigma": 0.3, "S": 0.1, "A_t": 0.5}
    items = [{"item_id": str(i), "difficulty": draw.gauss(0.0, 1.0)} for i in range(100)]
    return ReportDocument.validated(
        {
            "user_id": "u",
            "week_start": MONDAY,
            "language": "ko",
            "kpis": kpis,
            "ability_trend": abilities,
            "topic_features": topics,
            "item_params": items,
        }
    )


if __name__ == "__main__":
    main()
