"""A change of code changes the versions of the assets that depend on it, and of no other.

The sources are edited for real, in a copy that is laid out like an installed wheel.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from seedtest_analytics.assets.framework.code_version import Code, Node
from seedtest_analytics.assets.framework.versions import versioned
from seedtest_analytics.build import ASSET_MODULES

REPOSITORY = Path(__file__).resolve().parents[3]
IN_A_WHEEL = {"sql": "seedtest_analytics/_sql", "quarto": "seedtest_analytics/_quarto"}

CALIBRATION = {"mirt_item_params", "mirt_fit_meta"}
SCORING = {"mirt_ability", "ability_window", "student_topic_theta"}
DRIFT = {"drift_windows", "item_calibration", "drift_alerts"}
MIXED_MODEL = {"growth_glmm_meta", "weekly_kpi/growth_slope"}
GROWTH = {"growth_prediction", "growth_brms_meta"}
KPIS = {f"weekly_kpi/{name}" for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")}
CHURN_SCORES = {"survival_risk", "weekly_kpi/S", "inactivity_notice"}
FORECASTS = {"prophet_fit_meta", "prophet_anomalies"}
SEGMENTS = {"user_segment", "segment_meta"}


@dataclass(frozen=True)
class Edit:
    """An edit of one file: every pattern is replaced once."""

    path: str
    replacements: tuple[tuple[str, str], ...]


def code(path: str, *replacement: str) -> Edit:
    return Edit(f"seedtest_analytics/{path}", (replacement,))


def file(path: str, *replacement: str) -> Edit:
    return Edit(path, (replacement,))


CHANGES = {
    # A constant of one week.
    "USABLE_SHARE": (
        code("assets/psychometrics/calibration/week.py", r"USABLE_SHARE = 0\.5", "USABLE_SHARE = 0.6"),
        CALIBRATION,
    ),
    "MIN_CONCORDANCE": (
        code("assets/churn/fit.py", "MIN_CONCORDANCE = .*", "MIN_CONCORDANCE = 0.6"),
        {"survival_fit_meta"},
    ),
    "whether a check blocks": (
        code("assets/psychometrics/checks.py", r'(Check\("on_the_scale", "[^"]*")', r"\1, is_blocking=True"),
        CALIBRATION,
    ),
    # Statistics that several assets use.
    "EM steps": (code("stats/irt/optimiser.py", "^_EM_STEPS = .*", "_EM_STEPS = 3"), CALIBRATION | DRIFT),
    # Calibration scores for its report and for DIF, growth for its weekly scores.
    "points of an ability's grid": (
        code("stats/irt/ability_kernels.py", "^_LOCAL_POINTS = .*", "_LOCAL_POINTS = 91"),
        CALIBRATION | SCORING | GROWTH | DRIFT,
    ),
    "a default prior of growth": (
        code("stats/growth/priors.py", r"lkj_eta: float = 1\.0", "lkj_eta: float = 2.0"),
        GROWTH,
    ),
    "the longest horizon": (
        code("stats/growth/prediction.py", "^MAX_HORIZON_WEEKS = .*", "MAX_HORIZON_WEEKS = 52.0"),
        GROWTH,
    ),
    "a weight of the churn heuristic": (
        code("stats/survival/churn.py", r"^HEURISTIC_WEIGHTS = .*", "HEURISTIC_WEIGHTS = np.array([0.5, 0.3, 0.2])"),
        CHURN_SCORES | {"survival_fit_meta"},
    ),
    "the text of a segment": (code("stats/segments/labels.py", "^KEEPING_SLACK = .*", "KEEPING_SLACK = 0.3"), SEGMENTS),
    # SQL by statement.
    "a predicate of E_t": (file("sql/kpis/E_t.sql", "AND is_answered AND correct", "AND correct"), {"weekly_kpi/E_t"}),
    # The six KPIs share functions; four of them are one step.
    "a parameter of E_t": (
        code("assets/kpis/assets.py", r'("kpis/E_t\.sql",[^"]*"days_28": week\.days_before\()28', r"\g<1>29"),
        {"weekly_kpi/E_t"},
    ),
    "how a week's KPIs are computed": (code("assets/kpis/assets.py", "is_whole=True", "is_whole=False"), KPIS),
    "the students of a KPI": (
        file("sql/kpis/population.sql", "completed_at >= :since", "completed_at > :since"),
        KPIS | MIXED_MODEL | {"survival_risk"},
    ),
    "a statement that only scoring uses": (
        file("sql/psychometrics/scale.sql", r"IN \(:first_week, :last_week\)", "= :last_week"),
        SCORING,
    ),
    "a statement of the churn scores": (
        file("sql/churn/risk.sql", r"(-- name: merge_kpi\n(?:--[^\n]*\n)*)(UPDATE|SELECT|INSERT)", r"\1/**/\2 /*+*/ 1"),
        {"weekly_kpi/S", "inactivity_notice"},
    ),
    "how KPI rows are merged": (
        code("database/kpi_rows.py", r'^(def merge_kpis\([^"]*"""[^"]*"""\n)', r"\1    assert name\n"),
        KPIS | MIXED_MODEL | {"weekly_kpi/I_t_expected", "inactivity_notice"},
    ),
    # Programs in other languages.
    "a line of a Stan program": (
        code("stats/growth/programs/growth_marginal.stan", "real<lower=0> lkj_eta", "real<lower=0.1> lkj_eta"),
        GROWTH,
    ),
    "a line of a C\N{PLUS SIGN}\N{PLUS SIGN} header": (
        code("stats/growth/programs/marginal_loglik.hpp", "constexpr int LANES = 8", "constexpr int LANES = 4"),
        GROWTH,
    ),
    "a line of the lme4 script": (code("resources/r/scripts/glmm.R", "RESTARTS <- 4L", "RESTARTS <- 5L"), MIXED_MODEL),
    "a line of the mirt script": (
        code("resources/r/scripts/mirt_calibrate.R", r"paste0\(\"item\"", 'paste0("question"'),
        CALIBRATION | DRIFT,
    ),
    # The report: its template, its style, and the code that the template calls.
    "the report's template": (
        file("quarto/weekly_report.qmd", "What to do next", "What next"),
        {"weekly_report", "report_pages", "cohort_report"},
    ),
    "the report's style": (
        file("quarto/theme.css", r"\A", "p { color: red }\n"),
        {"weekly_report", "report_pages", "cohort_report"},
    ),
    "a translation": (
        file("seedtest_analytics/reporting/catalogues/ko.po", "다음에 할 일", "다음 할 일"),
        {"weekly_report", "report_pages", "cohort_report"},
    ),
    "a chart": (
        code("reporting/charts.py", "^DATE_LABEL_PX = .*", "DATE_LABEL_PX = 60"),
        {"weekly_report", "report_pages", "cohort_report"},
    ),
    "what teachers see": (
        code("reporting/teacher_views.py", "^SHOWN_ANOMALIES = .*", "SHOWN_ANOMALIES = 11"),
        {"weekly_report", "report_pages", "cohort_report"},
    ),
}

NO_CHANGES = {
    "a module's docstring": code("stats/irt/optimiser.py", r'\A"""', '"""Reworded. '),
    "a function's docstring": code("stats/irt/scoring.py", r'(\ndef [^"]*""")', r"\1Reworded. "),
    "a comment": code("stats/irt/optimiser.py", "^_EM_STEPS", "# A new reason.\n_EM_STEPS"),
    "another layout": code("assets/churn/fit.py", "MIN_CONCORDANCE = (.*)", r"MIN_CONCORDANCE = (\n    \1\n)"),
    "an annotation": code("assets/psychometrics/scoring/checks.py", "old: Any, new: Any", "old: object, new: object"),
    "a check's description": code("assets/churn/checks.py", "The model ranks students", "Students are ranked"),
    "a resource's description": code("resources/r/resource.py", "R in a separate process", "R in its own process"),
    "a table's description": code("assets/psychometrics/assets.py", "Item parameters on the", "Parameters on the"),
    "a late import that becomes an early one": Edit(
        "seedtest_analytics/assets/kpis/assets.py",
        (
            ("    from seedtest_analytics.assets.kpis.goal import stage_goal_probability\n", ""),
            (r'"""\n\n', '"""\nfrom seedtest_analytics.assets.kpis.goal import stage_goal_probability\n\n'),
        ),
    ),
    "a comment in SQL": file("sql/kpis/E_t.sql", "-- Grain:", "-- One row:"),
    "the layout of SQL": file("sql/kpis/E_t.sql", "WITH timed AS", "WITH\n    timed AS"),
    "a comment in R": code("resources/r/scripts/glmm.R", "# Mixed models", "# Models"),
    "a comment in Stan": code("stats/growth/programs/growth_marginal.stan", "// score ~ week", "// points ~ week"),
    "the simulation": code("stats/simulate/config.py", r"^(@dataclass)", r"UNUSED = 1\n\n\n\1"),
    "how values are written as JSON": code("assets/framework/json_text.py", "ensure_ascii=False", "ensure_ascii=True"),
}

COMPUTE = """
import ast, functools, gc, json, pathlib, re, sys

import seedtest_analytics
from seedtest_analytics.assets.framework.versions import versioned
from seedtest_analytics.build import ASSET_MODULES
from seedtest_analytics.database import sql_files

ast.parse = functools.cache(ast.parse)
gc.disable()
root = pathlib.Path(seedtest_analytics.__file__).parents[1]

def versions():
    sql_files.read_sql.cache_clear()
    sql_files.statements.cache_clear()
    return {spec.key.to_user_string(): spec.code_version for assets in versioned(ASSET_MODULES) for spec in assets.specs}

def edited(*edits):
    paths = [root / edit["path"] for edit in edits]
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        return f"absent: {absent}"
    before = {path: path.read_text() for path in paths}
    try:
        for edit, path in zip(edits, paths):
            for pattern, replacement in edit["replacements"]:
                text, n = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
                if not n:
                    return f"{path} does not contain {pattern}"
                path.write_text(text)
        return versions()
    finally:
        for path, text in before.items():
            path.write_text(text)

changes, no_changes = json.load(sys.stdin)
found = {"root": str(root), "unedited": versions()}
found |= {name: edited(edit) for name, edit in changes.items()}
# Edits that change nothing one by one change nothing together, which takes less time.
together = edited(*no_changes.values())
is_unchanged = together == found["unedited"]
found |= {name: together if is_unchanged else edited(edit) for name, edit in no_changes.items()}
print(json.dumps(found))
"""

Versions = dict[str, dict[str, str]]


def copied(folder: Path) -> Path:
    """The sources as an installed wheel has them: ``sql`` and ``quarto`` are in the package, and no project is beside it."""
    for name in ("seedtest_analytics", *IN_A_WHEEL):
        target = folder / IN_A_WHEEL.get(name, name)
        shutil.copytree(REPOSITORY / name, target, ignore=shutil.ignore_patterns("__pycache__", "_cache"))
    return folder


def in_a_wheel(edit: Edit) -> dict[str, object]:
    top, rest = edit.path.split("/", 1)
    return asdict(edit) | {"path": f"{IN_A_WHEEL.get(top, top)}/{rest}"}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Versions by asset, without an edit and with each."""
    root = copied(tmp_path_factory.mktemp("site-packages"))
    edits = ({name: edit for name, (edit, _) in CHANGES.items()}, NO_CHANGES)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPUTE],
        input=json.dumps([{name: in_a_wheel(edit) for name, edit in group.items()} for group in edits]),
        # With a home, so that hashes are kept: every edit must be noticed.
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "DAGSTER_HOME": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: Versions = json.loads(done.stdout)
    assert found.pop("root") == str(root)
    return found


def changed(versions: Versions, edit: str) -> set[str]:
    after, before = versions[edit], versions["unedited"]
    assert isinstance(after, dict), after
    return {key for key in before if before[key] != after[key]}


@pytest.mark.long
@pytest.mark.parametrize("edit", CHANGES)
def test_a_change_reaches_the_assets_that_depend_on_it_and_no_other(versions: Versions, edit: str) -> None:
    assert changed(versions, edit) == CHANGES[edit][1]


@pytest.mark.long
@pytest.mark.parametrize("edit", NO_CHANGES)
def test_what_changes_no_behaviour_changes_no_version(versions: Versions, edit: str) -> None:
    assert changed(versions, edit) == set()


@pytest.mark.long
def test_a_version_is_the_same_in_a_checkout_and_in_a_wheel_elsewhere(versions: Versions) -> None:
    here = {
        spec.key.to_user_string(): spec.code_version for assets in versioned(ASSET_MODULES) for spec in assets.specs
    }
    assert here == versions["unedited"]
    computed = {key for key, version in here.items() if version}
    assert computed > CALIBRATION | SCORING | DRIFT | MIXED_MODEL | GROWTH | KPIS | CHURN_SCORES | FORECASTS | SEGMENTS


# ---- how names are followed, in a package of a few lines ----


def package(root: Path, **modules: str) -> Code:
    """Sources of `seedtest_analytics.stats.<name>`."""
    folder = root / "seedtest_analytics" / "stats"
    folder.mkdir(parents=True)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return Code(root)


def names(code: Code, module: str, name: str) -> set[str]:
    prefix = "seedtest_analytics.stats."
    return {f"{n.where.removeprefix(prefix)}.{n.name}" for n in code.dependencies(prefix + module, name)}


def test_names_are_followed_through_modules_attributes_and_re_exports(tmp_path: Path) -> None:
    code = package(
        tmp_path,
        a="from seedtest_analytics.stats import b\n\ndef f():\n    return b.g() + b.c.h()\n\ndef unused():\n    return b.k()\n",
        b="from seedtest_analytics.stats import c\nfrom seedtest_analytics.stats.c import SIZE as N\n\n"
        "def g():\n    return N\n\ndef k():\n    return 1\n",
        c="SIZE = 3\n\ndef h():\n    return h\n",
    )
    assert names(code, "a", "f") == {"a.f", "b.g", "c.SIZE", "c.h"}


def test_a_name_that_is_imported_but_not_defined_is_an_error(tmp_path: Path) -> None:
    """A name that is made at run time would leave its code out without a word."""
    code = package(
        tmp_path, a="from seedtest_analytics.stats.b import made\n\nX = made()\n", b="globals()['made'] = int\n"
    )
    with pytest.raises(LookupError, match=r"seedtest_analytics\.stats\.b does not define made"):
        code.dependencies("seedtest_analytics.stats.a", "X")


def test_definitions_below_a_condition_count(tmp_path: Path) -> None:
    source = "if TYPE:\n    SIZE = 1\nelse:\n    SIZE = 2\n\ntry:\n    A = SIZE\nexcept ValueError:\n    A = 2\n"
    assert names(package(tmp_path, a=source), "a", "A") == {"a.A", "a.SIZE"}


def test_what_a_string_names_counts(tmp_path: Path) -> None:
    code = package(
        tmp_path,
        a='SQL = "psychometrics/scale.sql"\n\ndef f():\n    return statement(SQL, "usable_for")\n\n'
        'def g(name):\n    return statement("psychometrics/anchors.sql", name)\n\n'
        'WORKER = "seedtest_analytics.stats.b"\nPROGRAM = "b.stan"\n',
        b="def main():\n    pass\n",
    )
    (tmp_path / "seedtest_analytics/stats/b.stan").write_text("// a model\n")
    a = "seedtest_analytics.stats.a"
    assert code.dependencies(a, "f") == {Node("code", a, "f"), Node("sql", "psychometrics/scale.sql", "usable_for")}
    of_file = {node.name for node in code.dependencies(a, "g")}
    assert of_file == {
        "g",
        "candidates",
        "history",
        "meta_not_understood",
        "newest_calibration",
        "tag",
        "tagged",
        "write_back",
    }
    assert names(code, "a", "WORKER") == {"a.WORKER", "b.main"}
    program = Node("program", "seedtest_analytics/stats", "b.stan")
    assert code.dependencies(a, "PROGRAM") == {Node("code", a, "PROGRAM"), program}


def test_the_version_does_not_depend_on_the_release_of_python(tmp_path: Path) -> None:
    """Every supported release of Python gives this digest, although their syntax trees differ in empty fields."""
    source = (
        "@cached\ndef f(x, *, y=1.5, **rest):\n    def g(): ...\n    match x:\n        case [1, *more] if more:\n"
        "            return f'a{y!r:>{x}}' 'b' f'{rest}'\n    return [*x, {**rest}, b'\\x00' if y else None, 'é']\n"
    )
    found = package(tmp_path, a=source).hash_of("seedtest_analytics.stats.a", "f")
    assert found == "50fc0300967f13ba87997d07854e3ad07e29bb27c7c746015aa3606186d69ed3"


def test_a_mark_inside_quotes_starts_no_comment(tmp_path: Path) -> None:
    programs = tmp_path / "seedtest_analytics/stats"
    code = package(tmp_path, a='PROGRAM = "b.R"\n')
    hashes = set()
    for text in ('x <- "#1"', 'x <- "#2"', 'x <- "#2" # a "comment"', "x  <-   '#2'"):
        (programs / "b.R").write_text(text)
        hashes.add(Code(code.root).hash_of("seedtest_analytics.stats.a", "PROGRAM"))
    assert len(hashes) == 3
