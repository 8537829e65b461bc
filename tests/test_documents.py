"""Documents tell the truth: generated pages are up to date, every name in the others exists, every link leads somewhere."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seedtest_analytics.build import build_definitions
from seedtest_analytics.settings import GROUPS, RETIRED_VARIABLES
from seedtest_analytics.settings.retired import UNREAD_VARIABLES
from tests import _documents as facts

ROOT = facts.ROOT
DOCS = ROOT / "docs"
RECORDS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
LONGEST_LINE = 120
OTHER_VARIABLES = {
    "DAGSTER_POSTGRES_URL",
    "DAGSTER_HOME",
    "DAGSTER_CURRENT_IMAGE",
    "SEEDTEST_IMAGE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "SEEDTEST_CACHE_DIR",
    "R_HOME",
    "USER_HEADER",
    "TYPE_CHECKING",
    "SCHOOL_DATABASE_URL",
    "SEEDTEST_DAGSTER_CHART",
}
"""Variables of Dagster, AWS, R, CmdStan, Python and the manifests, one of an example, and one of a test."""
BUILD_VARIABLES = {
    name
    for script in ("build-image", "try-image")
    for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", (ROOT / "deploy" / script).read_text(encoding="utf-8"))
}
"""Of the scripts that build and try the image."""
OTHER_NAMES = {"pg_restore", "jsonb_to_recordset", "current_date", "known_churn", "changed_at"}
"""Of PostgreSQL, a part of a test's name, and a column of an example."""


def each(documents: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("document", documents, ids=lambda path: path.relative_to(ROOT).as_posix())


@pytest.mark.parametrize(
    ("command", "document"),
    [
        ("scripts/data_dictionary.py", "data-dictionary.md"),
        ("scripts/settings_table.py", "settings.md"),
        ("scripts/lineage.py page", "lineage.md"),
        ("scripts/lineage.py picture", "lineage.svg"),
    ],
)
def test_a_generated_document_is_up_to_date(command: str, document: str) -> None:
    printed = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    written = (DOCS / document).read_text(encoding="utf-8")
    assert written == printed, f"run: python {command} > docs/{document}"


@each(facts.documents())
def test_links_lead_somewhere(document: Path) -> None:
    dead = []
    for target in re.findall(r'(?:\]\(|src="|href=")([^)"\s]+)', "\n".join(facts.prose(document))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        page = document.parent / path if path else document
        if not page.exists() or (fragment and fragment not in facts.anchors(page)):
            dead.append(target)
    assert dead == []


@each(facts.written())
def test_paths_exist(document: Path) -> None:
    endings = r"py|sql|md|qmd|R|stan|hpp|cpp|yaml|toml|txt|css|html"
    missing = set()
    for span in facts.spans(document):
        for path in re.findall(rf"(?<![\w/.…:{{}}<>-])[\w*-]+(?:/[\w.*<>-]+)*\.(?:{endings})\b(?!\w|\.\w)", span.text):
            if not facts.PLACEHOLDER.search(path) and path not in facts.file_names():
                missing.add(path)
        for path in re.findall(
            r"^(?:seedtest_analytics|tests|sql|docs|scripts|benchmarks|deploy|quarto)/[\w/.-]*$", span.text
        ):
            if not facts.PLACEHOLDER.search(path) and not (ROOT / path).exists():
                missing.add(path)
    assert missing == set()


@each(facts.written())
def test_dotted_names_exist(document: Path) -> None:
    """Modules and what is in them, written from the package or from one of its folders; and columns of tables."""
    folders = {p.name for p in facts.PACKAGE.iterdir() if (p / "__init__.py").is_file()} | set(facts.TOP_PACKAGES)
    tables = facts.columns()
    missing = set()
    for span in facts.spans(document):
        for name in re.findall(r"(?<![\w./-])[a-z_]\w*(?:\.\w+)+(?![\w/\[]|\.[a-z])", span.text):
            first, second = name.split(".")[:2]
            if first in tables and span.language != "python":
                if second not in tables[first]:
                    missing.add(name)
            elif first in folders and not re.search(r"\.(py|md|sql|yaml|env)$", name) and not facts.exists(name):
                missing.add(name)
    assert missing == set()


@each(facts.written())
def test_commands_and_their_options_exist(document: Path) -> None:
    missing = set()
    for span in facts.spans(document):
        words = re.sub(r"#.*|kubectl.*", "", span.text)
        for command, rest in re.findall(r"(?<![\w/@:.-])seedtest(?: --set \S+)* ([a-z][\w-]*)([^|;&]*)", words):
            if command not in facts.command_options():
                missing.add(f"seedtest {command}")
                continue
            options = re.findall(r"(?<!\S)\[?(--[a-z-]+)", rest)
            missing |= {f"seedtest {command} {o}" for o in options if o not in facts.command_options()[command]}
        targets = set(re.findall(r"(?<![\w/-])make ([a-z][a-z-]*)", words)) - facts.make_targets()
        missing |= {f"make {target}" for target in targets}
        for module in re.findall(r"python -m ([\w.]+)", words):
            if not (ROOT / Path(*module.split("."))).with_suffix(".py").is_file():
                missing.add(f"python -m {module}")
    assert missing == set()


@each(facts.written())
def test_names_with_underscores_occur_in_the_code(document: Path) -> None:
    """Functions, tables, columns, keys, jobs, flags: a renamed one fails here. Legacy names stand in italics."""
    missing = set()
    for span in facts.spans(document):
        if not facts.PLACEHOLDER.search(span.text) or " " in span.text:
            names = set(re.findall(r"(?<![\w/.-])[A-Za-z]\w*_\w+", span.text))
            missing |= names - facts.source_words() - facts.test_names()
    assert missing - OTHER_NAMES - OTHER_VARIABLES - BUILD_VARIABLES == set()


@each(facts.written())
def test_tests_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"\b(test_\w+)(?!\w|\.py)", text)) - set(re.findall(r"\b(test_\w+)\.py", text))
    assert named - facts.test_names() == set()


@each(facts.written())
def test_variables_are_settings(document: Path) -> None:
    known = {name for group in GROUPS.values() for name in group.variables()}
    known |= {*RETIRED_VARIABLES, *UNREAD_VARIABLES, *OTHER_VARIABLES, *BUILD_VARIABLES}
    constants = set(re.findall(r"^([A-Z][A-Z0-9_]+)(?::.*)? = ", facts.source_text(), re.MULTILINE))
    named = {name for s in facts.spans(document) for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", s.text)}
    assert named - known - constants == set()


@each(facts.written())
def test_quoted_messages_are_messages_of_the_platform(document: Path) -> None:
    """Those in tables headed "the message says"; a part that a message fills in stands as …"""
    missing = []
    is_table = False
    for line in facts.prose(document):
        cells = line.split("|")
        if not line.startswith("|"):
            is_table = False
        elif cells[1].strip() == "the message says":
            is_table = True
        elif is_table:
            for message in re.findall(r"`([^`]+)`", cells[1]):
                pattern = r"[^\n]*".join(re.escape(part.strip()) for part in message.split("…"))
                if not re.search(pattern, facts.messages()):
                    missing.append(message)
    assert missing == []


@each(facts.written())
def test_lines_end_at_a_sentence_or_at_120_characters(document: Path) -> None:
    """And no code span goes over the end of a line, where the other tests would not see it."""
    prose = facts.prose(document)
    exempt = r"\s*(\||#|<|!?\[)"
    assert [line for line in prose if len(line) > LONGEST_LINE and not re.match(exempt, line)] == []
    assert [line for line in prose if line.count("`") % 2] == []


# ---- the contract ----


NUMBERS = r"(\d+(?:\.\d+)?(?:(?:, | and | to )\d+(?:\.\d+)?)*)"
CITATION = re.compile(
    rf"[Cc]ontract[^.\n\"]{{0,40}}?\bsections? {NUMBERS}|[Cc]ontract(?:'s \w+)? \({NUMBERS}\)|\(contract {NUMBERS}\)"
    rf"|[Cc]ontract (?=\d+\.){NUMBERS}"
)


def citations() -> set[tuple[str, str]]:
    """(file, section) of each numbered citation of the contract in the code and its tests."""
    found = set()
    for folder in ("seedtest_analytics", "sql", "tests", "scripts", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".sql", ".R") and path != Path(__file__):
                cited = "".join(
                    filter(None, (n for m in CITATION.finditer(path.read_text("utf-8")) for n in (*m.groups(), " ")))
                )
                found |= {(path.relative_to(ROOT).as_posix(), number) for number in re.findall(r"\d+(?:\.\d+)?", cited)}
    return found


def test_every_citation_of_the_contract_leads_to_a_section() -> None:
    cited = citations()
    assert len(cited) > 20
    sections = facts.anchors(DOCS / "contract.md")
    assert {(path, n) for path, n in cited if f"s{n.replace('.', '-')}" not in sections} == set()


def test_every_cited_fault_is_in_the_contract() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__))
    listed = {
        n
        for row in re.findall(r"^\| (\d+(?:, \d+)*) \|", (DOCS / "contract.md").read_text("utf-8"), re.MULTILINE)
        for n in row.split(", ")
    }
    assert {str(n) for n in range(23, 84)} <= listed
    assert set(re.findall(r"\bfault (\d+)", text)) <= listed


def test_sections_of_the_contract_have_their_own_anchor() -> None:
    lines = [line for line in facts.prose(DOCS / "contract.md") if line.strip()]
    for before, line in itertools.pairwise(lines):
        number = re.match(r"##+ (\d+(?:\.\d+)?)\.? ", line)
        if number:
            assert before == f'<a id="s{number[1].replace(".", "-")}"></a>'


# ---- decisions ----


@each(RECORDS)
def test_a_record_has_its_form(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert re.match(rf"# {document.name[:4]}: \S", text)
    assert re.search(r"\n\| date \| status \|\n\|---\|---\|\n\| \d{4}-\d\d-\d\d \| \S.* \|\n", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_index_lists_every_record() -> None:
    numbers = [record.name[:4] for record in RECORDS]
    assert numbers == [f"{n:04}" for n in range(1, len(RECORDS) + 1)], "numbers have no gap and no number is used twice"
    rows = []
    for record in RECORDS:
        text = record.read_text(encoding="utf-8")
        title = text.split("\n", 1)[0].split(": ", 1)[1]
        row = re.search(r"^\| (\d{4}-\d\d-\d\d) \| (.+?) \|$", text, re.MULTILINE)
        assert row is not None
        rows.append(f"| [{record.name[:4]}]({record.name}) | {title} | {row[1]} | {row[2]} |")
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in index if line.startswith("| [")] == rows


# ---- the runbook ----


def runbook_checks() -> set[tuple[str, str]]:
    """(asset, check) of the rows of the tables headed "check | of | …"; names in a cell stand in backquotes."""
    found: set[tuple[str, str]] = set()
    is_table_of_checks = False
    for line in (DOCS / "runbook.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 3:
            is_table_of_checks = False
        elif cells[1:3] == ["check", "of"]:
            is_table_of_checks = True
        elif is_table_of_checks:
            checks, assets = (re.findall(r"`([\w/*]+)`", cell) for cell in cells[1:3])
            found |= {(asset, check) for asset in assets for check in checks}
    return found


def test_the_runbook_knows_every_check_and_no_other() -> None:
    """Every table has the contract's check, which has one row. The KPIs share a row."""
    keys = build_definitions().resolve_asset_graph().asset_check_keys
    declared = {(tuple(key.asset_key.path), key.name) for key in keys if key.name != "contract"}
    expected = {("weekly_kpi/*" if path[0] == "weekly_kpi" else "/".join(path), name) for path, name in declared}
    # A row may name two checks and the two assets that have one each.
    assert expected <= runbook_checks()
    assert {check for _, check in runbook_checks()} == {name for _, name in expected}
    assert {asset for asset, _ in runbook_checks()} == {asset for asset, _ in expected}
