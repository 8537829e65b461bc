"""The result of a calibration: item estimates, fit statistics, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.config import Quadrature
from seedtest_analytics.stats.irt.model import ItemParameters, ModelName
from seedtest_analytics.stats.irt.pooling import ItemPool

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
"""Items with these flags would distort abilities."""


@dataclass(frozen=True)
class Verdict:
    """Whether scoring may use the calibration; if not, ``reasons`` say why. ``warnings`` do not forbid it."""

    usable: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ItemEstimates:
    """Every item of the data on the calibration's own scale, in the order of ``ResponseData.item_ids``.

    a (1/logit), b (logit) and c with standard errors: 0 for parameters fixed by the model or an anchor, NaN where they
    cannot be computed. ``covariance`` (n_items, 3, 3) of (a, b, c). ``status``: "estimated", "fixed" (an anchor) or
    "set_aside" (parameters NaN). ``flag``: why an item was set aside or needs a look, else None. ``component``:
    connected part of the rows × items graph, -1 when set aside.
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
        """One row per item, without the covariances."""
        names = ("a", "b", "c", "se_a", "se_b", "se_c", "n_responses", "p_correct")
        columns = {"item_id": self.item_ids, **{name: getattr(self, name) for name in names}}
        columns["is_anchor"] = self.is_anchor
        return pd.DataFrame({**columns, "status": self.status, "flag": self.flag, "component": self.component})


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted model. Its parameters are on its own scale, which ``scale`` identifies.

    Attributes:
        scale: "standard" (population mean 0, SD 1), "rasch" (mean 0, SD free, a = 1) or "anchored" (the scale of the
            anchors, mean and SD free).
        group_mean, group_sd: of each population (n_groups,), with standard errors (0 where fixed).
        log_likelihood: marginal, in double precision, without ``log_prior``.
        max_gradient: largest absolute derivative of their sum. max_step: largest remaining step, in logits.
        free_covariance: (n_free, n_free) of the estimated parameters in slope-intercept form; None unless the method
            is "full". free_index: (n_free, 2) item position and parameter (0 a, 1 d, 2 logit c). Position -1 - g is
            population g, with parameters 3 (mean) and 4 (log SD).
        edge_mass: share of the population at the outermost quadrature points.
        pool: what rare items borrowed from their topics; None if no item is rare.
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
    pool: ItemPool | None = None

    @property
    def parameters(self) -> ItemParameters:
        """The items to score with, on the calibration's own scale: not set aside, no flag of ``NOT_FOR_SCORING``."""
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
        """Share of the answers that belong to items to score with.

        It counts answers and not items, because an item bank has a long tail of items that few students have met.
        """
        is_usable = np.isin(self.items.item_ids, self.parameters.item_ids)
        return float(self.items.n_responses[is_usable].sum() / max(int(self.items.n_responses.sum()), 1))

    @property
    def aic(self) -> float:
        return 2.0 * self.n_free_parameters - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        return float(np.log(max(self.n_rows, 1))) * self.n_free_parameters - 2.0 * self.log_likelihood
