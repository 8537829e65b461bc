"""Takes the pictures of docs/images: of the UI over a home that is up, and of a report.

    python scripts/pictures.py ui http://127.0.0.1:3000 docs/images
    python scripts/pictures.py report .dagster/reports/reports/STUDENT/WEEK/report.html docs/images
    python scripts/pictures.py cohorts .dagster/reports/cohorts docs/images

Look at each before it is committed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from chromium import Page, browser

MAIN_PATH = ("sources", "attempts", "psychometrics", "features", "kpis", "reports")
ASSET_OF_GROUP = {
    "sources": "exam_results",
    "attempts": "attempt",
    "psychometrics": "mirt_ability",
    "features": "features_topic_daily",
    "kpis": "weekly_kpi/P",
    "reports": "weekly_report",
    "growth": "growth_prediction",
    "churn": "survival_fit_meta",
    "forecasts": "prophet_fit_meta",
    "segments": "segment_meta",
    "drift": "item_calibration",
    "backtest": "prediction_backtest",
}
ALL_GROUPS = tuple(ASSET_OF_GROUP)

LINEAGE_BOX = """(() => {
  const boxes = [...document.querySelectorAll('foreignObject')].map(e => e.getBoundingClientRect());
  const left = Math.min(...boxes.map(b => b.left)), top = Math.min(...boxes.map(b => b.top));
  return [left, top, Math.max(...boxes.map(b => b.right)) - left, Math.max(...boxes.map(b => b.bottom)) - top];
})()"""
"""Position and size of the drawn graph."""
HIDE_CONTROLS = """[...document.querySelectorAll('input[type=range], [class*=slider i]')].forEach(e => {
  let box = e;
  while (box.parentElement && box.parentElement.getBoundingClientRect().width < 100) box = box.parentElement;
  box.style.display = 'none';
})"""
"""The zoom slider lies over the graph."""
PLOT_LINK = """(() => {
  const row = [...document.querySelectorAll('tr')].find(
    r => r.innerText.startsWith('NAME') && r.innerText.includes('Show Markdown'));
  row.scrollIntoView({block: 'center'});
  const link = [...row.querySelectorAll('*')].find(e => !e.children.length && e.innerText.includes('Show Markdown'));
  const box = link.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})()"""
"""Where to click to see a plot of an asset's metadata."""
HIDE_COLUMNS = """(() => {
  const title = [...document.querySelectorAll('*')].find(e => !e.children.length && e.innerText === 'Columns');
  if (!title) return;
  let section = title;
  while (!section.parentElement.innerText.includes('Metadata')) section = section.parentElement;
  section.style.display = 'none';
})()"""
"""The data dictionary has the columns; a picture shows the numbers."""
BOTTOM = """Math.max(...[...document.querySelectorAll('table')].map(e => e.getBoundingClientRect().bottom))"""
"""Where the metadata of an asset's page end."""
NEWEST_RUN = r"[...document.querySelectorAll('a')].map(a => a.href).find(h => /runs\/[0-9a-f]{8}-/.test(h))"


def lineage(page: Page, url: str, *, target: Path, groups: tuple[str, ...], width: int) -> None:
    """The graph from top to bottom with these groups open."""
    page.open(url, 1000, height=800)
    page.evaluate("localStorage.setItem('asset-graph-direction', '\"vertical\"')")
    opened = quote(",".join(f"global@global:{group}" for group in groups))
    page.open(f"{url}/asset-groups?expanded={opened}", width, height=width // 2, scale=2)
    page.wait_for("document.querySelectorAll('foreignObject').length > 9")
    page.settle(4)
    page.evaluate(HIDE_CONTROLS)
    x, y, box_width, box_height = page.evaluate(LINEAGE_BOX)
    page.picture(target, (x - 12, y - 12, box_width + 24, box_height + 24))


def plot(page: Page, url: str, *, target: Path, asset: str, name: str) -> None:
    """An asset's page with one of its plots."""
    page.open(f"{url}/assets/{asset}", 1500, height=1000)
    page.settle(5)
    place = page.evaluate(PLOT_LINK.replace("NAME", name))
    page.settle(1)
    place = page.evaluate(PLOT_LINK.replace("NAME", name)) or place
    page.click(*place)
    page.settle()
    page.picture(target)


def asset_page(page: Page, url: str, *, target: Path, asset: str) -> None:
    """Status, description and metadata of an asset's page, to the end of its numbers and thumbnails."""
    page.open(f"{url}/assets/{asset}", 1500, height=2600)
    page.wait_for("document.body.innerText.includes('Metadata')")
    page.settle(5)
    page.evaluate(HIDE_COLUMNS)
    page.settle(1)
    page.picture(target, (240, 0, 870, min(page.evaluate(BOTTOM) + 12, 2600)))


def view(path: str, height: int = 900) -> Callable[[Page, str, Path], None]:
    """A page as it opens."""

    def take(page: Page, url: str, target: Path) -> None:  # noqa: PLR0917
        page.open(f"{url}{path}", 1500, height=height)
        page.settle(9)
        page.picture(target)

    return take


def run_log(page: Page, url: str, *, target: Path) -> None:
    """The newest run."""
    page.open(f"{url}/runs", 1500, height=900)
    page.wait_for(f"{NEWEST_RUN} !== undefined")
    view(page.evaluate(f"{NEWEST_RUN}.replace(location.origin, '')"))(page, url, target)


def take_ui(url: str, folder: Path) -> None:
    """Every picture of the UI."""
    with browser() as page:
        lineage(page, url, target=folder / "lineage.png", groups=MAIN_PATH, width=1800)
        lineage(page, url, target=folder / "lineage-all.png", groups=ALL_GROUPS, width=3000)
        plot(page, url, target=folder / "asset-plot.png", asset="survival_fit_meta", name="hazard_ratios")
        for group, asset in ASSET_OF_GROUP.items():
            asset_page(page, url, target=folder / f"group-{group}.png", asset=asset)
        view("/assets/survival_fit_meta?view=checks")(page, url, folder / "checks.png")
        view("/automation", 1000)(page, url, folder / "automation.png")
        view("/assets")(page, url, folder / "catalog.png")
        run_log(page, url, target=folder / "run.png")


def take_report(report: Path, folder: Path) -> None:
    """The first part of a report on a desk and on a phone."""
    with browser() as page:
        page.open(report.resolve().as_uri(), 860, height=1150, scale=1.5)
        page.picture(folder / "report.png")
        page.open(report.resolve().as_uri(), 390, height=844, scale=2)
        page.picture(folder / "report-phone.png")


def take_cohorts(folder: Path, target: Path) -> None:
    """The first part of the newest page of each scope."""
    with browser() as page:
        for scope in ("class", "organisation", "platform"):
            newest = sorted(folder.glob(f"{scope}/**/report.html"))[-1]
            page.open(newest.resolve().as_uri(), 860, height=1500, scale=1)
            page.picture(target / f"{scope}.png")


if __name__ == "__main__":
    what, source, target = sys.argv[1:]
    if what == "ui":
        take_ui(source.rstrip("/"), Path(target))
    elif what == "report":
        take_report(Path(source), Path(target))
    elif what == "cohorts":
        take_cohorts(Path(source), Path(target))
    else:
        sys.exit(__doc__)
