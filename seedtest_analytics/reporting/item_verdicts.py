"""What is to be thought of a question: one verdict for each, by rules, and its words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from seedtest_analytics.reporting.cohort_document import Item
from seedtest_analytics.reporting.language import marked

MIN_FIT_ANSWERS = 50
"""Fewer answers of all students say nothing about fit."""
FIT_MARGIN, FIT_ERRORS = 0.3, 3.0
"""Infit is far from 1 if it is so by 0.3 and by three of its standard errors."""
MIN_CLASS_ANSWERS, FAR_Z = 10, 3.0
"""A class answers a question differently if the right answers are this many standard errors from what was expected."""
OK, OK_NOW, UNKNOWN = "works", "works_now", "unknown"
_BY_FLAG = {
    "negative_discrimination": "wrong_key",
    "discrimination_at_limit": "at_limit",
    "one_category": "all_alike",
    "low_discrimination": "says_little",
    "extreme_difficulty": "extreme",
}
_BY_ORIGIN = {"topic": "moved_with_topic", "who_answers": "others_answer"}

VERDICTS: Mapping[str, str] = {
    "wrong_key": marked("Check the key: students who know more answer it wrong more often."),
    "differs": marked("At equal ability it is harder for one group of students: read its wording."),
    "moved": marked("It has become easier or harder over time: leaked or changed?"),
    "moved_with_topic": marked("Its whole topic has become easier or harder: taught otherwise, or answered by others?"),
    "others_answer": marked("It looks easier or harder because other students answer its topic than before."),
    "erratic": marked("Answers fit the model worse than chance explains: read its wording."),
    "harder_here": marked("Much harder for this class than for others of the same ability."),
    "easier_here": marked("Much easier for this class than for others of the same ability."),
    "too_regular": marked("Answers are more alike than the model expects: it may repeat another question."),
    "at_limit": marked("Its discrimination could not be estimated, so it does not count for abilities."),
    "says_little": marked("It hardly tells who knows more."),
    "extreme": marked("Far too easy or far too hard to tell anything."),
    "all_alike": marked("All students have answered it alike so far, so nothing can be said."),
    UNKNOWN: marked("Too few answers to judge it."),
    OK_NOW: marked("It works as it should. Too few answers to see a change over time."),
    OK: marked("It works as it should."),
}
"""The most pressing first."""
FINDINGS = tuple(code for code in VERDICTS if code not in (OK, OK_NOW, UNKNOWN, "all_alike"))


def verdict(item: Item) -> str:
    """The code of the most pressing finding about a question; 'works' without one, 'works_now' if drift could not be judged,
    'unknown' without enough answers."""
    found = set(_findings(item))
    for code in VERDICTS:
        if code in found:
            return code
    is_known = item.difficulty is not None and item.n_fit >= MIN_FIT_ANSWERS
    if not is_known:
        return UNKNOWN
    return OK if item.is_drift_judged else OK_NOW


def _findings(item: Item) -> list[str]:
    found = [_BY_FLAG[item.flag]] if item.flag in _BY_FLAG else []
    if item.differs_by_group:
        found.append("differs")
    if item.has_moved:
        found.append(_BY_ORIGIN.get(item.drift_origin or "", "moved"))
    if item.infit is not None and item.infit_se is not None and item.n_fit >= MIN_FIT_ANSWERS:
        margin = max(FIT_MARGIN, FIT_ERRORS * item.infit_se)
        if item.infit > 1 + margin:
            found.append("erratic")
        elif item.infit < 1 - margin:
            found.append("too_regular")
    z = class_z(item)
    if z is not None and abs(z) > FAR_Z:
        found.append("easier_here" if z > 0 else "harder_here")
    return found


def class_z(item: Item) -> float | None:
    """Right answers of the class less the expected, in standard errors; None for fewer than 10 answers."""
    if item.expected is None or not item.variance or item.n_expected < MIN_CLASS_ANSWERS:
        return None
    return (item.n_expected_correct - item.expected) / math.sqrt(item.variance)
