"""The options of a run in the launchpad, derived from the settings that they override."""

import dagster as dg
import pytest

from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.settings import GROUPS, DriftSettings, GlmmSettings

# What people set in the launchpad, by hand: a key that disappears breaks their saved run configuration.
KEYS = {
    "calibration": "lookback_days model topic_id subject_id max_observations min_responses attempts backend",
    "drift": "lookback_days min_sample baseline_from baseline_to",
    "features": "include_theta",
    "kpis": "use_irt_theta use_bayesian default_target churn_horizon_days",
    "glmm": "lookback_weeks formula family min_observations max_students update_kpi",
    "growth": "lookback_weeks prior_source n_samples n_chains family score_source backend goal_horizon_weeks seed",
    "reports": "max_users parallel",
    "survival": "lookback_days event_threshold_days family",
    "inactivity": "threshold_days",
    "forecast": "lookback_weeks forecast_weeks anomaly_threshold metrics holiday_countries holidays",
    "segments": "lookback_weeks n_clusters method",
}


@overrides(DriftSettings)
class DriftOptions(dg.Config):
    """Options of a comparison."""


@pytest.mark.parametrize("group", GROUPS)
def test_a_run_can_override_the_settings_of_the_contract(group: str) -> None:
    assert set(GROUPS[group].options()) == set(KEYS.get(group, "").split())


def test_options_are_unset_until_they_are_given() -> None:
    assert DriftOptions().model_dump() == dict.fromkeys(("lookback_days", "min_sample", "baseline_from", "baseline_to"))
    options = DriftOptions(min_sample=50, baseline_from="2026-01-05")
    settings = DriftSettings(threshold_delta_a=0.5).overridden_by(options.model_dump())
    assert (settings.min_sample, str(settings.baseline_from)) == (50, "2026-01-05")
    assert (settings.lookback_days, settings.threshold_delta_a) == (30, 0.5)


def test_the_launchpad_explains_an_option_in_the_settings_words() -> None:
    schema = DriftOptions.to_config_schema().as_field().config_type.fields
    assert schema["min_sample"].description == DriftSettings.model_fields["min_sample"].description
    assert DriftOptions.__doc__ == "Options of a comparison."
    assert DriftOptions.__module__ == __name__


def test_a_class_may_take_single_settings() -> None:
    @overrides(GlmmSettings, "formula")
    class Options(dg.Config):
        pass

    assert Options().model_dump() == {"formula": None}
