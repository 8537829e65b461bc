"""Differential item functioning (DIF) of a week's calibration by the covariate of DIF_COVARIATE."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.preview import Forest, Plot, forest_plot, markdown_table
from seedtest_analytics.assets.framework.untrusted import plain_label
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.psychometrics.answers import Answers, look_back_from
from seedtest_analytics.assets.psychometrics.checks import DIF_SMALL
from seedtest_analytics.assets.psychometrics.statements import DIF
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.irt.dif_groups import GroupDif, compare_groups
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.no_result import NoResult

NO_COVARIATE = "DIF_COVARIATE is not set: there are no groups to compare"
_SHOWN = 30


@dataclass(frozen=True, eq=False)
class DifOfWeek:
    """The comparison of groups by a covariate, or why there is none."""

    covariate: str | None
    found: GroupDif | NoResult


def dif_of_week(run: WeekRun, answers: Answers, *, items: ItemParameters) -> DifOfWeek:
    """Compare the groups on the calibrated answers. Without a covariate nothing is read."""
    settings, week = run.settings.dif, run.week
    if settings.covariate is None:
        return DifOfWeek(None, NoResult(NO_COVARIATE))
    source, path = settings.source
    from_at = look_back_from(week, run.settings.calibration)
    rows = run.connection.execute(
        statement(DIF, "covariate"), {"from_at": from_at, "as_of": week.as_of, "source": source, "path": path}
    )
    value_of = {row.user_id: row.value for row in rows}
    labels = np.array([value_of.get(user) for user in answers.users.to_pylist()], dtype=object)
    data = answers.by_student
    by_row = labels[data.row_keys[0]]
    try:
        found = compare_groups(
            data, items, labels=by_row, reference=settings.reference, min_responses=settings.min_sample
        )
    except IrtDataError as error:
        run.warn(f"no DIF by {settings.covariate}: {error}")
        return DifOfWeek(settings.covariate, NoResult(f"nothing to compare by {settings.covariate}: {error}"))
    return DifOfWeek(settings.covariate, found)


def dif_spec(dif: DifOfWeek) -> dict[str, Any] | None:
    """The comparison as `mirt_fit_meta` keeps it; None without one. `mirt_item_params.params.dif` has the items."""
    found = dif.found
    if isinstance(found, NoResult):
        return None
    return {
        "covariate": dif.covariate,
        "method": "Mantel-Haenszel, strata of ability, Benjamini-Hochberg over items and groups",
        "reference": found.populations[0].name,
        "groups": [
            {
                "group": group.name,
                "n_students": group.n_rows,
                "mean_logit": round(group.mean, 4),
                "sd_logit": round(group.sd, 4),
            }
            for group in found.populations
        ],
        "n_groups_left_out": len(found.left_out),
        "n_tests": found.n_tests,
        "classes": found.counts(),
        "items_c": [str(item) for item in found.items_of_class("C").tolist()],
    }


def dif_by_item(dif: DifOfWeek) -> str:
    """JSON object: item id to its comparisons with the reference, for the items that could be tested."""
    found = dif.found
    if isinstance(found, NoResult):
        return "{}"
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row, column in np.argwhere(np.isfinite(found.p)).tolist():
        by_item.setdefault(str(found.item_ids[row]), []).append(
            {
                "group": found.populations[column + 1].name,
                "class": str(found.ets_class[row, column]),
                "delta": _short(found.delta[row, column]),
                "se": _short(found.se[row, column]),
                "p_adjusted": _short(found.p_adjusted[row, column]),
                "n_reference": int(found.n_reference[row]),
                "n_focal": int(found.n_focal[row, column]),
            }
        )
    return json.dumps(by_item)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def dif_check(dif: DifOfWeek) -> CheckOutcome:
    """Fails if an item is of class C."""
    found = dif.found
    if isinstance(found, NoResult):
        return DIF_SMALL.passed(found.reason)
    if not found.n_tests:
        text = (
            f"nothing to compare by {dif.covariate}: no item has DIF_MIN_SAMPLE answers in the reference and in a group"
        )
        return DIF_SMALL.passed(text)
    items = found.items_of_class("C").tolist()
    counts = found.counts()
    text = (
        f"by {dif.covariate}, against {found.populations[0].name}: {found.n_tests:,} comparisons, "
        f"{counts['B']} of class B, {counts['C']} of class C"
    )
    if items:
        text += f" (items {', '.join(map(str, items[:10]))}{', …' if len(items) > 10 else ''})"
    return DIF_SMALL.judged(text, is_passed=not items, metadata={"class_b": counts["B"], "class_c": counts["C"]})


def dif_metadata(dif: DifOfWeek) -> dict[str, Any]:
    """Groups, the largest differences and their forest plot; only the reason if nothing was compared."""
    found = dif.found
    if isinstance(found, NoResult):
        return {} if dif.covariate is None else {"dif": found.reason}
    groups = [[g.name, g.n_rows, g.mean, g.sd] for g in found.populations]
    metadata = {
        "dif_groups": markdown_table([str(dif.covariate), "students", "mean θ", "SD of θ"], groups),
        "dif_comparisons": found.n_tests,
    }
    if not found.n_tests:
        return metadata
    header = ["item", "group", "Δ", "SE", "adjusted p", "class", "answers of reference", "of group"]
    rows = [
        [
            str(found.item_ids[i]),
            found.populations[k + 1].name,
            float(found.delta[i, k]),
            float(found.se[i, k]),
            float(found.p_adjusted[i, k]),
            str(found.ets_class[i, k]),
            int(found.n_reference[i]),
            int(found.n_focal[i, k]),
        ]
        for i, k in _clearest(found)
    ]
    return {**metadata, "dif_items": markdown_table(header, rows), "dif_forest": _forest(found)}


def _clearest(found: GroupDif) -> list[tuple[int, int]]:
    """Positions (item, group) of the clearest differences: class C before B before A, then by z."""
    tested = np.argwhere(np.isfinite(found.p))
    z = np.abs(found.delta[tested[:, 0], tested[:, 1]] / found.se[tested[:, 0], tested[:, 1]])
    classes = found.ets_class[tested[:, 0], tested[:, 1]].astype(str)
    order = np.lexsort((-z, -np.array([ord(name) for name in classes])))[:_SHOWN]
    return [(int(i), int(k)) for i, k in tested[order]]


def _forest(found: GroupDif) -> Plot:
    shown = _clearest(found)
    delta = [float(found.delta[i, k]) for i, k in shown]
    half = [1.96 * float(found.se[i, k]) for i, k in shown]
    forest = Forest(
        [f"{found.item_ids[i]} · {found.populations[k + 1].name}" for i, k in shown],
        delta,
        lower=[d - h for d, h in zip(delta, half, strict=True)],
        upper=[d + h for d, h in zip(delta, half, strict=True)],
        is_marked=[found.ets_class[i, k] == "C" for i, k in shown],
    )
    return forest_plot(
        forest,
        f"DIF against {plain_label(found.populations[0].name)}: {len(shown)} clearest of {found.n_tests}, class C in green",
        label="Δ of ETS, 95 % interval; left: harder for the group. Dotted: classes B and C",
        rows_are="item · group",
        limits=(-1.5, -1.0, 1.0, 1.5),
    )
