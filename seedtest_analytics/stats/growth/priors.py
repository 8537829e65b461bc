"""Priors of the growth model as data: stored with every fit, and what the fit is given.

They follow brms: the intercept's prior acts on the population's score at the *mean week*, standard deviations
are half-Cauchy, the correlation of intercepts and slopes is LKJ. They assume a score of about unit scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Json = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Normal:
    """Normal(mean, sd)."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.sd) and self.sd > 0):
            raise ValueError(f"a normal prior needs a finite mean and sd > 0, not mean={self.mean}, sd={self.sd}")

    def to_json(self) -> dict[str, Any]:
        """`{"dist": "normal", "mean", "sd"}`."""
        return {"dist": "normal", "mean": self.mean, "sd": self.sd}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Normal":
        """Inverse of `to_json`; another `dist` is an error."""
        _require_dist(value, "normal")
        return cls(mean=float(value["mean"]), sd=float(value["sd"]))


@dataclass(frozen=True)
class HalfCauchy:
    """Cauchy(location, scale) cut off below zero."""

    location: float
    scale: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.location) and np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                "a Cauchy prior needs a finite location and scale > 0, "
                f"not location={self.location}, scale={self.scale}"
            )

    def to_json(self) -> dict[str, Any]:
        """`{"dist": "cauchy", "location", "scale"}`."""
        return {"dist": "cauchy", "location": self.location, "scale": self.scale}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "HalfCauchy":
        """Inverse of `to_json`; another `dist` is an error."""
        _require_dist(value, "cauchy")
        return cls(location=float(value["location"]), scale=float(value["scale"]))


@dataclass(frozen=True)
class GrowthPriors:
    """The contract's priors of `score ~ week + (week | student)`.

    Attributes:
        intercept: of the population's score at the mean week (logits in the binomial family).
        week: of the population's weekly slope.
        sd: of the students' SDs of intercept and of slope.
        sigma: of the SD of a weekly score about its student's line; the binomial family has none.
        lkj_eta: shape of the LKJ prior of the correlation; 1 is uniform on (-1, 1).
    """

    intercept: Normal = field(default_factory=lambda: Normal(0.0, 1.0))
    week: Normal = field(default_factory=lambda: Normal(0.0, 0.5))
    sd: HalfCauchy = field(default_factory=lambda: HalfCauchy(0.0, 1.0))
    sigma: HalfCauchy = field(default_factory=lambda: HalfCauchy(0.0, 1.0))
    lkj_eta: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.lkj_eta) and self.lkj_eta > 0):
            raise ValueError(f"the LKJ prior needs eta > 0, not {self.lkj_eta}")

    def to_json(self) -> Json:
        """The contract's shape `{"intercept": …, "week": …, "sd": …}`, with `sigma` and `cor` beside them."""
        return {
            "intercept": self.intercept.to_json(),
            "week": self.week.to_json(),
            "sd": self.sd.to_json(),
            "sigma": self.sigma.to_json(),
            "cor": {"dist": "lkj", "eta": self.lkj_eta},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, Any]]) -> "GrowthPriors":
        """Read the contract's shape; keys left out keep their defaults, unknown keys are an error."""
        unknown = set(value) - {"intercept", "week", "sd", "sigma", "cor"}
        if unknown:
            raise ValueError(f"unknown priors {sorted(unknown)}; known: intercept, week, sd, sigma, cor")
        default = cls()
        if "cor" in value:
            _require_dist(value["cor"], "lkj")
        return cls(
            intercept=Normal.from_json(value["intercept"]) if "intercept" in value else default.intercept,
            week=Normal.from_json(value["week"]) if "week" in value else default.week,
            sd=HalfCauchy.from_json(value["sd"]) if "sd" in value else default.sd,
            sigma=HalfCauchy.from_json(value["sigma"]) if "sigma" in value else default.sigma,
            lkj_eta=float(value["cor"]["eta"]) if "cor" in value else default.lkj_eta,
        )

    def as_array(self) -> np.ndarray:
        """Shape (9,): intercept mean and sd, week mean and sd, sd and sigma location and scale, eta."""
        return np.array(
            [
                self.intercept.mean,
                self.intercept.sd,
                self.week.mean,
                self.week.sd,
                self.sd.location,
                self.sd.scale,
                self.sigma.location,
                self.sigma.scale,
                self.lkj_eta,
            ]
        )


def _require_dist(value: Mapping[str, Any], dist: str) -> None:
    if value.get("dist") != dist:
        raise ValueError(f"this prior must be {dist!r}, not {value.get('dist')!r}")
