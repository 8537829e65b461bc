"""Pages per processor second: the family's and the teacher's page of one student with twelve weeks of data, and the PDF."""

from __future__ import annotations

import argparse
import datetime as dt
import random
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from benchmarks._measure import machine
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.quarto.execute import render_page, runnable_cells
from seedtest_analytics.resources.quarto.pdf import pdf_of
from seedtest_analytics.resources.quarto.renderer import template_folder
from seedtest_analytics.resources.quarto.template import PAGES, compile_template

MONDAY = dt.date(2025, 11, 3)
SEED = 20251103


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 pages of each kind instead of 200")
    n = 20 if parser.parse_args().quick else 200
    documents = [student(random.Random(SEED + i)).to_json() for i in range(n)]
    shown = Table("page", "pages", "pages a processor second", "peak memory, MB", title=machine())
    for page, main_file in PAGES.items():
        template = compile_template(template_folder(), main_file)
        cells = runnable_cells(template)
        made = [render_page(template, cells, document=document) for document in documents]
        rate = per_second(partial(render_page, template, cells), [{"document": document} for document in documents])
        shown.add_row(f"{page}, HTML", str(n), f"{rate:.0f}", str(peak_mb()))
        if page == "family":
            pdf_of(made[0])
            shown.add_row(
                "family, PDF",
                str(n),
                f"{per_second(pdf_of, [{'page': content} for content in made]):.0f}",
                str(peak_mb()),
            )
    Console().print(shown)


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
