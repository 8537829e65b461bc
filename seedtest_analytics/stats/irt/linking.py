"""Linking two scales through common items: mean-mean, mean-sigma, Haebara and Stocking–Lord.

θ_old = A θ_new + B maps the new scale to the old one, so a_old = a_new / A, b_old = A b_new + B, and c is unchanged. With
P_i and P_i* the curves of item i from its old parameters and from its transformed new ones, and grid weights w(θ):

    mean-mean       A = mean(a_new) / mean(a_old)               B = mean(b_old) − A mean(b_new)
    mean-sigma      A = SD(b_old) / SD(b_new)                   B likewise
    Haebara         min Σ_θ w(θ) Σ_i (P_i*(θ) − P_i(θ))²        Stocking–Lord: min Σ_θ w(θ) (Σ_i P_i*(θ) − Σ_i P_i(θ))²

Source: Kolen & Brennan 2004, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.checks import count, number, numbers, one_of, refuse
from seedtest_analytics.stats.irt.errors import IrtDataError, LinkingError
from seedtest_analytics.stats.irt.link_anchors import AnchorRule, CommonItems, DroppedAnchor, screen_anchors
from seedtest_analytics.stats.irt.model import ItemParameters, logistic

Floats = NDArray[np.float64]
LinkMethod = Literal["mean-mean", "mean-sigma", "haebara", "stocking-lord"]

METHODS: tuple[LinkMethod, ...] = ("mean-mean", "mean-sigma", "haebara", "stocking-lord")
_DIFFERENCE_STEP = 1e-5
_SLOPE_LIMITS = (0.05, 20.0)
MIN_SPREAD_B = 0.05
"""Standard deviation (logits) of the anchors' difficulties below which their ratio is noise."""


@dataclass(frozen=True, eq=False)
class LinkGrid:
    """Abilities on the old scale, and their weights w(θ) in the characteristic curve criteria.

    Raises IrtDataError for abilities that are not finite, and for weights that are negative or all 0.
    """

    nodes: Floats
    weights: Floats

    def __post_init__(self) -> None:
        nodes = numbers(self.nodes, "node", error=IrtDataError)
        if not numbers(self.weights, "weight", like=nodes.shape, low=0.0, error=IrtDataError).any():
            raise IrtDataError("a link needs an ability with a weight above 0")

    @classmethod
    def normal(cls, points: int = 81, lower: float = -4.0, *, upper: float = 4.0) -> LinkGrid:
        """Equally spaced points with standard normal weights of sum 1; IrtDataError unless lower < upper."""
        count(points, "points", low=2, high=100_000, error=IrtDataError)
        for name, limit in (("lower", lower), ("upper", upper)):
            number(limit, name, low=-30.0, high=30.0, error=IrtDataError)
        if not lower < upper:
            raise IrtDataError(f"the grid from {lower:g} to {upper:g} has no length")
        nodes = np.linspace(lower, upper, points)
        weights = np.exp(-0.5 * nodes**2)
        return cls(nodes, weights / weights.sum())


@dataclass(frozen=True, eq=False)
class Link:
    """θ_old = A θ_new + B, with standard errors by the delta method (NaN without item covariances).

    ``criterion``: the loss at the solution, NaN for mean-mean and mean-sigma. ``dropped``: drifted anchors left out.
    """

    A: float
    B: float
    se_slope: float
    se_intercept: float
    cov_slope_intercept: float
    method: LinkMethod | Literal["identity"]
    criterion: float
    anchor_ids: NDArray[Any]
    dropped: tuple[DroppedAnchor, ...] = field(default=())

    @property
    def n_anchors_used(self) -> int:
        return len(self.anchor_ids)

    @property
    def covariance(self) -> Floats:
        """(2, 2) of A and B."""
        return np.array(
            [[self.se_slope**2, self.cov_slope_intercept], [self.cov_slope_intercept, self.se_intercept**2]]
        )

    @classmethod
    def identity(cls) -> Link:
        """The link of calibrations that share a scale, such as by fixed anchors."""
        return cls(
            1.0,
            0.0,
            se_slope=0.0,
            se_intercept=0.0,
            cov_slope_intercept=0.0,
            method="identity",
            criterion=0.0,
            anchor_ids=np.array([]),
        )


def link(
    new: ItemParameters,
    old: ItemParameters,
    *,
    method: LinkMethod = "stocking-lord",
    grid: LinkGrid | None = None,
    rule: AnchorRule | None = AnchorRule(),
    min_anchors: int = 5,
    covariance_new: Floats | None = None,
    covariance_old: Floats | None = None,
) -> Link:
    """The constants A and B that map the scale of ``new`` (a calibration's own) to that of ``old`` (the platform scale, say).

    ``rule``: None keeps every anchor. ``covariance_*``: of (a, b, c), (n, 3, 3) by item or (3 n, 3 n) of all items, in the
    order of ``new`` and ``old``; zeros for known parameters. They give the standard errors of A and B, and they keep
    anchors that are only uncertain from being dropped.

    Raises LinkingError if fewer than ``min_anchors`` anchors with positive slopes remain, and IrtDataError for an unknown
    method, ``min_anchors`` below 1, or covariances that cannot be those of estimates.
    """
    one_of(method, "linking method", choices=METHODS, error=IrtDataError)
    count(min_anchors, "min_anchors", low=1, error=IrtDataError)
    pair = _pair(new, old, min_anchors=min_anchors, covariance_new=covariance_new, covariance_old=covariance_old)
    dropped = tuple[DroppedAnchor, ...]()
    if rule is not None:
        pair, dropped = _screened(pair, rule, min_anchors=min_anchors)
    criterion = _Criterion(method, grid or LinkGrid.normal())
    eta, loss = criterion.solve(pair)
    covariance = _delta_covariance(pair, eta, criterion=criterion)
    if (np.diag(covariance) < 0).any():
        raise IrtDataError("the items' covariances give a link of negative variance; compute them again")
    se = np.sqrt(np.diag(covariance))
    return Link(
        float(eta[0]),
        float(eta[1]),
        se_slope=float(se[0]),
        se_intercept=float(se[1]),
        cov_slope_intercept=float(covariance[0, 1]),
        method=method,
        criterion=loss,
        anchor_ids=pair.ids,
        dropped=dropped,
    )


def drifted_anchors(
    new: ItemParameters,
    old: ItemParameters,
    *,
    rule: AnchorRule = AnchorRule(),
    min_anchors: int = 5,
    covariance_new: Floats | None = None,
    covariance_old: Floats | None = None,
) -> tuple[NDArray[Any], tuple[DroppedAnchor, ...]]:
    """Ids of the common items that may be held fixed, and the drifted ones: the screening of ``link`` alone.

    Raises LinkingError if fewer than ``min_anchors`` would remain, or either side may be the drifted one, and IrtDataError
    for other arguments out of range.
    """
    count(min_anchors, "min_anchors", low=1, error=IrtDataError)
    pair = _pair(new, old, min_anchors=min_anchors, covariance_new=covariance_new, covariance_old=covariance_old)
    kept, dropped = _screened(pair, rule, min_anchors=min_anchors)
    return kept.ids, dropped


def _screened(
    pair: CommonItems, rule: AnchorRule, *, min_anchors: int
) -> tuple[CommonItems, tuple[DroppedAnchor, ...]]:
    kept, dropped = screen_anchors(pair, rule)
    _require(int(kept.sum()), min_anchors, what=f"anchors after {len(dropped)} drifted ones were dropped")
    return pair.take(kept), dropped


def _require(n: int, minimum: int, *, what: str) -> None:
    if n < minimum:
        raise LinkingError(
            f"{n} {what}, {minimum} are needed to link the scales; tag more anchors or lower the minimum"
        )


def _pair(
    new: ItemParameters,
    old: ItemParameters,
    *,
    min_anchors: int,
    covariance_new: Floats | None,
    covariance_old: Floats | None,
) -> CommonItems:
    position = old.positions(new.item_ids)
    # A negative slope on either side means a wrong key.
    both = position >= 0
    both &= (new.a > 0) & (old.a[np.maximum(position, 0)] > 0)
    here, there = np.flatnonzero(both), position[both]
    _require(len(here), min_anchors, what="common items with usable parameters")
    return CommonItems(
        new.item_ids[here],
        np.stack([new.a[here], new.b[here], new.c[here]], axis=1),
        old=np.stack([old.a[there], old.b[there], old.c[there]], axis=1),
        covariance_new=_wide(covariance_new, len(new), rows=here, name="covariance_new"),
        covariance_old=_wide(covariance_old, len(old), rows=there, name="covariance_old"),
    )


def _wide(covariance: Floats | None, n: int, *, rows: NDArray[np.int64], name: str) -> Floats | None:
    if covariance is None:
        return None
    covariance = numbers(covariance, name, ndim=None, is_missing_allowed=True, error=IrtDataError)
    is_wide = covariance.shape == (3 * n, 3 * n)
    if not is_wide and covariance.shape != (n, 3, 3):
        raise IrtDataError(f"{name} has shape {covariance.shape}; need ({n}, 3, 3) or ({3 * n}, {3 * n})")
    variances = np.diag(covariance) if is_wide else np.einsum("nii->ni", covariance).ravel()
    refuse(variances < 0, f"a negative variance in {name}", need="give covariances of estimates", error=IrtDataError)
    if is_wide:
        flat = (3 * rows[:, None] + np.arange(3)).ravel()
        return np.asarray(np.nan_to_num(covariance[np.ix_(flat, flat)]))
    wide = np.zeros((3 * len(rows), 3 * len(rows)))
    for k, row in enumerate(rows):
        wide[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] = np.nan_to_num(covariance[row])
    return wide


@dataclass(frozen=True, eq=False)
class _Criterion:
    """What a method minimises, or solves, for η = (A, B)."""

    method: LinkMethod
    grid: LinkGrid

    @property
    def is_moment(self) -> bool:
        return self.method in ("mean-mean", "mean-sigma")

    def solve(self, pair: CommonItems) -> tuple[Floats, float]:
        """(A, B) and the loss, NaN for the moment methods."""
        start = self.moments(pair.new, pair.old)
        if self.is_moment:
            if not _SLOPE_LIMITS[0] <= start[0] <= _SLOPE_LIMITS[1]:
                raise LinkingError(
                    f"the slope {start[0]:.3g} of the link is beyond {_SLOPE_LIMITS}; review the anchors"
                )
            return start, float("nan")
        from scipy.optimize import least_squares

        start[0] = np.clip(start[0], 2 * _SLOPE_LIMITS[0], 0.5 * _SLOPE_LIMITS[1])
        found = least_squares(
            lambda eta: self.residuals(eta, pair.new, old=pair.old)[0],
            start,
            jac=lambda eta: self.residuals(eta, pair.new, old=pair.old)[1],
            bounds=([_SLOPE_LIMITS[0], -np.inf], [_SLOPE_LIMITS[1], np.inf]),
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            x_scale=1.0,
        )
        return np.asarray(found.x), float(2.0 * found.cost)

    def moments(self, new: Floats, old: Floats) -> Floats:
        """Mean-mean, or mean-sigma for the others to start from (mean-mean where equal difficulties have no SD)."""
        (a_new, b_new), (a_old, b_old) = new[:, :2].T, old[:, :2].T
        has_spread = min(b_new.std(), b_old.std()) >= MIN_SPREAD_B
        if self.method == "mean-sigma" and not has_spread:
            raise LinkingError(
                f"the anchors' difficulties have an SD below {MIN_SPREAD_B} logits on a scale, so mean-sigma has no slope; "
                "choose anchors of different difficulty, or another method"
            )
        is_mean_mean = self.method == "mean-mean" or not has_spread
        slope = a_new.mean() / a_old.mean() if is_mean_mean else b_old.std() / b_new.std()
        return np.array([slope, b_old.mean() - slope * b_new.mean()])

    def residuals(self, eta: Floats, new: Floats, *, old: Floats) -> tuple[Floats, Floats]:
        """√w (P* − P), by item (Haebara) or summed (Stocking–Lord), and its derivatives by A and B."""
        slope, intercept = eta
        theta = self.grid.nodes
        a, c = new[:, :1], new[:, 2:]
        z = a * (theta - intercept) / slope - a * new[:, 1:2]
        curve = logistic(z)
        density = (1.0 - c) * curve * (1.0 - curve)
        target = old[:, 2:] + (1.0 - old[:, 2:]) * logistic(old[:, :1] * (theta - old[:, 1:2]))
        difference = c + (1.0 - c) * curve - target
        parts = [difference, -density * a * (theta - intercept) / slope**2, -density * a / slope]
        if self.method == "stocking-lord":
            parts = [part.sum(axis=0, keepdims=True) for part in parts]
        value, *derivative = ((part * np.sqrt(self.grid.weights)).ravel() for part in parts)
        return value, np.stack(derivative, axis=1)

    def equations(self, eta: Floats, new: Floats, *, old: Floats) -> Floats:
        """(2,) estimating equations, zero at the solution."""
        if self.is_moment:
            return np.asarray(eta - self.moments(new, old))
        residual, jacobian = self.residuals(eta, new, old=old)
        return np.asarray(jacobian.T @ residual)


def _delta_covariance(pair: CommonItems, eta: Floats, *, criterion: _Criterion) -> Floats:
    """(2, 2) covariance of (A, B) by the implicit function theorem (Ogasawara 2001); NaN without covariances.

    With g(η, parameters) = 0 at the solution: Cov(η) = S Cov(parameters) Sᵀ, S = −(∂g/∂η)⁻¹ ∂g/∂parameters.
    """
    if pair.covariance_new is None and pair.covariance_old is None:
        return np.full((2, 2), np.nan)
    by_eta = np.empty((2, 2))
    for j in range(2):
        step = np.zeros(2)
        step[j] = _DIFFERENCE_STEP
        upper = criterion.equations(eta + step, pair.new, old=pair.old)
        lower = criterion.equations(eta - step, pair.new, old=pair.old)
        by_eta[:, j] = (upper - lower) / (2 * _DIFFERENCE_STEP)
    total = np.zeros((2, 2))
    for side, covariance in (("new", pair.covariance_new), ("old", pair.covariance_old)):
        if covariance is None:
            continue
        by_parameters = np.zeros((2, pair.new.size))
        for k in np.flatnonzero(covariance.any(axis=0)):  # an exact parameter adds nothing
            values = []
            for sign in (1.0, -1.0):
                moved = {"new": pair.new.copy(), "old": pair.old.copy()}
                moved[side].flat[k] += sign * _DIFFERENCE_STEP
                values.append(criterion.equations(eta, moved["new"], old=moved["old"]))
            by_parameters[:, k] = (values[0] - values[1]) / (2 * _DIFFERENCE_STEP)
        sensitivity = -np.linalg.solve(by_eta, by_parameters)
        total += sensitivity @ covariance @ sensitivity.T
    return total
