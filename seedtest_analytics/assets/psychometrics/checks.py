"""The checks of the psychometrics domain. Assets declare them; the weeks report through them."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import SCALE_WEEKS, Check

ITEMS_USABLE = Check(
    "items_usable", "At least half of the answers are to items that could be calibrated.", needs_weeks=SCALE_WEEKS
)
USABLE = Check(
    "usable",
    "The calibration converged, is on the platform scale and may score. If not, the last usable one scores.",
    needs_weeks=SCALE_WEEKS,
)
ON_THE_SCALE = Check("on_the_scale", "The calibration is on the platform scale: its origin, or linked to it.")
ANCHORS_ENOUGH = Check(
    "anchors_enough",
    "At least MIRT_MIN_ANCHORS items tagged 'anchor' have enough answers (10, or MIRT_MIN_RESPONSES) to define the scale. The "
    "first calibration, the origin of the scale, needs none.",
    needs_weeks=SCALE_WEEKS,
)
ANCHORS_STABLE = Check(
    "anchors_stable",
    "No tagged anchor has drifted or has unusable parameters in `question.meta.irt`. Such an anchor is neither fixed nor "
    "part of the link: it is estimated like any item, and `model_spec.linking_constants.dropped` says why. The check fails too "
    "if the anchors as a whole are refused and the scale is kept by the last usable calibration.",
)
DIF_SMALL = Check(
    "dif_small", "At equal ability, no item differs by group (ETS class C) for the covariate of DIF_COVARIATE."
)
SCORED = Check(
    "scored",
    "Students with answers have an ability. If none has, there is no usable calibration.",
    needs_weeks=SCALE_WEEKS,
)
SCALE_STABLE = Check(
    "scale_stable",
    "Mean and SD of θ are close to those of the week before. A jump of the whole cohort is a jump of the scale.",
)
HYPERPARAMETERS_USABLE = Check(
    "hyperparameters_usable",
    "Enough answers were fitted, and they predict the next answer better than the item's share of right answers. If not, "
    "abilities are those of the look-back (EAP).",
    needs_weeks=SCALE_WEEKS,
)
SILENT_STAY = Check(
    "silent_stay", "On one scale, the level of a student without a new answer stays where it was in the week before."
)
ANCHORS_COVER = Check(
    "anchors_cover",
    "There are enough chosen items, and they cover every topic and range of difficulty.",
    needs_weeks=SCALE_WEEKS,
)
DRIFT_BELOW_THRESHOLD = Check(
    "drift_below_threshold",
    "Fewer than DRIFT_MAX_SHARE of the compared items have moved beyond the thresholds. Each item that moved is a row of "
    "`drift_alerts`.",
)
