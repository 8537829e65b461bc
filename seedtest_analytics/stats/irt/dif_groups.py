"""DIF between the groups of a covariate: every group against one reference. The test itself is in ``dif``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.irt.config import CalibrationConfig
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.dif import compare_counts, ets_classes, stratum_counts
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.multiplicity import adjust
from seedtest_analytics.stats.irt.scoring import score

Floats = NDArray[np.float64]

MAX_GROUPS = 10
"""The reference and the nine next largest groups. More comparisons belong in a study, not in a monitor."""
_N_STRATA = 10
_ALPHA = 0.05
_MIN_SHARE_LEFT = 0.5
"""Matching leaves the items of class C out only if at least this share of the items remains."""


@dataclass(frozen=True)
class Population:
    """A group: rows (students), and mean and SD of ability in logits, on the scale of the items."""

    name: str
    n_rows: int
    mean: float
    sd: float


@dataclass(frozen=True, eq=False)
class GroupDif:
    """Comparisons of items and focal groups, arrays (n_items, n_focal); ``item_ids`` and ``n_reference`` are (n_items,).

    ``delta``: Δ on the ETS scale, negative where the item is harder for the focal group at equal ability, with ``se``,
    ``p``, and ``p_adjusted`` over all items and groups together. ``ets_class``: A, B or C, "" where a group has too few
    answers. ``populations``: the reference, then the focal groups in the order of the arrays. ``left_out``: groups that
    were too small or too many, with their rows. ``purified``: items of class C in the first round, without which the
    other items were matched.
    """

    item_ids: NDArray[Any]
    delta: Floats
    se: Floats
    p: Floats
    p_adjusted: Floats
    ets_class: NDArray[Any]
    n_reference: NDArray[np.int64]
    n_focal: NDArray[np.int64]
    populations: tuple[Population, ...]
    left_out: tuple[tuple[str, int], ...]
    purified: NDArray[Any]

    @property
    def n_tests(self) -> int:
        return int(np.count_nonzero(np.isfinite(self.p)))

    def counts(self) -> dict[str, int]:
        """Number of comparisons by class."""
        return {name: int((self.ets_class == name).sum()) for name in "ABC"}

    def items_of_class(self, name: str) -> NDArray[Any]:
        """Items in this class for at least one group."""
        return np.asarray(self.item_ids[(self.ets_class == name).any(axis=1)])


def compare_groups(
    data: ResponseData,
    items: ItemParameters,
    *,
    labels: ArrayLike,
    reference: str | None = None,
    min_responses: int = 100,
    max_groups: int = MAX_GROUPS,
) -> GroupDif:
    """Mantel–Haenszel comparison of every group with the reference, within strata of ability on the scale of ``items``.

    ``labels`` (n_rows,): text or numbers, or None or NaN for rows to leave out. Numbers become text, as in the result.
    ``reference``: None for the largest group. Rows are matched
    on their posterior mean from all of their answers, including the studied one, under *one* prior for all groups: the
    answer to a fair item then hardly depends on the group, however far apart the groups are. Under a prior for each
    group it would. If items reach class C, all items are compared again, matched without them; each item of class C is
    matched without the others.

    Raises IrtDataError if fewer than two groups have ``min_responses`` rows, or the reference has fewer.
    """
    count(min_responses, "min_responses", low=1, error=IrtDataError)
    count(max_groups, "max_groups", low=2, error=IrtDataError)
    labels = _text_labels(labels, data.n_rows)
    used = data.with_items(items.positions(data.item_ids) >= 0)
    names, sizes, left_out = _groups(used, labels, reference=reference, min_rows=min_responses, max_groups=max_groups)
    code = pd.Index(names).get_indexer(pd.Index(labels, dtype=object))
    populations = _populations(used, items, code=code, names=names, sizes=sizes)
    tests = _tests(
        used,
        _matched(used, items, populations=populations),
        code=code,
        n_groups=len(names),
        min_responses=min_responses,
    )
    has_dif = (_classified(tests)[1] == "C").any(axis=1)
    if has_dif.any() and has_dif.mean() > 1.0 - _MIN_SHARE_LEFT:
        has_dif[:] = False
    if has_dif.any():
        theta = _matched(used.with_items(~has_dif), items, populations=populations)
        again = _tests(used, theta, code=code, n_groups=len(names), min_responses=min_responses)
        for k in np.flatnonzero(has_dif).tolist():
            again[:, :, k] = _tests_of_one(
                used, items, populations=populations, code=code, pure=~has_dif, position=k, min_responses=min_responses
            )
        tests = again
    purified = used.item_ids[has_dif]
    p_adjusted, classes = _classified(tests)
    delta, se, p, n_reference, n_focal = tests
    return GroupDif(
        used.item_ids,
        delta.T,
        se=se.T,
        p=p.T,
        p_adjusted=p_adjusted,
        ets_class=classes,
        n_reference=n_reference[0].astype(np.int64),
        n_focal=n_focal.T.astype(np.int64),
        populations=populations,
        left_out=left_out,
        purified=purified,
    )


def _text_labels(labels: ArrayLike, n_rows: int) -> NDArray[Any]:
    """(n_rows,) text, None where a row has no group. Numbers would be taken for positions of groups."""
    given = np.asarray(labels, dtype=object)
    if given.shape != (n_rows,):
        raise IrtDataError(f"labels have shape {given.shape}, need ({n_rows},): one for each row")
    missing = np.asarray(pd.isna(given))
    return np.array([None if gone else str(label) for label, gone in zip(given, missing, strict=True)], dtype=object)


def _groups(
    data: ResponseData, labels: NDArray[Any], *, reference: str | None, min_rows: int, max_groups: int
) -> tuple[list[str], list[int], tuple[tuple[str, int], ...]]:
    """Names and sizes of the groups, the reference first, and the groups left out."""
    has_answers = data.n_answers_by_row > 0
    sizes = pd.Series(labels, dtype=object)[has_answers].value_counts()
    ordered = sorted(((str(name), int(n)) for name, n in sizes.items()), key=lambda group: (-group[1], group[0]))
    large = [group for group in ordered if group[1] >= min_rows]
    if reference is not None:
        if reference not in dict(large):
            raise IrtDataError(
                f"the reference group {reference!r} has fewer than {min_rows} students with answers; "
                f"groups: {dict(ordered[:10])}"
            )
        large.sort(key=lambda group: group[0] != reference)
    if len(large) < 2:
        raise IrtDataError(
            f"groups with at least {min_rows} students with answers: {len(large)}, but two are needed; "
            f"groups: {dict(ordered[:10]) or 'none'}"
        )
    kept = large[:max_groups]
    names = {name for name, _ in kept}
    left_out = tuple(group for group in ordered if group[0] not in names)
    return [name for name, _ in kept], [n for _, n in kept], left_out


def _populations(
    data: ResponseData, items: ItemParameters, *, code: NDArray[np.int64], names: list[str], sizes: list[int]
) -> tuple[Population, ...]:
    """Mean and SD of each group's abilities, with the items held fixed."""
    row_group = np.where(code < 0, len(names), code).astype(np.int32)
    grouped = replace(data, group_ids=np.arange(int(row_group.max()) + 1), row_group=row_group)
    fit = calibrate(grouped, CalibrationConfig(anchors=items, min_anchors=1, standard_errors="none"))
    return tuple(
        Population(name, n, mean=float(fit.group_mean[k]), sd=float(fit.group_sd[k]))
        for k, (name, n) in enumerate(zip(names, sizes, strict=True))
    )


def _matched(data: ResponseData, items: ItemParameters, *, populations: tuple[Population, ...]) -> Floats:
    """(n_rows,) EAP abilities under the common mean and SD of the populations; NaN for rows without answers."""
    n, mean, sd = np.array([[group.n_rows, group.mean, group.sd] for group in populations]).T
    common = float(np.average(mean, weights=n))
    spread = float(np.sqrt(np.average(sd**2 + (mean - common) ** 2, weights=n)))
    theta = score(data, items, prior_mean=common, prior_sd=spread).theta
    return np.asarray(np.where(data.n_answers_by_row > 0, theta, np.nan))


def _tests(data: ResponseData, theta: Floats, *, code: NDArray[np.int64], n_groups: int, min_responses: int) -> Floats:
    """(5, n_focal, n_items) Δ, SE, p, answers of the reference and of the focal group."""
    counts = stratum_counts(data, theta, group=code, n_groups=n_groups, n_strata=_N_STRATA)
    found = (compare_counts(counts[..., 0], counts[..., k], min_responses=min_responses) for k in range(1, n_groups))
    return np.stack([[f.delta, f.se, f.p, f.n_reference, f.n_focal] for f in found], axis=1)


def _tests_of_one(
    data: ResponseData,
    items: ItemParameters,
    *,
    populations: tuple[Population, ...],
    code: NDArray[np.int64],
    pure: NDArray[np.bool_],
    position: int,
    min_responses: int,
) -> Floats:
    """(5, n_focal) tests of the item at ``position``, matched on the pure items and itself."""
    keep = pure.copy()
    keep[position] = True
    rows = data.rows_of_item(position)
    part = data.with_rows(rows).with_items(keep)
    tests = _tests(
        part,
        _matched(part, items, populations=populations),
        code=code[rows],
        n_groups=len(populations),
        min_responses=min_responses,
    )
    return np.asarray(tests[:, :, np.count_nonzero(keep[:position])])


def _classified(tests: Floats) -> tuple[Floats, NDArray[Any]]:
    """(n_items, n_focal) p-values adjusted over all tests together, and ETS classes."""
    delta, se, p = (values.T for values in tests[:3])
    p_adjusted = adjust(p)
    return p_adjusted, ets_classes(delta, se, p_adjusted=p_adjusted, alpha=_ALPHA)
