"""Every environment variable of the platform, typed, with aliases and defaults, validated once.

Precedence: run configuration or command line, then environment, then default. The environment is read by
:func:`load_settings` and nowhere else; an asset's run configuration overrides single fields by
:meth:`SettingsGroup.overridden_by`. An empty variable counts as not set. The names and defaults are those that
operators of the legacy jobs already set; the ones of the R services are retired, because R now runs inside.

One module a stage declares its group's variables by :func:`~seedtest_analytics.settings.group.variable`; a new group is
a field of :class:`Settings`.
"""

from seedtest_analytics.settings.backtest import BacktestSettings
from seedtest_analytics.settings.churn import InactivitySettings, SurvivalSettings
from seedtest_analytics.settings.forecasts import ForecastSettings
from seedtest_analytics.settings.group import SettingsError, SettingsGroup
from seedtest_analytics.settings.growth import GlmmSettings, GrowthSettings
from seedtest_analytics.settings.kpis import KPI_METRICS, FeatureSettings, KpiSettings
from seedtest_analytics.settings.load import GROUPS, Settings, load_settings
from seedtest_analytics.settings.platform import PlatformSettings, StorageSettings
from seedtest_analytics.settings.psychometrics import CalibrationSettings, DifSettings, DriftSettings
from seedtest_analytics.settings.reports import ReportSettings
from seedtest_analytics.settings.retired import RETIRED_VARIABLES
from seedtest_analytics.settings.segments import SegmentSettings

__all__ = [
    "GROUPS",
    "KPI_METRICS",
    "RETIRED_VARIABLES",
    "BacktestSettings",
    "CalibrationSettings",
    "DifSettings",
    "DriftSettings",
    "FeatureSettings",
    "ForecastSettings",
    "GlmmSettings",
    "GrowthSettings",
    "InactivitySettings",
    "KpiSettings",
    "PlatformSettings",
    "ReportSettings",
    "SegmentSettings",
    "Settings",
    "SettingsError",
    "SettingsGroup",
    "StorageSettings",
    "SurvivalSettings",
    "load_settings",
]
