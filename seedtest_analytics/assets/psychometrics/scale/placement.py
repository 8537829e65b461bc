"""Places a calibration on the platform scale, which comes from anchors, an earlier calibration, or the fit itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.psychometrics.answer_filter import filter_of
from seedtest_analytics.assets.psychometrics.engine import Fit, Fitted
from seedtest_analytics.assets.psychometrics.scale.anchor_screen import (
    answered_anchors,
    count_testable,
    free_calibration,
    screen,
)
from seedtest_analytics.assets.psychometrics.scale.items import items_to_score_with
from seedtest_analytics.assets.psychometrics.scale.link import (
    Origin,
    Reference,
    constants_of,
    dropped_row,
    fixed_constants,
    link_onto,
    method_for,
    reference_of,
    refusal,
)
from seedtest_analytics.assets.psychometrics.scale.tagged_anchors import tagged_anchors
from seedtest_analytics.assets.psychometrics.statements import SCALE
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import LinkingError
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.result import Calibration

Refused = tuple[Reference, str]
"""A reference that allows no link, and why."""


@dataclass(frozen=True, eq=False)
class PlacedCalibration:
    """A calibration with its parameters and its population on the platform scale.

    Attributes:
        fitted: the fit on its own scale.
        platform_items: the rows of the fit with a, b and their standard errors on the platform scale.
        constants: map the own scale to the platform scale, ``θ* = A θ + B``. None if the fit is the origin; A and B are
            null, with the reason, if it could not be linked.
        scale: the name of the scale that the parameters are on.
        references: fingerprints of the parameters that decided the scale, in the order in which they were tried.
        n_anchors: tagged anchors with enough answers to be estimated.
        anchors_refused: why the scale is not that of the anchors, although enough have answers; None where it is, or where
            there are too few.
        unusable_anchors: tagged items with invalid stored parameters, as rows for the table.
    """

    fitted: Fitted
    platform_items: pd.DataFrame
    origin: Origin
    version: str
    group_mean: float
    group_sd: float
    description: str
    scale: str
    references: tuple[str, ...] = ()
    n_anchors: int = 0
    anchors_refused: str | None = None
    constants: dict[str, Any] | None = None
    unusable_anchors: tuple[dict[str, Any], ...] = ()

    @property
    def calibration(self) -> Calibration:
        """The fit on its own scale."""
        return self.fitted.calibration

    @property
    def platform_parameters(self) -> ItemParameters:
        """The items to score with, on the platform scale."""
        items = self.platform_items
        kept = items.loc[items["item_id"].isin(self.calibration.parameters.item_ids)]
        return ItemParameters.of(kept["item_id"].to_numpy(), kept["a"], b=kept["b"], c=kept["c"])

    @property
    def is_on_scale(self) -> bool:
        """False for a fit that should have been linked and could not be."""
        return self.origin != "unlinked"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it must not score; empty if it may. Abilities on another scale would look like a change of the students."""
        return (*self.calibration.verdict.reasons, *(() if self.is_on_scale else (self.description,)))

    @property
    def lost_anchors(self) -> list[dict[str, Any]]:
        """Tagged anchors excluded from the link, because they have drifted or have no usable parameters."""
        if self.origin != "anchors" or self.constants is None:
            return list(self.unusable_anchors)
        return list(self.constants["dropped"])


def place_on_scale(run: WeekRun, data: ResponseData, *, fit: Fit) -> PlacedCalibration:
    """Calibrate ``data`` and put it on the platform scale.

    With enough anchors that have ``responses_to_link`` answers, and ``MIRT_LINKING=fixed``, the parameters of the
    anchors that have not drifted are fixed. Otherwise the fit is linked by that method (Stocking-Lord for ``fixed``): to
    the anchors if there are enough, else to the scale of the last usable calibration. The same holds for anchors that are
    refused: a scale that loses its anchors stays. Only where no usable calibration is stored and too few anchors are
    known is the fit the origin of a scale. Anchors with invalid stored parameters are left out and named.
    """
    tagged = tagged_anchors(run.connection)
    for anchor in tagged.unusable:
        run.warn(f"anchor {anchor.item_id} is set aside: {anchor.reason}")
    placed = _placed(run, data, fit=fit, tagged=tagged.reference)
    return _naming(placed, [dropped_row(anchor) for anchor in tagged.unusable])


def _naming(placed: PlacedCalibration, unusable: list[dict[str, Any]]) -> PlacedCalibration:
    """Add the unusable anchors to those that are excluded from the link."""
    constants = placed.constants
    if constants is not None:
        constants = {**constants, "dropped": [*constants["dropped"], *unusable]}
    return replace(placed, constants=constants, unusable_anchors=tuple(unusable))


def _placed(run: WeekRun, data: ResponseData, *, fit: Fit, tagged: Reference) -> PlacedCalibration:
    settings, week = run.settings.calibration, run.week
    anchors = answered_anchors(tagged.parameters, data)
    n_anchors = count_testable(anchors, data, min_responses=settings.responses_to_link)
    is_anchored = n_anchors >= settings.min_anchors
    refused: list[Refused] = []
    if is_anchored and settings.linking == "fixed":
        try:
            return _fixed(run, data, anchors=anchors, tagged=tagged, fit=fit, n_anchors=n_anchors)
        except LinkingError as error:
            run.warn(f"the anchors cannot be fixed: {error}")
            refused.append((tagged, str(error)))
    fitted = fit(data, None)
    stored = _stored_references(run)
    if not is_anchored and not stored:
        return _own(fitted, week, n_anchors=n_anchors)
    if not is_anchored:
        run.log.info(
            f"week of {week.key}: {n_anchors} anchors have {settings.responses_to_link} answers or more, "
            f"{settings.min_anchors} are needed; linking to the scale {stored[0].scale}"
        )
    references = [tagged, *stored] if is_anchored and not refused else stored
    return _linked(fitted, references, refused=refused, settings=settings, n_anchors=n_anchors)


def _stored_references(run: WeekRun) -> list[Reference]:
    """The item banks of the calibrations to link to, the first choice first; empty if the week begins a scale."""
    week = run.week
    parameters = {
        "week_start": week.start,
        "own_scale": week.iso_label,
        "is_filtered": filter_of(run.settings.calibration) is not None,
    }
    found = run.connection.execute(statement(SCALE, "references"), parameters).all()
    return [
        reference_of(
            items_to_score_with(run.connection, fit.run_id, except_week=week.start).mappings().all(),
            "linked",
            version=fit.version,
            scale=fit.scale,
            run_id=fit.run_id,
        )
        for fit in found
    ]


def _group(calibration: Calibration) -> tuple[float, float]:
    return float(calibration.group_mean[0]), float(calibration.group_sd[0])


def _own(fitted: Fitted, week: Week, *, n_anchors: int) -> PlacedCalibration:
    mean, sd = _group(fitted.calibration)
    text = f"origin of the scale: population mean {mean:.3g}, SD {sd:.3g}"
    return PlacedCalibration(
        fitted,
        fitted.calibration.items.frame(),
        origin="own",
        version=week.iso_label,
        group_mean=mean,
        group_sd=sd,
        description=text,
        scale=week.iso_label,
        n_anchors=n_anchors,
    )


def _fixed(
    run: WeekRun, data: ResponseData, *, anchors: ItemParameters, tagged: Reference, fit: Fit, n_anchors: int
) -> PlacedCalibration:
    """Hold the anchors that have not drifted. Raises LinkingError if too few are left."""
    settings = run.settings.calibration
    with run.without_transaction():
        free = free_calibration(data, settings)
    screened = screen(free, anchors, tagged=tagged, min_anchors=settings.min_anchors)
    fitted = fit(data, screened.held)
    mean, sd = _group(fitted.calibration)
    n_held = len(screened.held)
    constants = fixed_constants(n_held, screened.n_screened, dropped=screened.dropped)
    text = (
        f"{n_held} anchors fixed, {len(screened.dropped)} drifted and estimated again; population mean {mean:.3f}, "
        f"SD {sd:.3f}"
    )
    run.log.info(text)
    return PlacedCalibration(
        fitted,
        fitted.calibration.items.frame(),
        origin="anchors",
        version="anchors",
        group_mean=mean,
        group_sd=sd,
        description=text,
        scale=tagged.scale,
        references=(tagged.fingerprint,),
        n_anchors=n_anchors,
        constants=constants,
    )


def _linked(
    fitted: Fitted,
    references: Sequence[Reference],
    *,
    refused: Sequence[Refused],
    settings: CalibrationSettings,
    n_anchors: int,
) -> PlacedCalibration:
    """Link to the scale of the first reference that allows it; if none does, say why. Some may be refused already."""
    mean, sd = _group(fitted.calibration)
    items = fitted.calibration.items.frame()
    method = method_for(fitted.calibration.model, settings.linking)
    refused = list(refused)
    for reference in references:
        try:
            link, n_common = link_onto(
                fitted.calibration,
                reference,
                method=method,
                min_anchors=settings.min_anchors,
                min_responses=settings.responses_to_link,
            )
            break
        except LinkingError as error:
            refused.append((reference, str(error)))
    else:
        return _unlinked(fitted, method if references else settings.linking, refused=refused, n_anchors=n_anchors)
    items["a"], items["se_a"] = items["a"] / link.A, items["se_a"] / link.A
    items["b"], items["se_b"] = items["b"] * link.A + link.B, items["se_b"] * link.A
    text = (
        f"linked to {reference.version} by {link.n_anchors_used} items ({method}, {len(link.dropped)} drifted and "
        f"dropped): θ* = {link.A:.3f} θ + {link.B:.3f}"
    )
    return PlacedCalibration(
        fitted,
        items,
        origin=reference.origin,
        version=reference.version,
        group_mean=link.A * mean + link.B,
        group_sd=link.A * sd,
        description=f"{text}; {_not_linked(refused)}" if refused else text,
        scale=reference.scale,
        references=tuple(r.fingerprint for r in (*(r for r, _ in refused), reference)),
        n_anchors=n_anchors,
        anchors_refused=_of_anchors(refused),
        constants=constants_of(link, reference, n_common=n_common, refused=_why(refused)),
    )


def _unlinked(fitted: Fitted, method: str, *, refused: Sequence[Refused], n_anchors: int) -> PlacedCalibration:
    """Not on the platform scale."""
    mean, sd = _group(fitted.calibration)
    return PlacedCalibration(
        fitted,
        fitted.calibration.items.frame(),
        origin="unlinked",
        version="unlinked",
        group_mean=mean,
        group_sd=sd,
        description=_not_linked(refused),
        scale="unlinked",
        references=tuple(r.fingerprint for r, _ in refused),
        n_anchors=n_anchors,
        anchors_refused=_of_anchors(refused),
        constants=refusal(method, refused[0][0], reason=_why(refused)),
    )


def _why(refused: Sequence[Refused]) -> str:
    return "; ".join(why if r.run_id is None else f"{r.run_id}: {why}" for r, why in refused)


def _not_linked(refused: Sequence[Refused]) -> str:
    return f"not linked to {refused[0][0].version}: {_why(refused)}"


def _of_anchors(refused: Sequence[Refused]) -> str | None:
    return next((why for r, why in refused if r.origin == "anchors"), None)
