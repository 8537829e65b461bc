"""Linking two scales through common items: mean-mean, mean-sigma, Haebara, Stocking-Lord.

Source: Kolen & Brennan 2004, chapter 6.

Direction throughout: the new scale is mapped to the old one, θ_old = A θ_new + B, so that a_old = a_new / A,
b_old = A b_new + B and c is unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.errors import IrtDataError, LinkingError
from seedtest_analytics.stats.irt.link_anchors import AnchorRule, CommonItems, DroppedAnchor, screen_anchors
from seedtest_analytics.stats.irt.model import ItemParameters, logistic

Floats = NDArray[np.float64]
LinkMethod = Literal["mean-mean", "mean-sigma", "haebara", "stocking-lord"]

METHODS: tuple[LinkMethod, ...] = ("mean-mean", "mean-sigma", "haebara", "stocking-lord")
_DIFFERENCE_STEP = 1e-5
_SLOPE_LIMITS = (0.05, 20.0)


@dataclass(frozen=True, eq=False)
class LinkGrid:
    """Abilities and weights of the characteristic curve criteria, on the old scale (and, symmetric, on both)."""

    nodes: Floats
    weights: Floats

    @classmethod
    def normal(cls, points: int = 81, lower: float = -4.0, *, upper: float = 4.0) -> LinkGrid:
        """Equally spaced points weighted by the standard normal density, weights summing to 1."""
        nodes = np.linspace(lower, upper, points)
        weights = np.exp(-0.5 * nodes**2)
        return cls(nodes, weights / weights.sum())

    @classmethod
    def uniform(cls, points: int = 40, lower: float = -4.0, *, upper: float = 4.0) -> LinkGrid:
        """Equally spaced points of equal weight, as in Kolen & Brennan's examples."""
        return cls(np.linspace(lower, upper, points), np.full(points, 1.0 / points))


@dataclass(frozen=True, eq=False)
class Link:
    """θ_old = A θ_new + B.

    ``se_slope``, ``se_intercept``, ``cov_slope_intercept``: of A and B by the delta method, NaN without item
    covariances; ``covariance`` (2, 2). ``criterion``: value of the loss at the solution, NaN for the moment methods.
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
    direction: str = "new → old: θ_old = A θ_new + B"

    @property
    def slope(self) -> float:
        return self.A

    @property
    def intercept(self) -> float:
        return self.B

    @property
    def n_anchors_used(self) -> int:
        return len(self.anchor_ids)

    @property
    def covariance(self) -> Floats:
        return np.array(
            [[self.se_slope**2, self.cov_slope_intercept], [self.cov_slope_intercept, self.se_intercept**2]]
        )

    def theta(self, theta_new: Floats) -> Floats:
        return np.asarray(self.A * theta_new + self.B)

    def items(self, new: ItemParameters) -> ItemParameters:
        """Parameters on the old scale."""
        return ItemParameters(new.item_ids, new.a / self.A, b=self.A * new.b + self.B, c=new.c)

    def item_covariance(self, covariance: Floats) -> Floats:
        """(n, 3, 3) covariance of (a, b, c) on the old scale, the constants taken as known."""
        scale = np.array([1.0 / self.A, self.A, 1.0])
        return np.asarray(covariance * scale[:, None] * scale[None, :])

    @classmethod
    def identity(cls) -> Link:
        """For calibrations that are on one scale already, such as by fixed anchors."""
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
    symmetric: bool = False,
    rule: AnchorRule | None = AnchorRule(),
    min_anchors: int = 5,
    covariance_new: Floats | None = None,
    covariance_old: Floats | None = None,
) -> Link:
    """The constants that map the scale of ``new`` to that of ``old`` through the items they share.

    ``rule``: None keeps every anchor. ``covariance_*``: of (a, b, c) of the items, (n, 3, 3) by item or
    (3 n, 3 n) of all, in the order of ``new`` and ``old``; zeros for parameters known without error. They give
    the standard errors of A and B (and protect anchors that are merely uncertain from being dropped).

    Raises LinkingError where fewer than ``min_anchors`` anchors remain or slopes have the wrong sign.
    """
    if method not in METHODS:
        raise IrtDataError(f"linking method {method!r} is not known; take one of {', '.join(METHODS)}")
    pair = _pair(new, old, covariance_new=covariance_new, covariance_old=covariance_old)
    _require(len(pair.ids), min_anchors, what="common items with usable parameters")
    grid = grid or LinkGrid.normal()
    kept, dropped = np.ones(len(pair.ids), dtype=bool), tuple[DroppedAnchor, ...]()
    if rule is not None:
        kept, dropped = screen_anchors(pair, rule)
        _require(int(kept.sum()), min_anchors, what=f"anchors after {len(dropped)} drifted ones were dropped")
    used = pair.take(kept)
    eta, criterion = solve(used, method, grid=grid, symmetric=symmetric)
    covariance = _delta_covariance(used, eta, method=method, grid=grid, symmetric=symmetric)
    se = np.sqrt(np.diag(covariance))
    return Link(
        float(eta[0]),
        float(eta[1]),
        se_slope=float(se[0]),
        se_intercept=float(se[1]),
        cov_slope_intercept=float(covariance[0, 1]),
        method=method,
        criterion=criterion,
        anchor_ids=used.ids,
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
    """Ids of the common items that behave on the new scale as on the old, and those that do not: ``link``'s screening
    for anchors that are to be held fixed.

    Raises LinkingError where fewer than ``min_anchors`` would be left, or no side can be called the drifted one.
    """
    pair = _pair(new, old, covariance_new=covariance_new, covariance_old=covariance_old)
    _require(len(pair.ids), min_anchors, what="common items with usable parameters")
    kept, dropped = screen_anchors(pair, rule)
    _require(int(kept.sum()), min_anchors, what=f"anchors after {len(dropped)} drifted ones were dropped")
    return pair.ids[kept], dropped


def _require(n: int, minimum: int, *, what: str) -> None:
    if n < minimum:
        raise LinkingError(
            f"{n} {what}, {minimum} are needed to link the scales; tag more anchors or lower the minimum"
        )


def _pair(
    new: ItemParameters, old: ItemParameters, *, covariance_new: Floats | None, covariance_old: Floats | None
) -> CommonItems:
    position = old.positions(new.item_ids)
    # A negative slope on either side is a wrong key, not a scale.
    both = position >= 0
    both &= (new.a > 0) & (old.a[np.maximum(position, 0)] > 0)
    here, there = np.flatnonzero(both), position[both]
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
    if covariance.shape == (3 * n, 3 * n):
        flat = (3 * rows[:, None] + np.arange(3)).ravel()
        return np.nan_to_num(covariance[np.ix_(flat, flat)])
    if covariance.shape != (n, 3, 3):
        raise IrtDataError(f"{name} has shape {covariance.shape}; give ({n}, 3, 3) or ({3 * n}, {3 * n})")
    wide = np.zeros((3 * len(rows), 3 * len(rows)))
    for k, row in enumerate(rows):
        wide[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] = np.nan_to_num(covariance[row])
    return wide


def solve(pair: CommonItems, method: LinkMethod, *, grid: LinkGrid, symmetric: bool) -> tuple[Floats, float]:
    """(A, B) and the value of the criterion, NaN for the moment methods."""
    start = _moments(pair.new, pair.old, method="mean-mean" if method == "mean-mean" else "mean-sigma")
    if method in ("mean-mean", "mean-sigma"):
        return start, float("nan")
    from scipy.optimize import least_squares

    start[0] = np.clip(start[0], 2 * _SLOPE_LIMITS[0], 0.5 * _SLOPE_LIMITS[1])
    found = least_squares(
        lambda eta: _residuals(eta, pair.new, old=pair.old, method=method, grid=grid, symmetric=symmetric)[0],
        start,
        jac=lambda eta: _residuals(eta, pair.new, old=pair.old, method=method, grid=grid, symmetric=symmetric)[1],
        bounds=([_SLOPE_LIMITS[0], -np.inf], [_SLOPE_LIMITS[1], np.inf]),
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
        x_scale=1.0,
    )
    return np.asarray(found.x), float(2.0 * found.cost)


def _moments(new: Floats, old: Floats, *, method: str) -> Floats:
    (a_new, b_new), (a_old, b_old) = new[:, :2].T, old[:, :2].T
    slope = a_new.mean() / a_old.mean() if method == "mean-mean" else b_old.std() / max(b_new.std(), 1e-12)
    return np.array([slope, b_old.mean() - slope * b_new.mean()])


def _residuals(
    eta: Floats, new: Floats, *, old: Floats, method: str, grid: LinkGrid, symmetric: bool
) -> tuple[Floats, Floats]:
    """Weighted differences of curves (Haebara: by item; Stocking-Lord: summed) and their derivatives by A, B."""
    sides = [_side_old(eta, new, old=old, theta=grid.nodes)]
    if symmetric:
        sides.append(_side_new(eta, new, old=old, theta=grid.nodes))
    root = np.sqrt(grid.weights)
    residuals, jacobians = [], []
    for difference, by_slope, by_intercept in sides:
        parts = (difference, by_slope, by_intercept)
        if method == "stocking-lord":
            parts = tuple(part.sum(axis=0, keepdims=True) for part in parts)
        value, *derivative = ((part * root).ravel() for part in parts)
        residuals.append(value)
        jacobians.append(np.stack(derivative, axis=1))
    return np.concatenate(residuals), np.concatenate(jacobians)


def _side_old(eta: Floats, new: Floats, *, old: Floats, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """(n, points) new curves minus old ones on the old scale, and derivatives of the difference by A and B."""
    slope, intercept = eta
    a, c = new[:, :1], new[:, 2:]
    z = a * (theta - intercept) / slope - a * new[:, 1:2]
    curve = logistic(z)
    density = (1.0 - c) * curve * (1.0 - curve)
    target = old[:, 2:] + (1.0 - old[:, 2:]) * logistic(old[:, :1] * (theta - old[:, 1:2]))
    difference = c + (1.0 - c) * curve - target
    return difference, -density * a * (theta - intercept) / slope**2, -density * a / slope


def _side_new(eta: Floats, new: Floats, *, old: Floats, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """The same on the new scale: old curves transformed back, minus new ones."""
    slope, intercept = eta
    a, c = old[:, :1], old[:, 2:]
    curve = logistic(a * (slope * theta + intercept - old[:, 1:2]))
    density = (1.0 - c) * curve * (1.0 - curve)
    own = new[:, 2:] + (1.0 - new[:, 2:]) * logistic(new[:, :1] * (theta - new[:, 1:2]))
    return c + (1.0 - c) * curve - own, density * a * theta, density * a


def _equations(eta: Floats, new: Floats, *, old: Floats, method: str, grid: LinkGrid, symmetric: bool) -> Floats:
    """(2,) what is zero at the solution."""
    if method in ("mean-mean", "mean-sigma"):
        return np.asarray(eta - _moments(new, old, method=method))
    residual, jacobian = _residuals(eta, new, old=old, method=method, grid=grid, symmetric=symmetric)
    return np.asarray(jacobian.T @ residual)


def _delta_covariance(pair: CommonItems, eta: Floats, *, method: str, grid: LinkGrid, symmetric: bool) -> Floats:
    """(2, 2) covariance of (A, B) by the implicit function theorem (Ogasawara 2001); NaN without covariances."""
    if pair.covariance_new is None and pair.covariance_old is None:
        return np.full((2, 2), np.nan)
    by_eta = np.empty((2, 2))
    for j in range(2):
        step = np.zeros(2)
        step[j] = _DIFFERENCE_STEP
        upper = _equations(eta + step, pair.new, old=pair.old, method=method, grid=grid, symmetric=symmetric)
        lower = _equations(eta - step, pair.new, old=pair.old, method=method, grid=grid, symmetric=symmetric)
        by_eta[:, j] = (upper - lower) / (2 * _DIFFERENCE_STEP)
    total = np.zeros((2, 2))
    for side, covariance in (("new", pair.covariance_new), ("old", pair.covariance_old)):
        if covariance is None:
            continue
        by_parameters = np.empty((2, pair.new.size))
        for k in range(pair.new.size):
            values = []
            for sign in (1.0, -1.0):
                moved = {"new": pair.new.copy(), "old": pair.old.copy()}
                moved[side].flat[k] += sign * _DIFFERENCE_STEP
                values.append(
                    _equations(eta, moved["new"], old=moved["old"], method=method, grid=grid, symmetric=symmetric)
                )
            by_parameters[:, k] = (values[0] - values[1]) / (2 * _DIFFERENCE_STEP)
        sensitivity = -np.linalg.solve(by_eta, by_parameters)
        total += sensitivity @ covariance @ sensitivity.T
    return total
