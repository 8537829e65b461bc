"""Fit of items and students to the model, for the metadata of calibration and scoring."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.fit import item_fit, person_fit
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.result import Calibration

WORST_ITEMS = 15
PERSON_ALPHA = 0.05


def item_fit_metadata(data: ResponseData, calibration: Calibration) -> dict[str, Any]:
    """Number and share of misfitting items, and a table of the items with the largest misfit."""
    if not len(calibration.parameters):
        return {"items_tested_for_fit": 0}
    fit = item_fit(data, calibration)
    tested = int(np.count_nonzero(np.isfinite(fit.p)))
    worst = np.argsort(-np.nan_to_num(fit.rmsd), kind="stable")[:WORST_ITEMS]
    rows = [
        [
            str(fit.item_ids[k]),
            int(fit.n[k]),
            float(fit.rmsd[k]),
            float(fit.chi_square[k]),
            int(fit.df[k]),
            float(fit.p_adjusted[k]),
            "misfit" if fit.is_misfit[k] else "",
        ]
        for k in worst
    ]
    header = ["item", "answers", "rmsd", "χ²", "df", "adjusted p", ""]
    return {
        "items_tested_for_fit": tested,
        "items_misfitting": int(fit.is_misfit.sum()),
        "worst_item_fit": markdown_table(header, rows),
    }


def person_fit_metadata(
    data: ResponseData, items: ItemParameters, *, group_mean: float, group_sd: float
) -> dict[str, Any]:
    """Share of students whose answers are less likely than their ability explains. Chance alone gives PERSON_ALPHA."""
    fit = person_fit(data, items, prior_mean=group_mean, prior_sd=group_sd)
    p = fit.p[np.isfinite(fit.p)]
    if not len(p):
        return {"students_tested_for_fit": 0}
    return {
        "students_tested_for_fit": len(p),
        "share_of_students_misfitting": float((p < PERSON_ALPHA).mean()),
        "share_of_students_misfitting_by_chance": PERSON_ALPHA,
    }
