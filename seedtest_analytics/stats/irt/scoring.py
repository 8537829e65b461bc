"""Abilities of rows (students, or students in windows) under known item parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.irt.config import Quadrature
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.model import ItemParameters, log_tables
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes

Floats = NDArray[np.float64]
ScoreMethod = Literal["EAP", "MAP", "WLE"]

_WIDE_ENOUGH = 0.9
"""A posterior SD in units of the grid's spacing from which the common grid is exact to 1e-6."""
_EDGE_MASS = 1e-7
_WLE_BOUND = 12.0
_DRAW_SUBDIVISION = 4
_LANES = 16


@dataclass(frozen=True, eq=False)
class Scores:
    """Abilities, all (n_rows,) in the order of ``ResponseData.row_keys``.

    ``theta`` and ``se`` in logits of the items' scale: posterior mean and SD (EAP), mode and SD of its curvature
    (MAP), Warm's estimate and 1/sqrt(information) (WLE; NaN for rows without answers, which EAP and MAP give
    their prior). ``n_answers`` to items with known parameters; ``n_unknown_answers`` in all were to others.
    ``n_local`` rows were too narrow or too far out for the common grid and got one of their own.
    """

    row_keys: tuple[NDArray[Any], ...]
    theta: Floats
    se: Floats
    n_answers: NDArray[np.int64]
    method: ScoreMethod
    n_unknown_answers: int
    n_local: int

    @property
    def row_ids(self) -> NDArray[Any]:
        return self.row_keys[0]


def score(
    data: ResponseData,
    items: ItemParameters,
    *,
    prior_mean: ArrayLike = 0.0,
    prior_sd: ArrayLike = 1.0,
    method: ScoreMethod = "EAP",
    quadrature: Quadrature | None = None,
    threads: int | None = None,
) -> Scores:
    """Ability of each row. ``prior_mean`` and ``prior_sd``: one number, or (n_rows,), such as each user's overall
    posterior for the abilities in a topic; WLE ignores them.

    Sources: Bock & Mislevy 1982 (EAP); Warm 1989, eq. 11 (WLE). Raises IrtDataError for priors that are not
    finite, an SD ≤ 0, or an unknown method.
    """
    if method not in ("EAP", "MAP", "WLE"):
        raise IrtDataError(f"method {method!r} is not known; take EAP, MAP or WLE")
    known, used, mean, sd = _prepare(data, items, prior_mean=prior_mean, prior_sd=prior_sd)
    grid = quadrature or Quadrature()
    theta, se, n_local = _eap(known, used, mean=mean, sd=sd, grid=grid, threads=threads)
    if method != "EAP":
        theta, se = _pointwise(known, used, mean=mean, sd=sd, start=theta, method=method, threads=threads)
        n_local = 0
    n_answers = known.n_answers_by_row
    return Scores(
        data.row_keys,
        theta,
        se=se,
        n_answers=n_answers,
        method=method,
        n_unknown_answers=data.n_answers - known.n_answers,
        n_local=n_local,
    )


def plausible_values(
    data: ResponseData,
    items: ItemParameters,
    *,
    n_draws: int = 5,
    seed: int = 20_240_101,
    prior_mean: ArrayLike = 0.0,
    prior_sd: ArrayLike = 1.0,
    quadrature: Quadrature | None = None,
    threads: int | None = None,
) -> Floats:
    """(n_rows, n_draws) draws from each row's posterior (Mislevy 1991), the same for any number of threads."""
    from seedtest_analytics.stats.irt import ability_kernels

    known, used, mean, sd = _prepare(data, items, prior_mean=prior_mean, prior_sd=prior_sd)
    grid = quadrature or Quadrature()
    fine = Quadrature((grid.points - 1) * _DRAW_SUBDIVISION + 1, grid.lower, upper=grid.upper)
    shared = (known.row_start, known.answer_code, *_tables(used, fine), fine.points, mean, sd, n_draws, seed)
    bounds = balanced_rows(known.row_start, _LANES)
    lanes = run_lanes(
        lambda lane: ability_kernels.posterior_draws(bounds[lane], bounds[lane + 1], *shared),
        _LANES,
        threads=threads,
    )
    return np.concatenate(lanes)


def _prepare(
    data: ResponseData, items: ItemParameters, *, prior_mean: ArrayLike, prior_sd: ArrayLike
) -> tuple[ResponseData, ItemParameters, Floats, Floats]:
    mean = np.ascontiguousarray(np.broadcast_to(np.asarray(prior_mean, dtype=np.float64), (data.n_rows,)))
    sd = np.ascontiguousarray(np.broadcast_to(np.asarray(prior_sd, dtype=np.float64), (data.n_rows,)))
    fine = np.isfinite(mean) & np.isfinite(sd) & (sd > 0)
    if not bool(fine.all()):
        bad = data.row_ids[np.flatnonzero(~fine)[:5]].tolist()
        raise IrtDataError(f"priors of {int((~fine).sum())} rows are not usable ({bad}): finite mean, SD > 0")
    position = items.positions(data.item_ids)
    known = data.with_items(position >= 0)
    return known, items.take(position[position >= 0]), mean, sd


def _tables(items: ItemParameters, grid: Quadrature) -> tuple[Floats, int, Floats, Floats, Floats]:
    """Table, shift, slope, intercept and nodes, in blocks as the compiled loops want them."""
    from seedtest_analytics.stats.irt.kernels import in_blocks

    table, shift, slope, intercept = log_tables(items.a, items.intercept, c=items.c, nodes=grid.nodes)
    return in_blocks(table), shift, slope, intercept, in_blocks(grid.nodes)


def _eap(
    known: ResponseData,
    items: ItemParameters,
    *,
    mean: Floats,
    sd: Floats,
    grid: Quadrature,
    threads: int | None,
) -> tuple[Floats, Floats, int]:
    from seedtest_analytics.stats.irt import ability_kernels

    shared = (known.row_start, known.answer_code, *_tables(items, grid), grid.points, mean, sd)
    bounds = balanced_rows(known.row_start, _LANES)
    lanes = run_lanes(
        lambda lane: ability_kernels.grid_moments(bounds[lane], bounds[lane + 1], *shared),
        _LANES,
        threads=threads,
    )
    theta, se, edge = (np.concatenate([lane[k] for lane in lanes]) for k in range(3))
    empty = known.n_answers_by_row == 0
    theta[empty], se[empty] = mean[empty], sd[empty]
    # The prior itself must fit the grid, too: a narrow one between two points would leave no trace.
    narrow = np.minimum(se, sd) < _WIDE_ENOUGH * grid.spacing
    rows = np.flatnonzero(~empty & (narrow | (edge > _EDGE_MASS)))
    if len(rows):
        theta[rows], se[rows] = _row_by_row(ability_kernels.local_moments, rows, known, items, threads, mean, sd, theta)
    return theta, se, len(rows)


def _pointwise(
    known: ResponseData,
    items: ItemParameters,
    *,
    mean: Floats,
    sd: Floats,
    start: Floats,
    method: ScoreMethod,
    threads: int | None,
) -> tuple[Floats, Floats]:
    from seedtest_analytics.stats.irt import ability_kernels

    rows = np.flatnonzero(known.n_answers_by_row)
    if method == "MAP":
        theta, se = mean.copy(), sd.copy()
        theta[rows], se[rows] = _row_by_row(ability_kernels.modes, rows, known, items, threads, mean, sd, start)
        return theta, se
    theta, se = np.full(known.n_rows, np.nan), np.full(known.n_rows, np.nan)
    theta[rows], se[rows] = _row_by_row(ability_kernels.warm_estimates, rows, known, items, threads, start, _WLE_BOUND)
    return theta, se


def _row_by_row(  # noqa: PLR0917
    kernel: Callable[..., tuple[Floats, Floats]],
    rows: NDArray[np.int64],
    known: ResponseData,
    items: ItemParameters,
    threads: int | None,
    *rest: Any,
) -> tuple[Floats, Floats]:
    """A kernel that works on listed rows, on threads; results in the order of ``rows``."""
    shared = (known.row_start, known.answer_code, items.a, items.b, items.c, *rest)
    parts = np.array_split(rows, _LANES)
    done = run_lanes(lambda lane: kernel(parts[lane], *shared), _LANES, threads=threads)
    return np.concatenate([part[0] for part in done]), np.concatenate([part[1] for part in done])
