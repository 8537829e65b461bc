"""DIF of a week's calibration by the covariate of DIF_COVARIATE: students, comparison, rows and metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.events import CheckOutcome
from seedtest_analytics.assets.framework.preview import (
    ACCENT,
    INK,
    MUTED,
    figure_metadata,
    markdown_table,
    new_figure,
)
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import DifSettings

if TYPE_CHECKING:
    import logging

    from seedtest_analytics.assets.psychometrics.calibration.week import Answers
    from seedtest_analytics.stats.irt.dif_groups import GroupDif
    from seedtest_analytics.stats.irt.model import ItemParameters

SQL = "psychometrics/dif.sql"
CHECK = "dif_small"
NO_COVARIATE = "DIF_COVARIATE is not set: there are no groups to compare"
_SHOWN = 30


@dataclass(frozen=True, eq=False)
class DifOfWeek:
    """``found``: the comparison, None where there is none with the ``reason`` why."""

    covariate: str | None
    found: GroupDif | None
    reason: str = ""


def dif_of_week(
    connection: Connection,
    answers: Answers,
    *,
    items: ItemParameters,
    week: Week,
    lookback_days: int,
    settings: DifSettings,
    log: logging.Logger,
) -> DifOfWeek:
    """Compare the groups on the answers that the items were calibrated on. Nothing is read without a covariate."""
    from seedtest_analytics.stats.irt.dif_groups import compare_groups
    from seedtest_analytics.stats.irt.errors import IrtDataError

    if settings.covariate is None:
        return DifOfWeek(None, None, reason=NO_COVARIATE)
    source, path = settings.source
    rows = connection.execute(
        statement(SQL, "covariate"),
        {"from_at": week.days_before(lookback_days), "as_of": week.as_of, "source": source, "path": path},
    )
    value_of = {row.user_id: row.value for row in rows}
    labels = np.array([value_of.get(user) for user in answers.users.to_pylist()], dtype=object)
    by_row = labels[answers.data.row_keys[0]]
    try:
        found = compare_groups(
            answers.data,
            items,
            labels=by_row,
            reference=settings.reference,
            min_responses=settings.min_sample,
        )
    except IrtDataError as error:
        log.warning(f"week of {week.key}: no DIF by {settings.covariate}: {error}")
        return DifOfWeek(settings.covariate, None, reason=f"nothing to compare by {settings.covariate}: {error}")
    return DifOfWeek(settings.covariate, found)


def dif_spec(dif: DifOfWeek) -> dict[str, Any] | None:
    """What `mirt_fit_meta` keeps of it; None without a comparison. Items are in `mirt_item_params.params.dif`."""
    found = dif.found
    if found is None:
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
    if found is None:
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
    """Fails where an item is of class C."""
    found = dif.found
    if found is None:
        return CheckOutcome(CHECK, True, description=dif.reason)  # noqa: FBT003
    if not found.n_tests:
        text = (
            f"nothing to compare by {dif.covariate}: no item has DIF_MIN_SAMPLE answers in the reference and in a group"
        )
        return CheckOutcome(CHECK, True, description=text)  # noqa: FBT003
    items = found.items_of_class("C").tolist()
    counts = found.counts()
    text = (
        f"by {dif.covariate}, against {found.populations[0].name}: {found.n_tests:,} comparisons, "
        f"{counts['B']} of class B, {counts['C']} of class C"
    )
    if items:
        text += f" (items {', '.join(map(str, items[:10]))}{', …' if len(items) > 10 else ''})"
    return CheckOutcome(CHECK, not items, description=text)


def dif_metadata(dif: DifOfWeek) -> dict[str, Any]:
    """Groups, the largest differences and their forest plot; the reason alone where nothing was compared."""
    found = dif.found
    if found is None:
        return {} if dif.covariate is None else {"dif": dif.reason}
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


def _forest(found: GroupDif) -> Any:
    shown = _clearest(found)
    delta = np.array([found.delta[i, k] for i, k in shown])
    half = 1.96 * np.array([found.se[i, k] for i, k in shown])
    is_large = np.array([found.ets_class[i, k] == "C" for i, k in shown])
    colours = np.where(is_large, ACCENT, MUTED)
    figure, axes = new_figure(6.5, 1.2 + 0.18 * len(shown))
    rows = np.arange(len(shown))[::-1]
    axes.hlines(rows, delta - half, delta + half, color=colours, linewidth=1.6)
    axes.scatter(delta, rows, color=colours, s=14, zorder=3)
    for limit in (-1.5, -1.0, 0.0, 1.0, 1.5):
        axes.axvline(limit, color=INK, linewidth=0.7, linestyle="-" if limit == 0 else ":")
    names = [f"{found.item_ids[i]} · {found.populations[k + 1].name}" for i, k in shown]
    axes.set_yticks(rows, names, fontsize=7)
    axes.set_xlabel("Δ of ETS, 95 % interval; left: harder for the group. Dotted: classes B and C", fontsize=8)
    axes.set_title(
        f"DIF against {found.populations[0].name}: {len(shown)} clearest of {found.n_tests}, class C in green",
        loc="left",
        fontsize=10,
        color=INK,
    )
    return figure_metadata(figure)
