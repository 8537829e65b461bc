"""Names of segments: a name of the contract where its rule fits the centre, else the centre's distinctive features."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Rule = Callable[[Mapping[str, float], float], bool]


def _below(feature: str, limit: float) -> Rule:
    return lambda centre, slack: bool(centre.get(feature, np.nan) < limit * (1 + slack))


def _above(feature: str, limit: float) -> Rule:
    return lambda centre, slack: bool(centre.get(feature, np.nan) > limit * (1 - slack))


CONTRACT_RULES: Mapping[str, tuple[Rule, ...]] = {
    "short_frequent": (_below("gap", 3), _above("sessions", 10)),
    "long_rare": (_above("gap", 7), _below("sessions", 5)),
    "hint_heavy": (_above("avg_hints", 2),),
    "improving": (_above("improvement", 0.3),),
    "struggling": (_below("efficiency", 0.4), _above("avg_hints", 1.5)),
    "efficient": (_above("efficiency", 0.7), _below("avg_hints", 0.5)),
}
"""In the contract's order; the first match wins. Rules apply to the centre (the members' medians), not to students."""

KEEPING_SLACK = 0.25
"""A segment keeps its name while it misses the limit by at most this share, so that names do not flicker."""
DISTINCT = 0.5
"""Scaled distance from the middle of all students from which a feature is mentioned."""
STILL_DISTINCT = 0.25

_WORDS: Mapping[str, tuple[str, str]] = {
    "engagement": ("engaged", "disengaged"),
    "improvement": ("improving_more", "improving_less"),
    "efficiency": ("getting_faster", "getting_slower"),
    "recovery": ("recovers_mistakes", "repeats_mistakes"),
    "sessions": ("many_sessions", "few_sessions"),
    "gap": ("long_gaps", "short_gaps"),
    "avg_rt": ("slow_answers", "quick_answers"),
    "avg_hints": ("many_hints", "few_hints"),
    "total_attempts": ("many_attempts", "few_attempts"),
}


def _applies(label: str, centre: Mapping[str, float], *, slack: float = 0.0) -> bool:
    """Whether a contract label's rule holds for a raw centre."""
    return label in CONTRACT_RULES and all(rule(centre, slack) for rule in CONTRACT_RULES[label])


def own_label(centre: Mapping[str, float], names: tuple[str, ...], *, scaled: Floats) -> str:
    """The contract label of a centre, else its one or two most distinct features, else ``average``."""
    for label in CONTRACT_RULES:
        if _applies(label, centre):
            return label
    return _described(names, scaled)


def _described(names: tuple[str, ...], scaled: Floats) -> str:
    """The one or two most distinctive features of a (q,) scaled centre, in words."""
    return "_and_".join(word(names[j], scaled[j]) for j in sorted(_distinct(scaled)[:2])) or "average"


def _distinct(scaled: Floats) -> list[int]:
    return [int(j) for j in np.argsort(-np.abs(scaled)) if abs(scaled[j]) >= DISTINCT]


def word(feature: str, scaled: float) -> str:
    """The word for a feature above or below the middle."""
    high, low = _WORDS.get(feature, (f"high_{feature}", f"low_{feature}"))
    return high if scaled > 0 else low


def still_holds(label: str, centre: Mapping[str, float], *, names: tuple[str, ...], scaled: Floats) -> bool:
    """Whether a label of an earlier run may stay, with some slack."""
    if label in CONTRACT_RULES:
        return _applies(label, centre, slack=KEEPING_SLACK)
    if label == "average":
        return bool(np.abs(scaled).max(initial=0.0) < 2 * DISTINCT)
    now = {word(name, value) for name, value in zip(names, scaled, strict=True) if abs(value) >= STILL_DISTINCT}
    return all(part in now for part in label.split("_and_"))


def describe(centre: Mapping[str, float], names: tuple[str, ...], *, scaled: Floats) -> str:
    """One sentence on the distinctive features of a segment, with their medians."""
    order = _distinct(scaled)[:3]
    if not order:
        return "Near the middle of all students in every feature."
    parts = [f"{word(names[j], scaled[j]).replace('_', ' ')} (median {centre[names[j]]:.3g})" for j in order]
    return f"Apart from other students by: {', '.join(parts)}."


def distinct_labels(labels: list[str], names: tuple[str, ...], *, scaled: Floats) -> list[str]:
    """Make the names of one run unique: a repeated name gets the segment's own feature that differs most from its namesake.

    A segment that has no distinct feature itself gets a number: what only sets it apart from another segment is not true of
    its students.
    """
    out: list[str] = []
    for position, label in enumerate(labels):
        if label in out:
            difference = scaled[position] - scaled[out.index(label)]
            own = [j for j in _distinct(scaled[position]) if difference[j] * scaled[position][j] > 0]
            if own:
                j = max(own, key=lambda j: abs(difference[j]))
                label = f"{label}_with_{word(names[j], scaled[position][j])}"
        while label in out:
            label = f"{label}_{position}"
        out.append(label)
    return out
