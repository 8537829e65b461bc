"""Sentences that tables store in English, in the reader's language: why a model is usable, published or withheld.

The statistics write such a sentence for their checks and logs, with its numbers. A page finds the message that it was made
from and says that message. A test lists the sentences of the statistics and fails where this module has no message.
"""

from __future__ import annotations

import re
from functools import cache

from seedtest_analytics.reporting.html import text
from seedtest_analytics.reporting.language import marked, say

_SHOWN = 400
_PLACEHOLDER = re.compile(r"\\\{(\w+)\\\}")
_NUMBER = r"[-+−\d.,%e()\[\] naif]+?"
_VALUES = dict.fromkeys(("why", "what", "fault", "rival"), ".+") | dict.fromkeys(
    ("run", "scale", "method", "backend", "again", "setting"), r"\S+?"
)
"""Patterns of the placeholders that are sentences, phrases or names; the others are numbers."""
MESSAGES: tuple[str, ...] = (
    # What past outcomes decide: stats/verification/recalibration.py, assets/verdicts/publish.py.
    marked("withheld: {why}"),
    marked("past outcomes do not contradict the model"),
    marked(
        "not yet checked: {n} outcomes of past weeks are known, {events} of them events; {needed} of either kind are needed"
    ),
    marked("in past weeks {rival} predicted better than the model (Brier score {score} against {model})"),
    marked("the share of all"),
    marked("what is known without it"),
    marked("in past weeks the model ranked students no better than chance"),
    marked("{why}, and that share itself may be {low} to {high} in a new week"),
    marked("{why}; every student is shown that share, {share}"),
    marked("in past weeks the model's probabilities were {fault}; corrected by slope {slope} and shift {shift} logits"),
    marked("in past weeks abilities were less certain than their errors said; the errors are multiplied by {factor}"),
    marked("too extreme"),
    marked("too timid"),
    marked("too extreme and too low"),
    marked("too extreme and too high"),
    marked("too timid and too low"),
    marked("too timid and too high"),
    # What a backtest finds: stats/verification/verdict.py.
    marked("its Brier score {score} is worse than the baseline's {baseline} on {n} cases"),
    marked("it happened more often than predicted: {observed} against {predicted} of {n} cases"),
    marked("it happened less often than predicted: {observed} against {predicted} of {n} cases"),
    marked("its probabilities are {fault}: calibration slope {slope} (1 is right)"),
    marked("its mean error {error} is larger than the naive forecast's {baseline} on {n} weeks"),
    marked("its {level} intervals held {coverage} of {n} observations"),
    marked("its intervals held {coverage} of {n} weeks"),
    # A calibration: stats/irt/verdict.py, stats/irt/linking.py, assets/psychometrics.
    marked("not converged after {n} passes: the next step is {step} logits"),
    marked("{n} usable items are fewer than {needed}"),
    marked("{share} of the answers are to the {n} of {all} usable items, less than {needed}"),
    marked("{share} of the population lies at the ends of the quadrature [{low}, {high}]; widen it"),
    marked(
        "students have {n} answers on average, fewer than {needed}: single answers determine neither slopes nor the spread of "
        "the abilities"
    ),
    marked(
        "the answers do not determine the items: {share} of them are to items whose slope is known to {slope} and whose "
        "difficulty to {difficulty} logits"
    ),
    marked("the slopes come from their prior: the answers give {share} of the information on them, less than {needed}"),
    marked("the answers do not determine the spread of the abilities: its standard error is above itself"),
    marked("{n} items have negative discrimination (wrong key?) and are not scored with"),
    marked("{n} items have discrimination at the limit and are not scored with"),
    marked("{n} items discriminate less than {limit}"),
    marked("{n} items have |b| above {limit}"),
    marked("{n} items have no standard error"),
    marked("{n} items were set aside for too few answers"),
    marked("{n} items were set aside for one response category"),
    marked(
        "rare items borrow from their topic: difficulties differ by {within} logits (SD) within a topic and by {between} "
        "between topics, and the slope is {slope}"
    ),
    marked(
        "the items fall into {parts} parts that share no row; the scale of {n} items is tied to the others' only by the "
        "assumption that their students are equally able"
    ),
    marked("the observed information of all parameters is not positive definite; standard errors are by item"),
    marked("{backend}'s second-order test: the solution is not a maximum"),
    marked(
        "{backend}'s estimates have the log-likelihood {theirs} (with the priors) by the platform's quadrature, and the "
        "platform's engine finds {ours} on the same answers: {again} stopped short of the maximum; set {setting}"
    ),
    marked("not linked to anchors: {why}"),
    marked("not linked to {scale}: {why}"),
    marked("{run}: {why}"),
    marked("anchors after {n} drifted ones were dropped"),
    marked("common items with usable parameters"),
    marked("{n} {what}, {needed} are needed to link the scales; tag more anchors or lower the minimum"),
    marked("the slope {slope} of the link is beyond {limits}; review the anchors"),
    marked(
        "the anchors' difficulties have an SD below {limit} logits on a scale, so {method} has no slope; choose anchors of "
        "different difficulty, or another method"
    ),
    # Growth percentiles: stats/growth/percentiles.py, assets/growth/percentiles.
    marked("no level {weeks} weeks ago"),
    marked("no answer in the last {weeks} weeks"),
    marked("not enough students to compare with: {n} of {needed}"),
    marked(
        "not enough students to compare with: {n} of {needed} have a level before and now, and an answer in between"
    ),
)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Each message as a pattern; those with more words of their own come first."""
    found = [(re.compile(_PLACEHOLDER.sub(_group, re.escape(one))), one) for one in MESSAGES]
    return tuple(sorted(found, key=lambda pair: -len(re.sub(r"\{\w+\}", "", pair[1]))))


def _group(placeholder: re.Match[str]) -> str:
    return f"(?P<{placeholder[1]}>{_VALUES.get(placeholder[1], _NUMBER)})"


def reader_sentence(stored: str) -> str | None:
    """The stored sentence, or list of them, in the reader's language, as plain text; None for one that is not known.

    A value that is itself a stored sentence or phrase is translated too.
    """
    for pattern, message in _patterns():
        if found := pattern.fullmatch(stored):
            values = {name: _value(name, value) for name, value in found.groupdict().items()}
            if None not in values.values():
                return say(message, **values)
    for cut in re.finditer("; ", stored):
        first, rest = reader_sentence(stored[: cut.start()]), reader_sentence(stored[cut.end() :])
        if first is not None and rest is not None:
            return f"{first}; {rest}"
    return None


def stored_text(stored: str) -> str:
    """The same as markup. A sentence that is not known is quoted in English."""
    known = reader_sentence(stored)
    return f'<bdi lang="en">{text(stored, _SHOWN)}</bdi>' if known is None else text(known, _SHOWN)


def _value(name: str, value: str) -> str | None:
    return reader_sentence(value) if _VALUES.get(name) == ".+" else value
