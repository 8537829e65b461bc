"""Where a calibration's scale comes from: anchors, the platform's first calibration, or itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.sql_files import statement
from seedtest_analytics.settings import CalibrationSettings

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

    from seedtest_analytics.stats.irt.data import ResponseData
    from seedtest_analytics.stats.irt.model import ItemParameters
    from seedtest_analytics.stats.irt.result import Calibration

RESPONSES = "psychometrics/responses.sql"
SCALE = "psychometrics/scale.sql"

Origin = Literal["own", "anchors", "linked", "unlinked"]


@dataclass(frozen=True, eq=False)
class PlacedCalibration:
    """A calibration whose parameters and population stand on the platform's scale.

    ``items``: the engine's rows with a, b and their standard errors transformed. ``constants`` map the fit's own scale
    to the platform's, ``θ* = A θ + B``; None where the fit is the origin.
    """

    calibration: Calibration
    items: pd.DataFrame
    origin: Origin
    version: str
    group_mean: float
    group_sd: float
    description: str
    constants: dict[str, Any] | None = None

    @property
    def is_on_scale(self) -> bool:
        """Everything but a fit that should have been linked and could not be."""
        return self.origin != "unlinked"


def place_on_scale(
    connection: Connection,
    data: ResponseData,
    week: Week,
    settings: CalibrationSettings,
    log: dg.DagsterLogManager,
) -> PlacedCalibration:
    """Calibrate ``data`` and put it on the platform's scale.

    Enough anchors among the answered items and ``MIRT_LINKING=fixed``: their parameters are fixed. Else the fit is
    linked: to the anchors where there are enough, else to the first usable calibration. Without either it is the
    origin of the scale.
    """
    from seedtest_analytics.stats.irt.config import CalibrationConfig
    from seedtest_analytics.stats.irt.estimation import calibrate

    anchors = _present(_parameters(connection, "anchors", {}), data)
    config = {"model": settings.model, "min_responses": settings.min_responses}
    if len(anchors) >= settings.min_anchors and settings.linking == "fixed":
        log.info(f"week of {week.key}: {len(anchors)} anchors are fixed")
        return _fixed(
            calibrate(data, CalibrationConfig(anchors=anchors, min_anchors=settings.min_anchors, **config)),
            len(anchors),
        )
    calibration = calibrate(data, CalibrationConfig(**config))
    if len(anchors) >= settings.min_anchors:
        return _linked(calibration, anchors, settings, "anchors", "question.meta")
    reference = connection.execute(statement(SCALE, "reference"), {"week_start": week.start}).one_or_none()
    if reference is None:
        return _own(calibration, week)
    parameters = _parameters(connection, "parameters_of", {"run_id": reference.run_id}, file=SCALE)
    return _linked(calibration, parameters, settings, "linked", reference.version)


def _parameters(
    connection: Connection, name: str, parameters: dict[str, Any], file: str = RESPONSES
) -> ItemParameters:
    from seedtest_analytics.stats.irt.model import ItemParameters

    rows = connection.execute(statement(file, name), parameters).all()
    return ItemParameters.of(
        np.asarray([int(r.item_id) for r in rows], dtype=np.int64),
        np.asarray([r.a for r in rows], dtype=np.float64),
        np.asarray([r.b for r in rows], dtype=np.float64),
        np.asarray([r.c for r in rows], dtype=np.float64),
    )


def _present(parameters: ItemParameters, data: ResponseData) -> ItemParameters:
    return parameters.take(np.isin(parameters.item_ids, data.item_ids))


def _group(calibration: Calibration) -> tuple[float, float]:
    return float(calibration.group_mean[0]), float(calibration.group_sd[0])


def _own(calibration: Calibration, week: Week) -> PlacedCalibration:
    mean, sd = _group(calibration)
    text = "origin of the scale: population mean 0, SD 1"
    return PlacedCalibration(calibration, calibration.items.frame(), "own", week.iso_label, mean, sd, text)


def _fixed(calibration: Calibration, n_anchors: int) -> PlacedCalibration:
    mean, sd = _group(calibration)
    constants = _constants(1.0, 0.0, n_anchors, "fixed")
    text = f"{n_anchors} anchors fixed; population mean {mean:.3f}, SD {sd:.3f}"
    return PlacedCalibration(
        calibration, calibration.items.frame(), "anchors", "anchors", mean, sd, text, constants
    )


def _constants(slope: float, intercept: float, n_anchors: int, method: str, **more: Any) -> dict[str, Any]:
    both = {"A": slope, "B": intercept, "slope": slope, "intercept": intercept}
    return {**both, "n_anchors_used": n_anchors, "method": method, **more}


def _linked(
    calibration: Calibration,
    onto: ItemParameters,
    settings: CalibrationSettings,
    origin: Origin,
    version: str,
) -> PlacedCalibration:
    own = calibration.parameters
    common = np.intersect1d(own.item_ids, onto.item_ids)
    mean, sd = _group(calibration)
    if len(common) < settings.min_anchors:
        text = f"not linked: {len(common)} common items, {settings.min_anchors} are needed; population mean 0, SD 1"
        return PlacedCalibration(
            calibration, calibration.items.frame(), "unlinked", "unlinked", mean, sd, text
        )
    ours, theirs = own.take(own.positions(common)), onto.take(onto.positions(common))
    slope = float(theirs.b.std() / ours.b.std())
    intercept = float(theirs.b.mean() - slope * ours.b.mean())
    items = calibration.items.frame()
    items["a"], items["se_a"] = items["a"] / slope, items["se_a"] / slope
    items["b"], items["se_b"] = items["b"] * slope + intercept, items["se_b"] * slope
    text = f"linked to {version} by {len(common)} common items: θ* = {slope:.3f} θ + {intercept:.3f}"
    constants = _constants(slope, intercept, len(common), "mean-sigma", onto=version)
    return PlacedCalibration(
        calibration, items, origin, version, slope * mean + intercept, slope * sd, text, constants
    )
