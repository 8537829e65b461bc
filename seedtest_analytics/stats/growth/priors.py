"""Priors of the growth model as data: what a fit is given, and what is stored beside it.

They follow brms: the prior of the intercept acts on the population's score at the *mean week*, standard deviations
have half-Cauchy priors, and the correlation of intercepts and slopes an LKJ prior. The defaults assume scores on a
scale of about one unit.
"""

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from seedtest_analytics.stats.checks import number

Json = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Prior:
    """A distribution with a location and, in its last field, a scale above zero; ValueError for other numbers."""

    dist: ClassVar[str]

    def __post_init__(self) -> None:
        *_, scale = [number(value, f"{name} of a {self.dist} prior") for name, value in asdict(self).items()]
        if scale <= 0:
            raise ValueError(
                f"a {self.dist} prior needs finite numbers and {fields(self)[-1].name} > 0, not {asdict(self)}"
            )

    def to_json(self) -> dict[str, Any]:
        """`{"dist": …}` and the fields."""
        return {"dist": self.dist, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`; ValueError for another `dist`, or a field that is missing or not a number."""
        _require_dist(value, cls.dist)
        return cls(*(_field(value, field.name) for field in fields(cls)))


@dataclass(frozen=True)
class Normal(_Prior):
    """Normal(mean, sd²)."""

    dist = "normal"
    mean: float
    sd: float


@dataclass(frozen=True)
class HalfCauchy(_Prior):
    """Cauchy(location, scale), truncated below zero."""

    dist = "cauchy"
    location: float
    scale: float


@dataclass(frozen=True)
class GrowthPriors:
    """The contract's priors of `score ~ week + (week | student)`.

    Attributes:
        intercept: of the population's score at the mean week (logits in the binomial family).
        week: of the population's weekly slope.
        sd: of the students' SDs of intercept and of slope.
        sd_week: of the SD of slope alone; None leaves it with `sd`.
        sigma: of the SD of a weekly score about its student's line; the binomial family has none.
        lkj_eta: shape of the LKJ prior of the correlation, above 0; 1 is uniform on (-1, 1).
    """

    intercept: Normal = Normal(0.0, 1.0)
    week: Normal = Normal(0.0, 0.5)
    sd: HalfCauchy = HalfCauchy(0.0, 1.0)
    sigma: HalfCauchy = HalfCauchy(0.0, 1.0)
    lkj_eta: float = 1.0
    sd_week: HalfCauchy | None = None

    def __post_init__(self) -> None:
        if number(self.lkj_eta, "eta of the LKJ prior") <= 0:
            raise ValueError(f"the LKJ prior needs eta > 0, not {self.lkj_eta}")

    def to_json(self) -> Json:
        """The contract's shape `{"intercept": …, "week": …, "sd": …}`, with `sigma`, `cor` and any `sd_week` beside them."""
        own = {} if self.sd_week is None else {"sd_week": self.sd_week.to_json()}
        return {
            "intercept": self.intercept.to_json(),
            "week": self.week.to_json(),
            "sd": self.sd.to_json(),
            "sigma": self.sigma.to_json(),
            "cor": {"dist": "lkj", "eta": self.lkj_eta},
            **own,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, Any]]) -> "GrowthPriors":
        """Read the contract's shape; absent keys keep their defaults.

        Raises:
            ValueError: a key is unknown, or a prior has another `dist` or lacks a number.
        """
        kinds: dict[str, type[_Prior]] = {
            "intercept": Normal,
            "week": Normal,
            "sd": HalfCauchy,
            "sigma": HalfCauchy,
            "sd_week": HalfCauchy,
        }
        unknown = set(value) - {*kinds, "cor"}
        if unknown:
            raise ValueError(f"unknown priors {sorted(unknown)}; known: {', '.join(kinds)}, cor")
        given: dict[str, Any] = {name: kind.from_json(value[name]) for name, kind in kinds.items() if name in value}
        if "cor" in value:
            _require_dist(value["cor"], "lkj")
            given["lkj_eta"] = _field(value["cor"], "eta")
        return cls(**given)

    def as_array(self) -> np.ndarray:
        """Shape (11,): intercept mean and sd, week mean and sd, sd and sigma location and scale, eta, sd_week's two."""
        parts = (self.intercept, self.week, self.sd, self.sigma)
        own = astuple(self.sd_week or self.sd)
        return np.array([*(number for part in parts for number in astuple(part)), self.lkj_eta, *own])


def _field(value: Mapping[str, Any], name: str) -> float:
    return number(value.get(name), f"{name} of the {value['dist']} prior")


def _require_dist(value: Mapping[str, Any], dist: str) -> None:
    if value.get("dist") != dist:
        raise ValueError(f"this prior must be {dist!r}, not {value.get('dist')!r}")
