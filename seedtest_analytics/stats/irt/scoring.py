"""Abilities of rows (students, or students in windows) under known item parameters, on the scale of those items.

With ℓ(θ) = Σ log P(x | θ), prior N(μ, σ²) and posterior p(θ) ∝ exp(ℓ(θ)) φ(θ; μ, σ):

    EAP  θ = ∫ θ p(θ) dθ, SE² = ∫ (θ − EAP)² p(θ) dθ                          (Bock & Mislevy 1982)
    MAP  θ = argmax p(θ), SE² = 1 / (−ℓ″(θ) + 1 / σ²)
    WLE  ℓ′(θ) + J(θ) / (2 I(θ)) = 0, SE² = 1 / I(θ), without a prior         (Warm 1989, eq. 11)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import numbers
from seedtest_analytics.stats.irt.config import Quadrature
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.grid_tables import answer_tables
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes

Floats = NDArray[np.float64]
ScoreMethod = Literal["EAP", "MAP", "WLE"]

_WIDE_ENOUGH = 0.9
"""The common grid is exact to 1e-6 for a posterior SD of at least this many grid spacings."""
_EDGE_MASS = 1e-7
_WLE_BOUND = 12.0
_LANES = 16


@dataclass(frozen=True, eq=False)
class Scores:
    """Abilities and standard errors in logits, with ``n_answers`` to items with known parameters. All (n_rows,).

    Rows without answers get their prior from EAP and MAP, and NaN from WLE.
    """

    theta: Floats
    se: Floats
    n_answers: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Task:
    """Answers to known items, those items, and the prior of each row."""

    data: ResponseData
    items: ItemParameters
    mean: Floats
    sd: Floats

    def row_by_row(
        self, kernel: Callable[..., tuple[Floats, Floats]], rows: NDArray[np.int64], *, arguments: tuple[Any, ...]
    ) -> tuple[Floats, Floats]:
        """Run a kernel over listed rows on threads; results are in the order of ``rows``."""
        items = self.items
        shared = (self.data.row_start, self.data.answer_code, items.a, items.b, items.c, *arguments)
        parts = np.array_split(rows, _LANES)
        done = run_lanes(lambda lane: kernel(parts[lane], *shared), _LANES)
        return np.concatenate([part[0] for part in done]), np.concatenate([part[1] for part in done])


def score(
    data: ResponseData,
    items: ItemParameters,
    *,
    prior_mean: ArrayLike = 0.0,
    prior_sd: ArrayLike = 1.0,
    method: ScoreMethod = "EAP",
    quadrature: Quadrature | None = None,
) -> Scores:
    """Ability of each row, on the scale of ``items``.

    ``prior_mean``, ``prior_sd``: a number, or (n_rows,). To score topics, pass each student's overall posterior. WLE
    ignores them. Raises IrtDataError for priors of another shape or not finite, an SD ≤ 0, and an unknown method.
    """
    if method not in ("EAP", "MAP", "WLE"):
        raise IrtDataError(f"unknown method {method!r}; use EAP, MAP or WLE")
    task = _task(data, items, prior_mean=prior_mean, prior_sd=prior_sd)
    theta, se = _eap(task, quadrature or Quadrature())
    if method != "EAP":
        theta, se = _pointwise(task, theta, method=method)
    return Scores(theta, se, n_answers=task.data.n_answers_by_row)


def _task(data: ResponseData, items: ItemParameters, *, prior_mean: ArrayLike, prior_sd: ArrayLike) -> _Task:
    mean, sd = by_row(prior_mean, "prior mean", n_rows=data.n_rows), by_row(prior_sd, "prior SD", n_rows=data.n_rows)
    fine = np.isfinite(mean) & np.isfinite(sd) & (sd > 0)
    if not bool(fine.all()):
        bad = data.row_ids[np.flatnonzero(~fine)[:5]].tolist()
        raise IrtDataError(f"invalid priors of {int((~fine).sum())} rows ({bad}): need a finite mean and SD > 0")
    known, items = answers_to(data, items)
    return _Task(known, items, mean=mean, sd=sd)


def by_row(values: ArrayLike, name: str, *, n_rows: int) -> Floats:
    """(n_rows,) from one number or one for each row, NaN where it is missing.

    Raises IrtDataError for other shapes, and for what is not a number or infinite.
    """
    given = numbers(values, name, ndim=None, is_missing_allowed=True, error=IrtDataError).astype(np.float64)
    if given.shape not in ((), (n_rows,)):
        raise IrtDataError(f"{name} has shape {given.shape}, need one number or ({n_rows},): one for each row")
    return np.array(np.broadcast_to(given, (n_rows,)))  # a read-only view would have the kernels compiled twice


def answers_to(data: ResponseData, items: ItemParameters) -> tuple[ResponseData, ItemParameters]:
    """The answers to items with known parameters, and those items in the order of the answers."""
    position = items.positions(data.item_ids)
    return data.with_items(position >= 0), items.take(position[position >= 0])


def _eap(task: _Task, grid: Quadrature) -> tuple[Floats, Floats]:
    from seedtest_analytics.stats.irt import ability_kernels

    data, items, mean, sd = task.data, task.items, task.mean, task.sd
    tables = answer_tables(items.a, items.intercept, c=items.c, nodes=grid.nodes)
    shared = (data.row_start, data.answer_code, *tables, grid.points, mean, sd)
    bounds = balanced_rows(data.row_start, _LANES)
    lanes = run_lanes(lambda lane: ability_kernels.grid_moments(bounds[lane], bounds[lane + 1], *shared), _LANES)
    theta, se, edge = (np.concatenate([lane[k] for lane in lanes]) for k in range(3))
    is_empty = data.n_answers_by_row == 0
    theta[is_empty], se[is_empty] = mean[is_empty], sd[is_empty]
    # The prior must fit the grid too: a narrow prior between two points would leave no trace.
    narrow = np.minimum(se, sd) < _WIDE_ENOUGH * grid.spacing
    rows = np.flatnonzero(~is_empty & (narrow | (edge > _EDGE_MASS)))
    if len(rows):
        theta[rows], se[rows] = task.row_by_row(ability_kernels.local_moments, rows, arguments=(mean, sd, theta))
    return theta, se


def _pointwise(task: _Task, start: Floats, *, method: ScoreMethod) -> tuple[Floats, Floats]:
    from seedtest_analytics.stats.irt import ability_kernels

    rows = np.flatnonzero(task.data.n_answers_by_row)
    if method == "MAP":
        theta, se, arguments = task.mean.copy(), task.sd.copy(), (task.mean, task.sd, start)
        theta[rows], se[rows] = task.row_by_row(ability_kernels.modes, rows, arguments=arguments)
    else:
        theta, se = np.full(len(start), np.nan), np.full(len(start), np.nan)
        theta[rows], se[rows] = task.row_by_row(ability_kernels.warm_estimates, rows, arguments=(start, _WLE_BOUND))
    return theta, se
