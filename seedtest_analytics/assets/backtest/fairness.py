"""The audit of one week: are predictions as good for one group of students as for another?

It reads predictions of the weeks before, whose outcomes were known when the week began. So a backfill finds what the week
itself found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.assets.backtest.checks import GROUPS_ALIKE
from seedtest_analytics.assets.backtest.judges import SQL
from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.preview import Forest, Plot, forest_plot, markdown_table
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.untrusted import plain_label
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.assets.psychometrics.calibration.dif import NO_COVARIATE
from seedtest_analytics.assets.psychometrics.statements import DIF
from seedtest_analytics.assets.verdicts.evidence import SQL as VERDICTS
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK
from seedtest_analytics.stats.irt.dif_groups import MAX_GROUPS
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.stats.verification.group_gaps import (
    ABROCA_GAP,
    LEAST_STUDENTS,
    SEVERE,
    GroupGap,
    JudgedGap,
    compare_group,
    judge_gaps,
)
from seedtest_analytics.stats.verification.measured import probability_of_measured
from seedtest_analytics.stats.verification.probabilities import clustered_auc, score_probabilities
from seedtest_analytics.tables.backtest import fairness_audit

PREDICTIONS: Mapping[str, tuple[str, str, int]] = {
    "S": ("silence", "silence_rows", 4000),
    "P": ("goal", "goal_rows", 4000),
    "theta": ("next_answers", "rows", 1000),
    "next_answer": ("next_in_topic", "rows", 1000),
}
"""Statement of the outcomes, statement of their rows, and the students that count: a sample of a larger cohort."""
SHOWN = (
    "prediction",
    "group_name",
    "n_students",
    "n",
    "auc",
    "auc_gap",
    "abroca",
    "p_adjusted",
    "minimum_detectable_abroca",
    "ranking_verdict",
    "calibration_intercept",
    "calibration_slope",
    "calibration_gap",
    "calibration_verdict",
)


@dataclass(frozen=True, eq=False)
class Predicted:
    """(n,) predictions with outcomes, and the group of each row's student; rows without a group are left out."""

    probability: NDArray[np.float64]
    happened: NDArray[np.float64]
    user: NDArray[Any]
    group: NDArray[Any]


def audit_week(run: WeekRun) -> Sequence[Outcome]:
    """Audit the predictions of the weeks before and publish a row for each group."""
    groups = _groups(run)
    rows: list[dict[str, Any]] = []
    if not isinstance(groups, NoResult):
        names, group_of = groups
        found = {name: predicted(run, name, group_of=group_of) for name in PREDICTIONS}
        rows = audit_rows(found, names)
        fixed = {"week_start": run.week.start, "covariate": run.settings.dif.covariate, "first_week": _first_week(run)}
        rows = [{**row, **fixed} for row in rows]
    columns = [column.name for column in fairness_audit.columns if column.name != "computed_at"]
    frame = pd.DataFrame(rows, columns=columns).astype({"n": "Int64", "n_events": "Int64", "n_students": "Int64"})
    published = publish_week(run, fairness_audit, rows=frame)
    return [run.outcome(published, audit_metadata(rows), checks=[_check(rows, groups)])]


def _first_week(run: WeekRun) -> Any:
    return run.week.start - run.settings.backtest.lookback_weeks * WEEK


def _groups(run: WeekRun) -> tuple[tuple[str, ...], dict[str, str]] | NoResult:
    """The reference, the next largest groups that are large enough, and the group of each student."""
    settings = run.settings.dif
    if settings.covariate is None:
        return NoResult(NO_COVARIATE)
    source, path = settings.source
    window = {"from_at": run.week.days_before(7 * run.settings.backtest.lookback_weeks + 7), "as_of": run.week.as_of}
    rows = run.connection.execute(statement(DIF, "covariate"), {**window, "source": source, "path": path})
    group_of = {row.user_id: row.value for row in rows}
    sizes = sorted(Counter(group_of.values()).items(), key=lambda item: (-item[1], item[0]))
    large = [name for name, n in sizes if n >= LEAST_STUDENTS]
    reference = settings.reference or (large[0] if large else None)
    others = [name for name in large if name != reference]
    if reference not in large or not others:
        return NoResult(
            f"nothing to compare by {settings.covariate}: the reference and another group need {LEAST_STUDENTS} students"
        )
    return (reference, *others[: MAX_GROUPS - 1]), group_of


def predicted(run: WeekRun, prediction: str, *, group_of: Mapping[str, str]) -> Predicted:
    """Predictions of the weeks before with an outcome that was known when the week began."""
    connection, start = run.connection, run.week.start
    outcomes, query, most = PREDICTIONS[prediction]
    window = {"first_week": _first_week(run), "last_week": start - WEEK}
    students = connection.execute(statement(VERDICTS, "students"), window).scalar_one()
    parameters = {
        **window,
        "known_by": start,
        "last_closed_week": start - WEEK,
        "default_days": 7 * run.settings.backtest.ability_horizon_weeks,
        "timezone": run.week.timezone,
        "method": None,
        "horizon_days": None,
        "stride": max(1, -(-students // most)),
    }
    wanted = statement(SQL, outcomes)
    connection.execute(wanted, {name: parameters[name] for name in wanted.compile().params})
    rows = copy_to_arrow(connection, statement(SQL, query))
    connection.execute(statement(SQL, "drop_outcome"))
    p = rows["predicted"].to_numpy().astype(np.float64)
    if prediction == "P":
        sigma, error = (rows[name].to_numpy().astype(np.float64) for name in ("sigma", "error_sd"))
        p = probability_of_measured(p, sigma, error_sd=error)
    user = np.array(rows["user_id"].to_pylist(), dtype=object)
    group = np.array([group_of.get(one) for one in user], dtype=object)
    kept = np.isfinite(p) & np.array([one is not None for one in group], dtype=bool)
    happened = rows["happened"].to_numpy().astype(np.float64)
    return Predicted(p[kept], happened[kept], user[kept], group[kept])


def audit_rows(found: Mapping[str, Predicted], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each prediction and group. ``names``: the reference, then the groups that are compared with it."""
    rows: list[dict[str, Any]] = []
    gaps: list[GroupGap] = []
    for prediction, data in found.items():
        for name in names:
            mine = data.group == name
            if not mine.any():
                continue
            rows.append({"prediction": prediction, "group_name": name, "reference": names[0], **_of_group(data, mine)})
            if name != names[0]:
                both = mine | (data.group == names[0])
                gaps.append(
                    compare_group(
                        data.probability[both], data.happened[both], is_focal=mine[both], clusters=data.user[both]
                    )
                )
    pairs = iter(zip(gaps, judge_gaps(gaps), strict=True))
    return [{**row, **(_AS_REFERENCE if row["group_name"] == names[0] else _of_gap(*next(pairs)))} for row in rows]


_AS_REFERENCE = {"ranking_verdict": "reference", "calibration_verdict": "reference"}


def _of_group(data: Predicted, mine: NDArray[np.bool_]) -> dict[str, Any]:
    p, y, users = data.probability[mine], data.happened[mine], data.user[mine]
    score = score_probabilities(p, y, clusters=users)
    area, error = clustered_auc(p, y, clusters=users)
    names = ("intercept", "intercept_se", "slope", "slope_se")
    return {
        "n_students": len(set(users.tolist())),
        "n": score.n,
        "n_events": score.n_events,
        "auc": area,
        "auc_se": error,
        **{f"calibration_{name}": getattr(score, f"calibration_{name}") for name in names},
    }


def _of_gap(gap: GroupGap, judged: JudgedGap) -> dict[str, Any]:
    return {
        "auc_gap": gap.auc_gap,
        "auc_gap_se": gap.auc_gap_se,
        "abroca": gap.abroca,
        "p_value": gap.p_abroca,
        "p_adjusted": judged.p_abroca,
        "minimum_detectable_abroca": judged.least_abroca,
        "power_abroca": judged.power_abroca,
        "ranking_verdict": judged.ranking,
        "calibration_gap": gap.intercept_gap,
        "calibration_gap_se": gap.intercept_gap_se,
        "calibration_p_adjusted": judged.p_intercept,
        "minimum_detectable_calibration": judged.least_intercept,
        "calibration_verdict": judged.calibration,
        "reason": gap.reason,
    }


def _verdicts(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["ranking_verdict"], row["calibration_verdict"]


def _check(rows: Sequence[Mapping[str, Any]], groups: Any) -> CheckOutcome:
    if isinstance(groups, NoResult):
        return GROUPS_ALIKE.passed(groups.reason)
    compared = [row for row in rows if "reference" not in _verdicts(row)]
    faults = [row for row in compared if "gap" in _verdicts(row)]
    n_open = sum("cannot_be_judged" in _verdicts(row) for row in compared if row not in faults)
    told = "; ".join(_told(row) for row in faults)
    text = (
        f"{len(compared)} comparisons with {groups[0][0]}: {len(faults)} with a gap, {n_open} cannot be judged, "
        f"{len(compared) - len(faults) - n_open} without a gap"
    )
    metadata = {"compared": len(compared), "with_gap": len(faults), "not_judged": n_open}
    return GROUPS_ALIKE.judged(f"{text}. {told}" if told else text, is_passed=not faults, metadata=metadata)


def _told(row: Mapping[str, Any]) -> str:
    parts = []
    if row["ranking_verdict"] == "gap":
        parts.append(f"AUC differs by {row['auc_gap']:+.3f} and ABROCA is {row['abroca']:.3f}")
    if row["calibration_verdict"] == "gap":
        more = "more" if row["calibration_gap"] > 0 else "less"
        parts.append(f"it happens {more} often than predicted, by {row['calibration_gap']:+.2f} logits more than there")
    return f"{row['prediction']} of {row['group_name']}: {', and '.join(parts)}"


def audit_metadata(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The table of groups and a forest plot of the gaps of AUC."""
    if not rows:
        return {}
    metadata: dict[str, Any] = {"groups": markdown_table(list(SHOWN), [[r.get(name) for name in SHOWN] for r in rows])}
    drawn = [row for row in rows if np.isfinite(row.get("auc_gap", np.nan))]
    return metadata | ({"auc_gaps": _forest(drawn)} if drawn else {})


def _forest(rows: Sequence[Mapping[str, Any]]) -> Plot:
    gap, half = ([row[name] * k for row in rows] for name, k in (("auc_gap", 1.0), ("auc_gap_se", 1.96)))
    forest = Forest(
        [f"{row['prediction']} · {row['group_name']}" for row in rows],
        gap,
        lower=[g - h for g, h in zip(gap, half, strict=True)],
        upper=[g + h for g, h in zip(gap, half, strict=True)],
        is_marked=[row["ranking_verdict"] == "gap" for row in rows],
        is_open=[row["ranking_verdict"] == "cannot_be_judged" for row in rows],
    )
    return forest_plot(
        forest,
        f"AUC against {plain_label(rows[0]['reference'])}",
        label=f"difference of AUC, 95 % interval; dotted: {SEVERE * ABROCA_GAP:g}, which must be findable",
        rows_are="prediction · group",
        limits=(-SEVERE * ABROCA_GAP, SEVERE * ABROCA_GAP),
        marked="gap found",
        unmarked="no gap found",
    )
