"""The checks of the growth models. Assets declare them; the weeks report through them."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import HALF_LOOK_BACK_WEEKS, WINDOWS_WEEKS, Check

MIXED_MODEL_FITTED = Check(
    "fitted", "The look-back has enough answers for the model.", needs_weeks=HALF_LOOK_BACK_WEEKS
)
CONVERGED = Check(
    "converged",
    "lme4 reports no convergence problem, and no variance is zero (singular).",
    needs_weeks=HALF_LOOK_BACK_WEEKS,
)
PREDICTS = Check(
    "predicts",
    "The error on held-out student-weeks is below the error of their mean.",
    needs_weeks=HALF_LOOK_BACK_WEEKS,
)

BAYESIAN_FITTED = Check("fitted", "The look-back has enough scores for the model.", needs_weeks=HALF_LOOK_BACK_WEEKS)
DIAGNOSTICS = Check(
    "diagnostics",
    "R-hat, effective sample sizes, divergences, E-BFMI and tree depth (laplace: Pareto k and effective draws) allow "
    "predictions. If the check fails, P uses the last usable fit and says so.",
    is_blocking=True,
)
COMPARED = Check(
    "compared",
    "Enough students have two levels ABILITY_GROWTH_WEEKS apart for growth percentiles.",
    needs_weeks=WINDOWS_WEEKS + HALF_LOOK_BACK_WEEKS,
)
CENTRED = Check("centred", "The mean growth percentile of the students who are compared is 50, within sampling error.")
PREDICTED = Check("predicted", "A usable fit predicts every student whose scores it used.")
