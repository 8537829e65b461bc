"""The reasons for a student's risk in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SUBJECTS: Mapping[str, str] = {
    "days_since_last": "recent activity",
    "sessions_7d": "recent activity",
    "sessions_28d": "recent activity",
    "mean_gap_days_28d": "rhythm",
    "days_per_session": "rhythm",
    "tenure_days": "time with us",
    "A_t": "engagement",
    "E_t": "answering speed",
    "R_t": "recovery",
    "I_t": "improvement",
}
"""Covariates with nearly the same meaning share a subject. Their coefficients divide one effect among them, so only the
sum has a meaning ("lowers the risk: last active 90 days ago" was one such part)."""


@dataclass(frozen=True)
class Part:
    """One covariate of a subject: the student's value, the median over all landmarks, the log-hazard contribution."""

    covariate: str
    value: float
    typical: float
    log_hazard: float

    @property
    def is_plain(self) -> bool:
        """Whether the effect has the direction that a reader expects.

        A coefficient keeps all other covariates fixed. Among covariates that share an effect it can have the opposite
        sign ("lowers the risk: engagement of 37 of 100, typically 41"), which is not a reason to show. A missing value
        is not a reason for a low risk either.
        """
        if not math.isfinite(self.value):
            return self.log_hazard < 0
        direction = _MORE_RETURNS_SOONER.get(self.covariate)
        if direction is None or not math.isfinite(self.typical):
            return True
        return (self.value - self.typical) * direction * self.log_hazard > 0


@dataclass(frozen=True)
class Reason:
    """One subject's part in a student's risk; ``parts`` are the covariates that ``text`` names.

    ``silence_change`` is the probability of silence minus its value with this subject's covariates at their average;
    ``log_hazard`` is the contribution to the log hazard of returning (negative raises the risk).
    """

    subject: str
    raises_risk: bool
    silence_change: float
    log_hazard: float
    text: str
    parts: tuple[Part, ...] = ()


_MORE_RETURNS_SOONER: Mapping[str, int] = {
    "days_since_last": -1,
    "sessions_7d": 1,
    "sessions_28d": 1,
    "mean_gap_days_28d": -1,
    "days_per_session": -1,
    "A_t": 1,
    "E_t": 1,
    "R_t": 1,
    "I_t": 1,
}
"""1: more of it goes with an earlier return, -1: with a later one; others have no expected direction."""

PHRASES: Mapping[str, str] = {
    "days_since_last": "last active {value} ago (typically {typical})",
    "sessions_28d": "{value} in the last four weeks (typically {typical})",
    "sessions_7d": "{value} in the last week (typically {typical})",
    "mean_gap_days_28d": "{value} between sessions (typically {typical})",
    "tenure_days": "with us for {value} (typically {typical})",
    "days_per_session": "one session in {value} since the start (typically {typical})",
    "A_t": "engagement of {value} of 100 (typically {typical})",
    "E_t": "right answers take {value} less time than four weeks before (typically {typical})",
    "R_t": "{value} of the earlier mistakes met again were right (typically {typical})",
    "I_t": "improvement of {value} (typically {typical})",
}
MISSING: Mapping[str, str] = {
    "mean_gap_days_28d": "too few sessions in four weeks to show a rhythm",
    "E_t": "no recorded answering times to compare",
    "R_t": "no earlier mistake met again",
    "A_t": "no activity in the last four weeks",
    "I_t": "too few answers to see a change",
}
_UNITS: Mapping[str, tuple[str, str]] = {
    "days_since_last": ("day", "days"),
    "mean_gap_days_28d": ("day", "days"),
    "tenure_days": ("day", "days"),
    "days_per_session": ("day", "days"),
    "sessions_28d": ("session", "sessions"),
    "sessions_7d": ("session", "sessions"),
}

_SHARES: Mapping[str, str] = {"A_t": "", "E_t": "%", "R_t": "%"}
"""Shares shown in hundredths, with the unit after the number."""


def phrase(covariate: str, value: float, *, typical: float) -> str:
    """The student's value of a covariate, with its median over all landmarks."""
    if not math.isfinite(value):
        return MISSING.get(covariate, f"{covariate.replace('_', ' ')} is not known")
    template = PHRASES.get(covariate, covariate.replace("_", " ") + " of {value} (typically {typical})")
    return template.format(value=_amount(covariate, value), typical=_amount(covariate, typical))


def _amount(covariate: str, value: float) -> str:
    if not math.isfinite(value):
        return "not known"
    if covariate in _SHARES:
        return f"{round(100 * value)}{_SHARES[covariate]}"
    if covariate not in _UNITS:
        return f"{value:.2f}"
    if covariate == "days_since_last":
        value = math.floor(value)  # as the page says the date
        if value < 1:
            return "less than a day"
    rounded = round(value) if value >= 10 else round(value, 1)
    singular, plural = _UNITS[covariate]
    return f"{rounded:g} {singular if rounded == 1 else plural}"


def subjects_of(covariates: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Positions of the covariates by subject; an unknown covariate is its own subject."""
    subjects: dict[str, tuple[int, ...]] = {}
    for position, name in enumerate(covariates):
        subject = SUBJECTS.get(name, name.replace("_", " "))
        subjects[subject] = (*subjects.get(subject, ()), position)
    return subjects


def reason(subject: str, parts: Sequence[Part], *, silence_change: float) -> Reason | None:
    """Put one subject into words, by at most two covariates that contribute most in the direction of the sum.

    None where no such covariate is a plain reason.
    """
    total = float(sum(part.log_hazard for part in parts))
    raises = total < 0
    pulling = sorted(
        (part for part in parts if (part.log_hazard < 0) == raises and part.is_plain),
        key=lambda part: -abs(part.log_hazard),
    )
    if not pulling:
        return None
    named = tuple(pulling[:2])
    words = " and ".join(phrase(part.covariate, part.value, typical=part.typical) for part in named)
    return Reason(
        subject,
        raises,
        silence_change=silence_change,
        log_hazard=total,
        text=f"{'Raises' if raises else 'Lowers'} the risk: {words}",
        parts=named,
    )
