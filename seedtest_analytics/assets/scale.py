"""Where a calibration's scale comes from: anchors, the platform's first calibration, or itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.assets.calibration_backend import Fit, Fitted
from seedtest_analytics.assets.scale_link import (
    Origin,
    Reference,
    constants_of,
    fixed_constants,
    link_onto,
    method_for,
    refusal,
)
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.sql_files import statement
from seedtest_analytics.settings import CalibrationSettings

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

    from seedtest_analytics.stats.irt.data import ResponseData
    from seedtest_analytics.stats.irt.result import Calibration

RESPONSES = "psychometrics/responses.sql"
SCALE = "psychometrics/scale.sql"


@dataclass(frozen=True, eq=False)
class PlacedCalibration:
    """A calibration whose parameters and population stand on the platform's scale.

    ``items``: the engine's rows with a, b and their standard errors transformed. ``constants`` map the fit's own scale
    to the platform's, ``θ* = A θ + B``; None where the fit is the origin, and A, B null with the reason where it
    could not be linked. ``n_anchors``: tagged anchors among the items that were answered.
    """

    fitted: Fitted
    items: pd.DataFrame
    origin: Origin
    version: str
    group_mean: float
    group_sd: float
    description: str
    n_anchors: int = 0
    constants: dict[str, Any] | None = None

    @property
    def calibration(self) -> Calibration:
        """The fit on its own scale."""
        return self.fitted.calibration

    @property
    def is_on_scale(self) -> bool:
        """Everything but a fit that should have been linked and could not be."""
        return self.origin != "unlinked"


def place_on_scale(
    connection: Connection,
    data: ResponseData,
    week: Week,
    settings: CalibrationSettings,
    fit: Fit,
    log: dg.DagsterLogManager,
) -> PlacedCalibration:
    """Calibrate ``data`` and put it on the platform's scale.

    Enough anchors among the answered items and ``MIRT_LINKING=fixed``: their parameters are fixed. Else the fit is
    linked, by that method (Stocking-Lord in place of ``fixed``): to the anchors where there are enough, else to the
    first usable calibration. Without either it is the origin of the scale.
    """
    tagged = _reference(connection, "anchors", {}, RESPONSES, "anchors", "question.meta")
    anchors = tagged.parameters.take(np.isin(tagged.parameters.item_ids, data.item_ids))
    if len(anchors) >= settings.min_anchors and settings.linking == "fixed":
        log.info(f"week of {week.key}: {len(anchors)} anchors are fixed")
        return _fixed(fit(data, anchors), len(anchors))
    fitted = fit(data, None)
    if len(anchors) >= settings.min_anchors:
        return _linked(fitted, tagged, settings, len(anchors))
    first = connection.execute(statement(SCALE, "reference"), {"week_start": week.start}).one_or_none()
    if first is None:
        return _own(fitted, week, len(anchors))
    log.info(
        f"week of {week.key}: {len(anchors)} anchors have answers, {settings.min_anchors} are needed; "
        f"linking to the first calibration, {first.version}"
    )
    reference = _reference(
        connection, "parameters_of", {"run_id": first.run_id}, SCALE, "linked", first.version
    )
    return _linked(fitted, reference, settings, len(anchors))


def _reference(
    connection: Connection, name: str, parameters: dict[str, Any], file: str, origin: Origin, version: str
) -> Reference:
    """Parameters that a query of ``file`` gives, with their covariance where it has standard errors."""
    from seedtest_analytics.stats.irt.model import ItemParameters

    rows = connection.execute(statement(file, name), parameters).mappings().all()
    column = {
        n: np.asarray([r.get(n) for r in rows], dtype=np.float64)
        for n in ("a", "b", "c", "se_a", "se_b", "se_c")
    }
    ids = np.asarray([int(r["item_id"]) for r in rows], dtype=np.int64)
    variance = np.nan_to_num(np.stack([column["se_a"], column["se_b"], column["se_c"]], axis=1)) ** 2
    return Reference(
        ItemParameters.of(ids, column["a"], column["b"], column["c"]),
        variance[:, :, None] * np.eye(3),
        origin,
        version,
    )


def _group(calibration: Calibration) -> tuple[float, float]:
    return float(calibration.group_mean[0]), float(calibration.group_sd[0])


def _own(fitted: Fitted, week: Week, n_anchors: int) -> PlacedCalibration:
    mean, sd = _group(fitted.calibration)
    text = f"origin of the scale: population mean {mean:.3g}, SD {sd:.3g}"
    return PlacedCalibration(
        fitted, fitted.calibration.items.frame(), "own", week.iso_label, mean, sd, text, n_anchors
    )


def _fixed(fitted: Fitted, n_anchors: int) -> PlacedCalibration:
    mean, sd = _group(fitted.calibration)
    constants = fixed_constants(n_anchors)
    text = f"{n_anchors} anchors fixed; population mean {mean:.3f}, SD {sd:.3f}"
    return PlacedCalibration(
        fitted, fitted.calibration.items.frame(), "anchors", "anchors", mean, sd, text, n_anchors, constants
    )


def _linked(
    fitted: Fitted, reference: Reference, settings: CalibrationSettings, n_anchors: int
) -> PlacedCalibration:
    """On the reference's scale, or on none with the reason why not."""
    from seedtest_analytics.stats.irt.errors import LinkingError

    mean, sd = _group(fitted.calibration)
    items = fitted.calibration.items.frame()
    method = method_for(fitted.calibration.model, settings.linking)
    try:
        link, n_common = link_onto(fitted.calibration, reference, method, settings.min_anchors)
    except LinkingError as error:
        text = f"not linked to {reference.version}: {error}; population mean 0"
        return PlacedCalibration(
            fitted, items, "unlinked", "unlinked", mean, sd, text, n_anchors,
            refusal(method, reference, str(error)),
        )  # fmt: skip
    items["a"], items["se_a"] = items["a"] / link.A, items["se_a"] / link.A
    items["b"], items["se_b"] = items["b"] * link.A + link.B, items["se_b"] * link.A
    text = (
        f"linked to {reference.version} by {link.n_anchors_used} items ({method}, {len(link.dropped)} drifted and "
        f"dropped): θ* = {link.A:.3f} θ + {link.B:.3f}"
    )
    return PlacedCalibration(
        fitted, items, reference.origin, reference.version, link.A * mean + link.B, link.A * sd, text, n_anchors,
        constants_of(link, reference, n_common),
    )  # fmt: skip
