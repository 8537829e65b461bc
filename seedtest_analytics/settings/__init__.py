"""Every environment variable of the platform: typed, with aliases and defaults.

Run configuration and command line come before the environment, the environment before the default. Only
:func:`load_settings` reads the environment. Names and defaults are those of the legacy jobs. Each stage declares its
variables in one module; a new group is a field of :class:`Settings`. Nothing here imports Dagster.
"""

from seedtest_analytics.settings.alerts import AlertSettings
from seedtest_analytics.settings.backtest import BacktestSettings
from seedtest_analytics.settings.churn import InactivitySettings, SurvivalSettings
from seedtest_analytics.settings.execution import ExecutionSettings
from seedtest_analytics.settings.forecasts import ForecastSettings
from seedtest_analytics.settings.group import SettingsError, SettingsGroup
from seedtest_analytics.settings.growth import GlmmSettings, GrowthSettings
from seedtest_analytics.settings.kpis import KPI_METRICS, FeatureSettings, KpiSettings
from seedtest_analytics.settings.lineage import LineageSettings
from seedtest_analytics.settings.load import GROUPS, Settings, load_settings
from seedtest_analytics.settings.messages import MessageSettings
from seedtest_analytics.settings.platform import PlatformSettings, StorageSettings
from seedtest_analytics.settings.psychometrics import AbilitySettings, CalibrationSettings, DifSettings, DriftSettings
from seedtest_analytics.settings.reports import ReportSettings
from seedtest_analytics.settings.retired import RETIRED_VARIABLES
from seedtest_analytics.settings.segments import SegmentSettings
from seedtest_analytics.settings.ui import UiSettings

__all__ = [
    "GROUPS",
    "KPI_METRICS",
    "RETIRED_VARIABLES",
    "AbilitySettings",
    "AlertSettings",
    "BacktestSettings",
    "CalibrationSettings",
    "DifSettings",
    "DriftSettings",
    "ExecutionSettings",
    "FeatureSettings",
    "ForecastSettings",
    "GlmmSettings",
    "GrowthSettings",
    "InactivitySettings",
    "KpiSettings",
    "LineageSettings",
    "MessageSettings",
    "PlatformSettings",
    "ReportSettings",
    "SegmentSettings",
    "Settings",
    "SettingsError",
    "SettingsGroup",
    "StorageSettings",
    "SurvivalSettings",
    "UiSettings",
    "load_settings",
]
