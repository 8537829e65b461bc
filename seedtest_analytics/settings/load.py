"""All groups together, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from seedtest_analytics.settings.alerts import AlertSettings
from seedtest_analytics.settings.backtest import BacktestSettings
from seedtest_analytics.settings.churn import InactivitySettings, SurvivalSettings
from seedtest_analytics.settings.execution import ExecutionSettings
from seedtest_analytics.settings.forecasts import ForecastSettings
from seedtest_analytics.settings.group import SettingsError, SettingsGroup
from seedtest_analytics.settings.growth import GlmmSettings, GrowthSettings
from seedtest_analytics.settings.kpis import FeatureSettings, KpiSettings
from seedtest_analytics.settings.lineage import LineageSettings
from seedtest_analytics.settings.messages import MessageSettings
from seedtest_analytics.settings.platform import PlatformSettings, StorageSettings
from seedtest_analytics.settings.psychometrics import AbilitySettings, CalibrationSettings, DifSettings, DriftSettings
from seedtest_analytics.settings.reports import ReportSettings
from seedtest_analytics.settings.retired import warn_about_retired
from seedtest_analytics.settings.segments import SegmentSettings
from seedtest_analytics.settings.ui import UiSettings


class Settings(BaseModel):
    """All groups, frozen."""

    model_config = ConfigDict(frozen=True)

    platform: PlatformSettings = PlatformSettings()
    storage: StorageSettings = StorageSettings()
    ui: UiSettings = UiSettings()
    alerts: AlertSettings = AlertSettings()
    lineage: LineageSettings = LineageSettings()
    execution: ExecutionSettings = ExecutionSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    ability: AbilitySettings = AbilitySettings()
    drift: DriftSettings = DriftSettings()
    dif: DifSettings = DifSettings()
    features: FeatureSettings = FeatureSettings()
    kpis: KpiSettings = KpiSettings()
    glmm: GlmmSettings = GlmmSettings()
    growth: GrowthSettings = GrowthSettings()
    reports: ReportSettings = ReportSettings()
    messages: MessageSettings = MessageSettings()
    survival: SurvivalSettings = SurvivalSettings()
    inactivity: InactivitySettings = InactivitySettings()
    forecast: ForecastSettings = ForecastSettings()
    segments: SegmentSettings = SegmentSettings()
    backtest: BacktestSettings = BacktestSettings()

    def overridden(self, group: str, values: Mapping[str, Any]) -> Self:
        """Copy with the fields of one group replaced by those of ``values`` that are not None, and validated again."""
        return self.model_copy(update={group: getattr(self, group).overridden_by(values)})


GROUPS: dict[str, type[SettingsGroup]] = {name: type(field.default) for name, field in Settings.model_fields.items()}
"""Group of each field of :class:`Settings`."""


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the environment.

    Raises one :class:`SettingsError` that names every invalid variable. One warning names the retired variables.
    """
    environment = os.environ if environment is None else environment
    groups: dict[str, SettingsGroup] = {}
    problems: list[str] = []
    for name, group in GROUPS.items():
        try:
            groups[name] = group.from_environment(environment)
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("\n".join(problems))
    warn_about_retired(environment)
    return Settings.model_validate(groups)
