"""What a calibration is asked to do, validated before any work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.errors import IrtDataError, UnidentifiedModelError
from seedtest_analytics.stats.irt.model import ItemParameters, ModelName

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Normal:
    """Normal prior: of b, of the intercept d, or of logit(c)."""

    mean: float = 0.0
    sd: float = 2.0


@dataclass(frozen=True)
class LogNormal:
    """Prior of a discrimination: log a ~ N(mean_log, sd_log²)."""

    mean_log: float = 0.0
    sd_log: float = 0.5


@dataclass(frozen=True)
class Beta:
    """Prior of a lower asymptote, a density in c; alpha, beta ≥ 1."""

    alpha: float = 5.0
    beta: float = 17.0


@dataclass(frozen=True)
class ItemPriors:
    """Independent priors of item parameters; None for flat. ``b`` and ``d`` exclude each other."""

    a: LogNormal | None = None
    b: Normal | None = None
    d: Normal | None = None
    c: Beta | Normal | None = None

    def __post_init__(self) -> None:
        if self.b is not None and self.d is not None:
            raise IrtDataError("priors on both b and d: the difficulty would be counted twice; give one")


@dataclass(frozen=True)
class Quadrature:
    """Equally spaced points; the population density is evaluated on them and normalised to sum 1."""

    points: int = 61
    lower: float = -6.0
    upper: float = 6.0

    def __post_init__(self) -> None:
        if self.points < 5 or not self.lower < self.upper:
            raise IrtDataError(f"quadrature of {self.points} points on [{self.lower}, {self.upper}]: give ≥ 5 points")

    @property
    def nodes(self) -> Floats:
        return np.linspace(self.lower, self.upper, self.points)

    @property
    def spacing(self) -> float:
        return (self.upper - self.lower) / (self.points - 1)


@dataclass(frozen=True, eq=False)
class CalibrationConfig:
    """Settings of ``calibrate``.

    ``min_responses``: items with fewer answers are set aside. ``priors``: None takes none for Rasch and 2PL
    and Beta(5, 17) on c for 3PL; 3PL with ``ItemPriors()`` is refused, since it has no unique maximum on data
    of ordinary size. ``anchors``: parameters held fixed at given values; the population mean and SD are then
    free, else they are 0 and 1 (Rasch: mean 0, SD free). Fewer than ``min_anchors`` anchors in the data raise
    AnchorError. ``start``: parameters to begin from, never held. ``tolerance``: largest step of a parameter,
    in logits, that an EM step would still take at the end. ``standard_errors``: "full" inverts the observed
    information of all parameters, "block" each item's own part, "none" computes none, "auto" is full up to
    ``max_full_parameters``. ``precision``: "mixed" searches large data on single precision tables and ends on
    double ones. ``threads``: None for the cores that the process may use; results do not depend on it.
    """

    model: ModelName = "2PL"
    quadrature: Quadrature = field(default_factory=Quadrature)
    min_responses: int = 10
    min_rows: int = 30
    priors: ItemPriors | None = None
    anchors: ItemParameters | None = None
    min_anchors: int = 5
    start: ItemParameters | None = None
    max_iterations: int = 500
    tolerance: float = 1e-4
    standard_errors: Literal["auto", "full", "block", "none"] = "auto"
    max_full_parameters: int = 6000
    precision: Literal["mixed", "double"] = "mixed"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.model not in ("Rasch", "2PL", "3PL"):
            raise IrtDataError(f"model {self.model!r} is not known; take Rasch, 2PL or 3PL")
        if self.model == "3PL" and self.item_priors.c is None:
            raise UnidentifiedModelError(
                "3PL without a prior on c: the likelihood is flat in c for easy items and has no maximum to find; "
                "give ItemPriors(c=Beta(5, 17)) or leave priors=None for it"
            )
        if self.tolerance <= 0 or self.max_iterations < 1 or self.min_responses < 1:
            raise IrtDataError("tolerance must be > 0, max_iterations and min_responses ≥ 1")

    @property
    def item_priors(self) -> ItemPriors:
        if self.priors is not None:
            return self.priors
        return ItemPriors(c=Beta()) if self.model == "3PL" else ItemPriors()
