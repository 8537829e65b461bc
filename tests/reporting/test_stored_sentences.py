"""Every sentence that the statistics store for a page is known to the page, with each of its values."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedtest_analytics.reporting.language import speaking
from seedtest_analytics.reporting.stored_sentences import reader_sentence, stored_text

NAME = "seedtest_analytics."
SOURCES = {
    f"{NAME}stats.verification.recalibration": "NO_FAULT _verdict _fault _too_early decide_errors",
    f"{NAME}stats.verification.verdict": "judge_probabilities judge_forecasts judge_coverage",
    f"{NAME}assets.backtest.series": "_judge",
    f"{NAME}stats.irt.verdict": "judge _gaps_of_information _warnings",
    f"{NAME}stats.irt.standard_errors": "_full",
    f"{NAME}stats.irt.linking": "_require _screened _Criterion",
    f"{NAME}assets.psychometrics.engine": "shortfall_of calibration_from_mirt",
    f"{NAME}assets.psychometrics.scale.placement": "_not_linked",
    f"{NAME}assets.growth.percentiles.rows": "NO_LEVEL NO_ANSWER",
    f"{NAME}assets.growth.percentiles.week": "_compare",
    f"{NAME}stats.growth.percentiles": "growth_percentiles",
}
"""The names whose texts of three words or more are stored for a page, by module; errors about arguments are not."""
NAMED = {
    "why": ["past outcomes do not contradict the model"],
    "reason": ["no level 1 weeks ago"],
    "_why": ["no level 1 weeks ago"],
    "said": ["too extreme", "too timid"],
    "too": ["too extreme", "too timid"],
    "shift": ["", " and too low", " and too high"],
    "what": ["the share of all", "what is known without it", "common items with usable parameters"],
}
"""Values of variables and functions that are words themselves; the others are numbers or names."""
ELSEWHERE = {
    "the last value that was known",
    "no closed week of the forecast has a value and an interval",
    "no week of the forecast is closed yet",
    "the series had no value",
}
"""Texts of the same functions that no page shows: a column that none reads, and reasons for having no row."""
NAMES = ("mirt", "MIRT_BACKEND=native", "mean-sigma")


def definitions(module: str) -> dict[str, ast.stmt]:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
    return found


def texts(node: ast.AST) -> Iterator[str]:
    """The texts of the code, composed ones with each of their words and a 1 for a number."""
    if isinstance(node, ast.Raise) and "LinkingError" not in ast.dump(node):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.JoinedStr):
        parts = [list(choices(part)) for part in node.values]
        yield from ("".join(made) for made in itertools.product(*parts))
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.sub(r"\{[^}]*\}", "1", node.value)
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


def choices(part: ast.expr) -> Iterator[str]:
    if isinstance(part, ast.Constant):
        yield str(part.value)
    elif isinstance(part, ast.FormattedValue):
        value = part.value.func if isinstance(part.value, ast.Call) else part.value
        named = NAMED.get(value.id) if isinstance(value, ast.Name) else None
        words = [
            one.value for one in ast.walk(part.value) if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        yield from named or words or ["1"]


def stored() -> set[str]:
    """Sentences and phrases of three words or more."""
    found = {
        text
        for module, names in SOURCES.items()
        for name, node in definitions(module).items()
        if name in names.split()
        for text in texts(node)
    }
    # A text that begins with a space continues another.
    whole = {text for text in found if len(re.findall("[a-z]{2,}", text)) >= 3 and not text.startswith(" ")}
    return whole - ELSEWHERE


def test_every_name_of_the_sources_exists() -> None:
    for module, names in SOURCES.items():
        assert set(names.split()) <= set(definitions(module)), module


def test_every_sentence_of_the_statistics_is_known_in_both_languages() -> None:
    sentences = stored()
    assert len(sentences) > 45
    for sentence in sorted(sentences):
        # Counts of items precede a text of their flag.
        whole = next((one for one in (sentence, f"1 {sentence}") if reader_sentence(one) is not None), None)
        assert whole is not None, sentence
        assert reader_sentence(whole) == whole
        with speaking("ko"):
            said = reader_sentence(whole)
        assert said is not None
        assert not re.search("[A-Za-z]{2,}", re.sub("|".join(NAMES), "", said)), said


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("no level 8 weeks ago", "8주 전의 수준이 없음"),
        (
            "in past weeks the share of all predicted better than the model (Brier score 0.1000 against nan), and that share "
            "itself may be 5% to 52% in a new week",
            "지난 주들에는 전체 비율이 모형보다 더 잘 예측했습니다(브라이어 점수 0.1000 대 nan). 그 비율도 새로운 "
            "주에는 5%에서 52% 사이일 수 있습니다",
        ),
        (
            "not linked to 2025-W40: r-1: 3 common items with usable parameters, 5 are needed to link the scales; tag more "
            "anchors or lower the minimum; r-2: the slope 0.01 of the link is beyond (0.05, 20.0); review the anchors",
            "2025-W40에 연결되지 않았습니다. r-1: 사용할 수 있는 모수가 있는 공통 문항이 3개이며 "
            "척도를 연결하려면 5개가 필요합니다. 공통 문항을 더 지정하거나 최소 개수를 낮추십시오; r-2: "
            "연결 기울기 0.01이 허용 범위 (0.05, 20.0) 밖입니다. 공통 문항을 검토하십시오",
        ),
    ],
)
def test_a_sentence_keeps_its_values(sentence: str, expected: str) -> None:
    with speaking("ko"):
        assert reader_sentence(sentence) == expected
    assert reader_sentence(sentence) == sentence


@pytest.mark.parametrize(
    "sentence", ["it did not converge", "no level <b>8</b> weeks ago", "", "; ", "withheld: because"]
)
def test_what_is_not_known_is_quoted(sentence: str) -> None:
    assert reader_sentence(sentence) is None
    with speaking("ko"):
        assert stored_text(sentence).startswith('<bdi lang="en">')
        assert "<b>" not in stored_text(sentence)
