"""What a calibration returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.config import Quadrature
from seedtest_analytics.stats.irt.model import ItemParameters, ModelName

Floats = NDArray[np.float64]

FEW_RESPONSES = "few_responses"
ONE_CATEGORY = "one_category"
NEGATIVE_DISCRIMINATION = "negative_discrimination"
LOW_DISCRIMINATION = "low_discrimination"
DISCRIMINATION_AT_LIMIT = "discrimination_at_limit"
EXTREME_DIFFICULTY = "extreme_difficulty"
NO_STANDARD_ERROR = "no_standard_error"
UNLINKED = "unlinked"

NOT_FOR_SCORING = frozenset({NEGATIVE_DISCRIMINATION, DISCRIMINATION_AT_LIMIT})
"""Flags of items whose answers would mislead an ability."""


@dataclass(frozen=True)
class Verdict:
    """Whether the calibration may be scored with; ``reasons`` against it, empty when usable. ``warnings`` are
    worth a look and forbid nothing.
    """

    usable: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ItemEstimates:
    """Every item of the data, arrays of length n_items in the order of ``ResponseData.item_ids``.

    a (1/logit), b (logit), c with standard errors (0 for what is fixed by model or anchor, NaN where none
    could be had); ``covariance`` (n_items, 3, 3) of (a, b, c). ``status``: "estimated", "fixed" (an anchor) or
    "set_aside", whose parameters are NaN. ``flag``: why it was set aside or needs a look, None for nothing
    found. ``component``: connected part of the rows × items graph, -1 when set aside.
    """

    item_ids: NDArray[Any]
    a: Floats
    b: Floats
    c: Floats
    se_a: Floats
    se_b: Floats
    se_c: Floats
    covariance: Floats
    n_responses: NDArray[np.int64]
    p_correct: Floats
    status: NDArray[Any]
    flag: NDArray[Any]
    component: NDArray[np.int64]

    @property
    def is_anchor(self) -> NDArray[np.bool_]:
        return np.asarray(self.status == "fixed")

    def frame(self) -> pd.DataFrame:
        """One row an item, without the covariances."""
        names = ("a", "b", "c", "se_a", "se_b", "se_c", "n_responses", "p_correct")
        columns = {"item_id": self.item_ids, **{name: getattr(self, name) for name in names}}
        columns["is_anchor"] = self.is_anchor
        return pd.DataFrame({**columns, "status": self.status, "flag": self.flag, "component": self.component})


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted scale.

    ``scale``: "standard" (population mean 0, SD 1), "rasch" (mean 0, SD free, slopes 1) or "anchored" (anchor
    items fixed, mean and SD free). ``group_mean``, ``group_sd`` (n_groups,) with standard errors (0 where
    fixed). ``log_likelihood`` is marginal, of double precision, without the priors' part ``log_prior``.
    ``max_gradient``: largest absolute derivative of their sum; ``max_step``: largest step left, in logits.
    ``standard_error_method``: "full", "block" or "none". ``free_covariance`` (n_free, n_free) of the
    estimated parameters in slope-intercept form, ordered as ``free_index`` (n_free, 2) says by position of
    the item and parameter (0 a, 1 d, 2 logit c; items -1 - g are mean, 3, and log SD, 4, of population g);
    None unless the method is full. ``edge_mass``: share of the population at the outermost points.
    """

    items: ItemEstimates
    model: ModelName
    scale: Literal["standard", "rasch", "anchored"]
    quadrature: Quadrature
    group_ids: NDArray[Any] | None
    group_mean: Floats
    group_sd: Floats
    group_mean_se: Floats
    group_sd_se: Floats
    log_likelihood: float
    log_prior: float
    n_rows: int
    n_answers: int
    n_free_parameters: int
    n_iterations: int
    converged: bool
    max_gradient: float
    max_step: float
    standard_error_method: Literal["full", "block", "none"]
    free_covariance: Floats | None
    free_index: NDArray[np.int64] | None
    n_components: int
    edge_mass: float
    verdict: Verdict

    @property
    def parameters(self) -> ItemParameters:
        """The items to score with: estimated or fixed, without flags that would mislead an ability."""
        usable = (self.items.status != "set_aside") & ~np.isin(
            np.asarray([flag or "" for flag in self.items.flag], dtype=object), list(NOT_FOR_SCORING)
        )
        return ItemParameters(
            self.items.item_ids[usable], self.items.a[usable], b=self.items.b[usable], c=self.items.c[usable]
        )

    @property
    def set_aside(self) -> dict[str, int]:
        """Number of items set aside by reason."""
        reasons = self.items.flag[self.items.status == "set_aside"]
        names, counts = np.unique(reasons.astype(str), return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    @property
    def share_usable(self) -> float:
        """Share of the data's answers that are to items which may be scored with. Answers, not items: an item bank
        has a long tail of items that hardly anybody has met.
        """
        is_usable = np.isin(self.items.item_ids, self.parameters.item_ids)
        return float(self.items.n_responses[is_usable].sum() / max(int(self.items.n_responses.sum()), 1))

    @property
    def aic(self) -> float:
        return 2.0 * self.n_free_parameters - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        return float(np.log(max(self.n_rows, 1))) * self.n_free_parameters - 2.0 * self.log_likelihood
