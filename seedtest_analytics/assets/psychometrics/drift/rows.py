"""A comparison of two windows as rows of its tables and as metadata. Parameters are on the scale of the baseline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.framework.preview import Forest, Plot, forest_plot, markdown_table
from seedtest_analytics.assets.psychometrics.drift.windows import Comparison
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.curves import drift_forest
from seedtest_analytics.stats.irt.drift import DriftResult, DriftVerdict
from seedtest_analytics.stats.irt.drift_in_topic import DriftOrigin
from seedtest_analytics.stats.irt.linking import Link
from seedtest_analytics.stats.irt.model import ItemParameters, information
from seedtest_analytics.stats.irt.selection import SelectionGaps
from seedtest_analytics.stats.no_result import NoResult

NORMAL_95 = 1.96
CANNOT_BE_JUDGED: DriftVerdict = "cannot_be_judged"
SHOWN_ITEMS = 100
_CALIBRATION = (
    "item_id",
    "window_id",
    "a_hat",
    "b_hat",
    "c_hat",
    "a_l95",
    "a_u95",
    "b_l95",
    "b_u95",
    "c_l95",
    "c_u95",
    "n",
    "dif",
    "minimum_detectable_b",
    "power_b",
    "drift_verdict",
    "selection_gap",
    "selection_gap_se",
    "drift_in_topic",
    "info",
    "run_id",
    "week_start",
)
_ALERT = (
    "item_id",
    "window_id",
    "metric",
    "value",
    "threshold",
    "severity",
    "p_adjusted",
    "run_id",
    "week_start",
    "resolved_at",
)


def window_rows(found: Comparison | NoResult, settings: CalibrationSettings) -> pd.DataFrame:
    """The two windows."""
    tags = json.dumps({"topic_id": settings.topic_id, "subject_id": settings.subject_id})
    windows = () if isinstance(found, NoResult) else (found.baseline, found.recent)
    rows = [{"id": w.id, "start_at": w.start_at, "end_at": w.end_at, "population_tags": tags} for w in windows]
    return pd.DataFrame(rows, columns=["id", "start_at", "end_at", "population_tags"])


def calibration_rows(found: Comparison | NoResult, week: Week) -> pd.DataFrame:
    """Every calibrated item of either window, on the baseline's scale."""
    if isinstance(found, NoResult):
        return pd.DataFrame(columns=list(_CALIBRATION))
    old, new = found.calibrations
    frames = [
        _window_items(old.items.frame(), found.baseline.id, link=Link.identity(), changes={}),
        _window_items(new.items.frame(), found.recent.id, link=found.drift.link, changes=_changes(found.drift)),
    ]
    frame = pd.concat(frames, ignore_index=True)
    for more in (_judged(found), _selected(found), _beside_topic(found)):
        frame = frame.merge(more, how="left", on=["item_id", "window_id"])
    is_open = frame["drift_verdict"].isna() & (frame["window_id"] == found.recent.id)
    frame["drift_verdict"] = frame["drift_verdict"].mask(is_open, CANNOT_BE_JUDGED)
    added = ("minimum_detectable_b", "power_b", "drift_verdict", "selection_gap", "selection_gap_se", "drift_in_topic")
    frame = frame.astype(dict.fromkeys(added, object))
    frame = frame.where(frame.notna(), None)
    frame["run_id"], frame["week_start"] = found.run_id, week.start
    return frame[list(_CALIBRATION)]


def _judged(found: Comparison) -> pd.DataFrame:
    """What the comparison could have found, for each compared item."""
    drift = found.drift
    return pd.DataFrame(
        {
            "item_id": drift.item_ids,
            "window_id": found.recent.id,
            "minimum_detectable_b": drift.minimum_detectable,
            "power_b": drift.power,
            "drift_verdict": drift.verdicts,
        }
    )


def _selected(found: Comparison) -> pd.DataFrame:
    """The selection effect of each item of the recent window."""
    columns = ["item_id", "selection_gap", "selection_gap_se"]
    gaps = found.selection
    values = (
        [[], [], []]
        if isinstance(gaps, NoResult)
        else [gaps.item_ids, *np.where(np.isfinite(gaps.se), [gaps.gap, gaps.se], np.nan)]
    )
    frame = pd.DataFrame(dict(zip(columns, values, strict=True))).astype({"item_id": np.int64})
    return frame.assign(window_id=found.recent.id)


def _beside_topic(found: Comparison) -> pd.DataFrame:
    """Each compared item beside the others of its topic, and where the change of a moved one comes from."""
    beside, moved = found.in_topic, _moved(found.drift)
    values: dict[int, str] = {}
    if not isinstance(beside, NoResult):
        for item, origin, numbers in zip(beside.item_ids.tolist(), beside.origins, beside.rows(), strict=True):
            values[item] = json_text({"origin": origin if item in moved else None, **numbers})
    frame = pd.DataFrame({"item_id": list(values), "drift_in_topic": list(values.values())})
    return frame.astype({"item_id": np.int64}).assign(window_id=found.recent.id)


def _moved(drift: DriftResult) -> set[int]:
    return {alert.item_id for alert in drift.alerts}


def _window_items(items: pd.DataFrame, window_id: int, *, link: Link, changes: dict[int, str]) -> pd.DataFrame:
    kept = items.loc[items["status"] != "set_aside"].copy()
    kept["a"], kept["se_a"] = kept["a"] / link.A, kept["se_a"] / link.A
    kept["b"], kept["se_b"] = kept["b"] * link.A + link.B, kept["se_b"] * link.A
    for name in "abc":
        kept[f"{name}_hat"] = kept[name]
        half = NORMAL_95 * kept[f"se_{name}"]
        kept[f"{name}_l95"], kept[f"{name}_u95"] = kept[name] - half, kept[name] + half
    # Without a standard error the limit is NULL. The contract does not allow NaN.
    kept = kept.replace({np.nan: None})
    kept["n"], kept["window_id"] = kept["n_responses"], window_id
    kept["dif"] = [changes.get(int(item)) for item in kept["item_id"]]
    kept["info"] = _information(kept)
    return kept


def _information(items: pd.DataFrame) -> list[str]:
    theta = np.linspace(-3.0, 3.0, 50)
    values = information(theta, ItemParameters.of(items["item_id"], items["a"], b=items["b"], c=items["c"]))
    best = values.argmax(axis=1)
    return [
        json.dumps({"max": float(row[k]), "theta_at_max": float(theta[k])}) for row, k in zip(values, best, strict=True)
    ]


def _changes(drift: DriftResult) -> dict[int, str]:
    found = {}
    for k, item in enumerate(drift.item_ids.tolist()):
        values = {}
        for j, name in enumerate("abc"):
            values[f"delta_{name}"] = drift.delta[k, j]
            values[f"se_delta_{name}"] = drift.se_delta[k, j]
            values[f"p_{name}_adjusted"] = drift.p_adjusted[k, j]
        found[int(item)] = json_text(values)
    return found


def alert_rows(found: Comparison | NoResult, week: Week) -> pd.DataFrame:
    """One row for each item and metric. ``resolved_at`` stays empty: only people know."""
    rows = (
        []
        if isinstance(found, NoResult)
        else [
            {
                "item_id": int(alert.item_id),
                "window_id": found.recent.id,
                "metric": alert.metric,
                "value": alert.value,
                "threshold": alert.threshold,
                "severity": alert.severity,
                "p_adjusted": alert.p_adjusted,
                "run_id": found.run_id,
                "week_start": week.start,
            }
            for alert in found.drift.alerts
        ]
    )
    return pd.DataFrame(rows, columns=list(_ALERT))


def drift_metadata(found: Comparison | NoResult) -> dict[str, Any]:
    """The link, a table of the alerts and the forest plot of difficulties."""
    if isinstance(found, NoResult):
        return {}
    drift, link = found.drift, found.drift.link
    rows = [[str(a.item_id), a.metric, a.value, a.threshold, a.severity, a.p_adjusted] for a in drift.alerts[:50]]
    header = ["item", "metric", "change", "threshold", "severity", "adjusted p"]
    verdicts = Counter(drift.verdicts)
    verdicts[CANNOT_BE_JUDGED] += len(drift.skipped)
    return {
        "run_id": found.run_id,
        "items_compared": len(drift.item_ids),
        "items_moved": verdicts["moved"],
        "items_without_drift": verdicts["no_drift"],
        "items_that_cannot_be_judged": verdicts[CANNOT_BE_JUDGED],
        "items_not_compared": len(drift.skipped),
        "items_without_an_estimate": _not_estimated(found),
        "link": f"θ = {link.A:.3f} θ_recent + {link.B:.3f} by {link.n_anchors_used} items, {len(link.dropped)} left out",
        "alerts": markdown_table(header, rows),
        "selection": _selection(found.selection),
        "moved_by": _origins(found),
        **_comparisons(drift),
    }


def _comparisons(drift: DriftResult) -> dict[str, Any]:
    """What was compared, item by item; nothing where no item has enough answers."""
    if not len(drift.item_ids):
        return {}
    median = float(np.median(drift.minimum_detectable))
    return {"minimum_detectable_b_median": median, "items": _items(drift), "forest": _forest(drift)}


def _items(drift: DriftResult) -> Any:
    """What each comparison could have found: items that moved first, then those that cannot be judged."""
    verdicts, change = drift.verdicts, drift.delta[:, 1].tolist()
    least, power = drift.minimum_detectable.tolist(), drift.power.tolist()
    order = sorted(range(len(verdicts)), key=lambda k: (_PRESSING.index(verdicts[k]), -abs(change[k])))
    rows = [
        [str(drift.item_ids[k]), verdicts[k].replace("_", " "), change[k], least[k], power[k]]
        for k in order[:SHOWN_ITEMS]
    ]
    return markdown_table(["item", "verdict", "change of b", "found from", "power for a severe change"], rows)


_PRESSING: tuple[DriftVerdict, ...] = ("moved", CANNOT_BE_JUDGED, "no_drift")
_ORIGINS: Mapping[DriftOrigin, str] = {
    "item": "of the item alone",
    "who_answers": "with their topic, which other students answer than before",
    "topic": "with their topic: taught otherwise, or answered by others",
    "cannot_be_told": "for a reason that cannot be told",
}


def _origins(found: Comparison) -> str:
    """How many of the items that moved did so alone or with their topic. The log does not say who chose a question."""
    if isinstance(found.in_topic, NoResult):
        return f"not judged: {found.in_topic.reason}"
    moved = _moved(found.drift)
    by_item = zip(found.in_topic.item_ids.tolist(), found.in_topic.origins, strict=True)
    counts = Counter(origin for item, origin in by_item if item in moved)
    return "; ".join(f"{counts[code]} {words}" for code, words in _ORIGINS.items() if counts[code]) or "no item moved"


def _selection(found: SelectionGaps | NoResult) -> str:
    """What the residuals say of students who choose, or get, topics that they are good at."""
    if isinstance(found, NoResult):
        return f"not judged: {found.reason}"
    if not np.isfinite(found.overall):
        return "not judged: no item has answers of students who practise its topic more than is usual, and of others"
    clear = int((np.abs(found.gap) > NORMAL_95 * found.se).sum())
    low, high = (100 * (found.overall + side * NORMAL_95 * found.overall_se) for side in (-1, 1))
    return (
        f"students who practise a topic more than is usual get {100 * found.overall:+.1f} of 100 of its questions more right "
        f"than their ability says, compared with the others (95 % interval {low:+.1f} to {high:+.1f}); beyond chance for "
        f"{clear} of {int(np.isfinite(found.gap).sum())} items"
    )


def _not_estimated(found: Comparison) -> str:
    """Items with enough answers in both windows that one calibration set aside, for example for only wrong answers.

    These are the largest changes of all, and no difference of parameters shows them.
    """
    ids = set(found.drift.skipped)
    for fitted in found.calibrations:
        enough = fitted.items.n_responses >= found.drift.thresholds.min_responses
        ids &= set(fitted.items.item_ids[enough].tolist())
    by_item = {
        item: flag
        for fitted in found.calibrations
        for item, flag in zip(fitted.items.item_ids.tolist(), fitted.items.flag.tolist(), strict=True)
        if item in ids and flag is not None
    }
    return ", ".join(f"{item} ({flag})" for item, flag in sorted(by_item.items())) or "none"


def _forest(drift: DriftResult) -> Plot:
    clearest = drift_forest(drift)
    forest = Forest(
        [str(item) for item in clearest.item_ids],
        clearest.delta_b.tolist(),
        lower=clearest.lower.tolist(),
        upper=clearest.upper.tolist(),
        is_marked=clearest.has_alert.tolist(),
        is_open=(~clearest.is_judged).tolist(),
    )
    return forest_plot(
        forest,
        f"{len(clearest.item_ids)} clearest changes of {len(drift.item_ids)}; "
        f"{drift.verdicts.count(CANNOT_BE_JUDGED)} items cannot be judged",
        label="change of difficulty b (logit), 95 % interval; dotted: threshold",
        rows_are="item",
        limits=(-clearest.threshold, clearest.threshold),
        marked="moved",
        unmarked="no drift",
    )
