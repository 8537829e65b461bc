"""Settings of a calibration, validated before any work starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.checks import count, number, one_of, positive
from seedtest_analytics.stats.irt.errors import IrtDataError, UnidentifiedModelError
from seedtest_analytics.stats.irt.model import ItemParameters, ModelName

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Normal:
    """Normal prior of b, of the intercept d, or of logit(c). Raises IrtDataError for numbers that are not finite, or sd ≤ 0."""

    mean: float = 0.0
    sd: float = 2.0

    def __post_init__(self) -> None:
        number(self.mean, "mean", error=IrtDataError)
        positive(self.sd, "sd", error=IrtDataError)


@dataclass(frozen=True)
class LogNormal:
    """Prior of the discrimination: log a ~ N(mean_log, sd_log²). Raises IrtDataError as ``Normal`` does."""

    mean_log: float = 0.0
    sd_log: float = 0.5

    def __post_init__(self) -> None:
        number(self.mean_log, "mean_log", error=IrtDataError)
        positive(self.sd_log, "sd_log", error=IrtDataError)


@dataclass(frozen=True)
class Beta:
    """Prior of the lower asymptote: c ~ Beta(alpha, beta). Raises IrtDataError unless alpha, beta ≥ 1."""

    alpha: float = 5.0
    beta: float = 17.0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            number(getattr(self, name), name, low=1.0, error=IrtDataError)


@dataclass(frozen=True)
class ItemPriors:
    """Independent priors of item parameters on the calibration's own scale; None is flat. Only one of b and d may be set."""

    a: LogNormal | None = None
    b: Normal | None = None
    d: Normal | None = None
    c: Beta | Normal | None = None

    def __post_init__(self) -> None:
        if self.b is not None and self.d is not None:
            raise IrtDataError("priors on both b and d would be counted twice; give one")


@dataclass(frozen=True)
class Quadrature:
    """Equally spaced points on which the population density is evaluated and normalised to sum 1.

    Raises IrtDataError for fewer than 5 or more than 10,000 points, limits that are not finite, or lower ≥ upper.
    """

    points: int = 61
    lower: float = -6.0
    upper: float = 6.0

    def __post_init__(self) -> None:
        count(self.points, "points", high=10_000, error=IrtDataError)
        for name in ("lower", "upper"):
            number(getattr(self, name), name, error=IrtDataError)
        if self.points < 5 or not self.lower < self.upper:
            raise IrtDataError(
                f"quadrature of {self.points} points on [{self.lower}, {self.upper}]: need ≥ 5 points and lower < upper"
            )

    @property
    def nodes(self) -> Floats:
        return np.linspace(self.lower, self.upper, self.points)

    @property
    def spacing(self) -> float:
        return (self.upper - self.lower) / (self.points - 1)


@dataclass(frozen=True, eq=False)
class CalibrationConfig:
    """Settings of ``calibrate``.

    Attributes:
        min_responses: items with fewer answers are set aside.
        pool_below: rare items, with fewer answers than this, have a prior from their topic (``pooling``) and are estimated
            even if all their answers are right or wrong. 0 pools nothing. It needs ``priors`` with one on b.
        min_rows: fewer rows with answers raise IrtDataError.
        priors: None is flat for Rasch and 2PL and Beta(5, 17) on c for 3PL. 3PL without a prior on c is refused: it
            has no unique maximum on data of ordinary size.
        anchors: item parameters on the scale to reach, such as the platform scale. They are held fixed, and the
            population mean and SD are free. Priors of a and b hold where the population has mean 0 and SD 1, and so do not
            move the scale (``anchored_scale``). Without anchors the calibration has its own scale: mean 0 and SD 1
            (Rasch: mean 0, SD free). Fewer than ``min_anchors`` anchors in the data raise AnchorError.
        tolerance: largest parameter step (logits) that may remain at the end.
        standard_errors: "full" inverts the observed information of all parameters, "block" that of each item, "none"
            computes none, "auto" is full up to ``max_full_parameters``.
        precision: "mixed" searches large data with single precision tables and finishes with double precision.
        threads: None for all cores that the process may use. Results do not depend on it.
    """

    model: ModelName = "2PL"
    quadrature: Quadrature = field(default_factory=Quadrature)
    min_responses: int = 10
    pool_below: int = 0
    min_rows: int = 30
    priors: ItemPriors | None = None
    anchors: ItemParameters | None = None
    min_anchors: int = 5
    max_iterations: int = 500
    tolerance: float = 1e-4
    standard_errors: Literal["auto", "full", "block", "none"] = "auto"
    max_full_parameters: int = 6000
    precision: Literal["mixed", "double"] = "mixed"
    threads: int | None = None

    def __post_init__(self) -> None:
        one_of(self.model, "model", choices=("Rasch", "2PL", "3PL"), error=IrtDataError)
        one_of(self.standard_errors, "standard_errors", choices=("auto", "full", "block", "none"), error=IrtDataError)
        one_of(self.precision, "precision", choices=("mixed", "double"), error=IrtDataError)
        if self.model == "3PL" and self.item_priors.c is None:
            raise UnidentifiedModelError(
                "3PL needs a prior on c, because the likelihood is flat in c for easy items and has no unique maximum; "
                "pass ItemPriors(c=Beta(5, 17)), or priors=None for that default"
            )
        positive(self.tolerance, "tolerance", error=IrtDataError)
        for name in ("max_iterations", "min_responses", "min_rows"):
            count(getattr(self, name), name, low=1, error=IrtDataError)
        for name in ("min_anchors", "max_full_parameters", "pool_below"):
            count(getattr(self, name), name, error=IrtDataError)
        if self.pool_below and self.item_priors.b is None:
            raise IrtDataError(
                "pool_below needs a prior on b, for items that are not rare; pass ItemPriors(b=Normal())"
            )
        if self.threads is not None:
            count(self.threads, "threads", low=1, error=IrtDataError)

    @property
    def item_priors(self) -> ItemPriors:
        if self.priors is not None:
            return self.priors
        return ItemPriors(c=Beta()) if self.model == "3PL" else ItemPriors()
