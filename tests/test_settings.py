"""The environment of the contract: names, aliases, defaults, precedence, messages.

The expected values are written by hand from sections 4, 6, 7 and 8 of the contract.
"""

import datetime as dt
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, get_args

import pytest

import seedtest_analytics
from seedtest_analytics.settings import (
    GROUPS,
    RETIRED_VARIABLES,
    CalibrationSettings,
    DriftSettings,
    FeatureSettings,
    KpiSettings,
    PlatformSettings,
    SettingsError,
    SettingsGroup,
    load_settings,
)
from seedtest_analytics.settings.group import MOST_DAYS, MOST_WEEKS
from seedtest_analytics.settings.platform import FIRST_DAY, LAST_DAY

CONTRACT = [
    # group, names in order of precedence, field, default, another value as text, that value typed
    ("platform", ["DATABASE_URL"], "database_url", None, "postgresql://h/d", None),
    ("platform", ["APP_ENV"], "app_env", "local", "production", "production"),
    ("platform", ["DRY_RUN"], "dry_run", False, "true", True),
    ("platform", ["SEEDTEST_TIMEZONE"], "timezone", "UTC", "Asia/Seoul", "Asia/Seoul"),
    ("platform", ["SEEDTEST_RUN_RETENTION_DAYS"], "run_retention_days", 180, "0", 0),
    ("storage", ["S3_BUCKET"], "s3_bucket", None, "seedtest-reports", "seedtest-reports"),
    ("storage", ["AWS_REGION"], "aws_region", "ap-northeast-2", "eu-west-1", "eu-west-1"),
    ("calibration", ["MIRT_LOOKBACK_DAYS", "IRT_CALIB_LOOKBACK_DAYS"], "lookback_days", None, "60", 60),
    ("calibration", ["MIRT_MODEL", "IRT_MODEL"], "model", "2PL", "Rasch", "Rasch"),
    ("calibration", ["MIRT_TOPIC_ID", "IRT_TOPIC_ID"], "topic_id", None, "algebra", "algebra"),
    ("calibration", ["MIRT_SUBJECT_ID", "IRT_SUBJECT_ID"], "subject_id", None, "7", 7),
    ("calibration", ["MIRT_MAX_OBS"], "max_observations", 0, "500000", 500_000),
    ("calibration", ["MIRT_MAX_RETRIES"], "max_retries", 3, "5", 5),
    ("calibration", ["MIRT_RETRY_DELAY_SECS"], "retry_delay_secs", 5.0, "2.5", 2.5),
    ("calibration", ["IRT_UPDATE_QUESTION_META"], "update_question_meta", False, "true", True),
    ("drift", ["DRIFT_LOOKBACK_DAYS"], "lookback_days", 30, "31", 31),
    ("drift", ["DRIFT_MIN_SAMPLE"], "min_sample", 200, "300", 300),
    ("drift", ["DRIFT_THRESHOLD_DELTA_A"], "threshold_delta_a", 0.20, "0.3", 0.3),
    ("drift", ["DRIFT_THRESHOLD_DELTA_B"], "threshold_delta_b", 0.25, "0.3", 0.3),
    ("drift", ["DRIFT_THRESHOLD_DELTA_C"], "threshold_delta_c", 0.03, "0.05", 0.05),
    ("dif", ["DIF_COVARIATE"], "covariate", None, "grade", "grade"),
    ("dif", ["DIF_REFERENCE"], "reference", None, "4", "4"),
    ("dif", ["DIF_MIN_SAMPLE"], "min_sample", 100, "200", 200),
    ("features", ["AGG_LOOKBACK_DAYS"], "lookback_days", 7, "14", 14),
    ("features", ["AGG_INCLUDE_THETA"], "include_theta", False, "true", True),
    ("kpis", ["METRICS_USE_IRT_THETA"], "use_irt_theta", False, "true", True),
    ("kpis", ["METRICS_USE_BAYESIAN"], "use_bayesian", False, "true", True),
    ("kpis", ["METRICS_DEFAULT_TARGET"], "default_target", 0.0, "1.5", 1.5),
    ("kpis", ["METRICS_CHURN_HORIZON_DAYS"], "churn_horizon_days", 14, "21", 21),
    ("kpis", ["KPI_LOOKBACK_DAYS"], "lookback_days", 30, "45", 45),
    ("kpis", ["KPI_USERS_SINCE_DAYS"], "users_since_days", 90, "120", 120),
    ("glmm", ["GLMM_LOOKBACK_WEEKS"], "lookback_weeks", 12, "8", 8),
    (
        "glmm",
        ["GLMM_FORMULA"],
        "formula",
        "score ~ week + (week | student) + (1 | topic)",
        "score ~ week + (1 | student)",
        "score ~ week + (1 | student)",
    ),
    ("glmm", ["GLMM_FAMILY"], "family", "gaussian", "binomial", "binomial"),
    ("glmm", ["GLMM_MIN_OBSERVATIONS"], "min_observations", 10, "5", 5),
    ("glmm", ["GLMM_UPDATE_KPI"], "update_kpi", False, "true", True),
    ("glmm", ["R_GLMM_TIMEOUT_SECS", "GLMM_TIMEOUT_SECS"], "timeout_seconds", 300.0, "900", 900.0),
    ("growth", ["R_BRMS_TIMEOUT_SECS"], "brms_timeout_seconds", 600.0, "3600", 3600.0),
    ("growth", ["BRMS_LOOKBACK_WEEKS", "LOOKBACK_WEEKS"], "lookback_weeks", None, "12", 12),
    ("growth", ["BRMS_N_SAMPLES", "BRMS_ITER"], "n_samples", 1000, "2000", 2000),
    ("growth", ["BRMS_N_CHAINS", "BRMS_CHAINS"], "n_chains", 2, "4", 4),
    ("growth", ["BRMS_FAMILY"], "family", "gaussian", "binomial", "binomial"),
    ("growth", ["BRMS_SCORE_SOURCE"], "score_source", "theta", "accuracy", "accuracy"),
    ("growth", ["BRMS_UPDATE_KPI"], "update_kpi", True, "false", False),
    ("reports", ["REPORT_FORMAT"], "report_format", "html", "both", "both"),
    ("reports", ["REPORT_LANGUAGE"], "language", "en", "ko", "ko"),
    ("reports", ["REPORT_TEACHER_PAGES"], "teacher_pages", True, "false", False),
    ("reports", ["REPORT_SILENT_STUDENTS"], "silent_students", "page", "none", "none"),
    ("survival", ["SURVIVAL_LOOKBACK_DAYS"], "lookback_days", 90, "120", 120),
    ("survival", ["SURVIVAL_EVENT_THRESHOLD_DAYS"], "event_threshold_days", 14, "21", 21),
    ("survival", ["SURVIVAL_UPDATE_KPI"], "update_kpi", True, "false", False),
    ("inactivity", ["INACTIVITY_THRESHOLD_DAYS"], "threshold_days", 7, "10", 10),
    ("forecast", ["PROPHET_LOOKBACK_WEEKS"], "lookback_weeks", 12, "26", 26),
    ("forecast", ["PROPHET_FORECAST_WEEKS"], "forecast_weeks", 4, "8", 8),
    ("forecast", ["PROPHET_ANOMALY_THRESHOLD"], "anomaly_threshold", 2.5, "3", 3.0),
    ("forecast", ["PROPHET_METRICS"], "metrics", "I_t", "A_t, topic:algebra", "A_t, topic:algebra"),
    ("forecast", ["PROPHET_HOLIDAY_COUNTRIES"], "holiday_countries", "", "KR, US", "KR, US"),
    ("forecast", ["PROPHET_HOLIDAYS"], "holidays", "", '{"break": ["2026-04-20"]}', '{"break": ["2026-04-20"]}'),
    ("segments", ["CLUSTER_LOOKBACK_WEEKS"], "lookback_weeks", 12, "8", 8),
    ("segments", ["CLUSTER_N_CLUSTERS"], "n_clusters", None, "5", 5),
    ("segments", ["CLUSTER_METHOD"], "method", "kmeans", "gmm", "gmm"),
]

INVALID = [
    ("DRY_RUN", "maybe", "boolean"),
    ("SEEDTEST_TIMEZONE", "Asia/Nowhere", "IANA"),
    ("SEEDTEST_START_DATE", "30.02.2024", "date"),
    ("SEEDTEST_START_DATE", "0", "a date of the form YYYY-MM-DD"),
    ("SEEDTEST_START_DATE", "1767225600", "a date of the form YYYY-MM-DD"),
    ("SEEDTEST_START_DATE", "20260101", "a date of the form YYYY-MM-DD"),
    ("SEEDTEST_START_DATE", "2026-02-30", "a date of the form YYYY-MM-DD"),
    ("SEEDTEST_START_DATE", "2026-01-01T00:00", "a date of the form YYYY-MM-DD"),
    ("DRIFT_BASELINE_FROM", "0", "a date of the form YYYY-MM-DD"),
    ("DRIFT_BASELINE_TO", "2026-W01-1", "a date of the form YYYY-MM-DD"),
    ("DRIFT_BASELINE_TO", "9999-12-31", "less than or equal to 2199-12-31"),
    ("SEEDTEST_LOCK_TIMEOUT_SECS", "1e308", "less than or equal to 2147483"),
    ("KPI_USERS_SINCE_DAYS", "99999999999999999999", "less than or equal to 36500"),
    ("PROPHET_FORECAST_WEEKS", "1000000", "less than or equal to 5200"),
    ("METRICS_DEFAULT_TARGET", "1e308", "less than or equal to 100"),
    ("SEEDTEST_START_DATE", "9999-12-31", "less than or equal to 2199-12-31"),
    ("SEEDTEST_START_DATE", "0001-01-01", "greater than or equal to 1900-01-01"),
    ("MIRT_LOOKBACK_DAYS", "0", "greater than or equal to 1"),
    ("IRT_CALIB_LOOKBACK_DAYS", "a month", "integer"),
    ("MIRT_MODEL", "4PL", "'Rasch', '2PL' or '3PL'"),
    ("MIRT_SUBJECT_ID", "mathematics", "integer"),
    ("MIRT_MAX_OBS", "-1", "greater than or equal to 0"),
    ("DRIFT_THRESHOLD_DELTA_A", "0", "greater than 0"),
    ("AGG_LOOKBACK_DAYS", "1.5", "integer"),
    ("METRICS_CHURN_HORIZON_DAYS", "366", "less than or equal to 365"),
    ("GOAL_HORIZON_WEEKS", "105", "less than or equal to 104"),
    ("METRICS_DEFAULT_TARGET", "high", "number"),
    ("METRICS_DEFAULT_TARGET", "nan", "finite"),
    ("METRICS_DEFAULT_TARGET", "-inf", "finite"),
    ("R_GLMM_TIMEOUT_SECS", "0", "greater than 0"),
    ("GLMM_FAMILY", "poisson", "'gaussian' or 'binomial'"),
    ("BRMS_LOOKBACK_WEEKS", "0", "greater than or equal to 1"),
    ("BRMS_CHAINS", "none", "integer"),
    ("BRMS_SCORE_SOURCE", "grade", "'theta' or 'accuracy'"),
    ("BRMS_PRIORS", "{week: 2}", "JSON"),
    ("GROWTH_BACKEND", "jags", "'stan', 'laplace' or 'brms'"),
    ("REPORT_FORMAT", "docx", "html"),
    ("REPORT_LANGUAGE", "xx", "there is no catalogue for it; use one of en, ko"),
    ("PROPHET_METRICS", "I_t,mood", "'mood': neither a KPI"),
    ("PROPHET_METRICS", "topic:", "nor topic:<topic_id>"),
    ("PROPHET_HOLIDAY_COUNTRIES", "KR,XX", "no holidays are known for 'XX'"),
    ("PROPHET_HOLIDAYS", '{"break": "2026-04-20"}', "not a JSON object of names and lists of days"),
    ("PROPHET_HOLIDAYS", '["2026-04-20"]', "not a JSON object of names and lists of days"),
    ("PROPHET_HOLIDAYS", '{"break": ["20 April"]}', "not a JSON object of names and lists of days"),
    ("MAX_USERS", "0", "greater than or equal to 1"),
]

RETIRED_BY_THE_CONTRACT = {
    "R_IRT_BASE_URL",
    "R_IRT_TIMEOUT_SECS",
    "R_IRT_INTERNAL_TOKEN",
    "R_IRT_PLUMBER_URL",
    "R_GLMM_BASE_URL",
    "R_GLMM_INTERNAL_TOKEN",
    "R_BRMS_BASE_URL",
    "R_BRMS_INTERNAL_TOKEN",
    "R_FORECAST_BASE_URL",
    "R_FORECAST_TIMEOUT_SECS",
    "R_FORECAST_INTERNAL_TOKEN",
}


def value_of(group: str, field: str, environment: dict[str, str]) -> object:
    return getattr(getattr(load_settings(environment), group), field)


@pytest.mark.parametrize(("group", "names", "field", "default", "given", "typed"), CONTRACT)
def test_each_variable_has_the_contracts_default_and_reads_each_alias(
    group: str, names: list[str], field: str, default: object, given: str, typed: object
) -> None:
    assert value_of(group, field, {}) == default
    for name in names:
        read = value_of(group, field, {name: given})
        if name == "DATABASE_URL":
            read, typed = load_settings({name: given}).platform.database_url.get_secret_value(), given  # type: ignore[union-attr]
        assert read == typed
        assert type(read) is type(typed)
        assert value_of(group, field, {name: ""}) == default
        assert value_of(group, field, {name: "  "}) == default


def test_values_of_the_legacy_manifests_do_not_stop_the_platform() -> None:
    assert value_of("reports", "report_format", {"REPORT_FORMAT": "pdf"}) == "pdf"
    with pytest.warns(UserWarning, match="kmeans is used instead"):
        assert value_of("segments", "method", {"CLUSTER_METHOD": "dbscan"}) == "kmeans"
    assert value_of("features", "include_theta", {"AGG_INCLUDE_THETA": "true "}) is True


def test_a_variable_that_nothing_reads_is_named_with_what_takes_its_place() -> None:
    with pytest.warns(UserWarning, match=r"BF_LOOKBACK_DAYS \(backfill the weeks\)"):
        load_settings({"BF_LOOKBACK_DAYS": "180"})


def test_the_current_name_wins_over_its_alias_unless_it_is_empty() -> None:
    both = {"MIRT_LOOKBACK_DAYS": "60", "IRT_CALIB_LOOKBACK_DAYS": "90"}
    assert CalibrationSettings.from_environment(both).lookback_days == 60
    assert CalibrationSettings.from_environment({**both, "MIRT_LOOKBACK_DAYS": ""}).lookback_days == 90


def test_run_configuration_wins_over_the_environment_and_none_leaves_it() -> None:
    settings = KpiSettings.from_environment({"METRICS_CHURN_HORIZON_DAYS": "21", "METRICS_USE_IRT_THETA": "true"})
    assert settings.overridden_by({"churn_horizon_days": 7}).churn_horizon_days == 7
    assert settings.overridden_by({"churn_horizon_days": None}).churn_horizon_days == 21
    assert settings.overridden_by({"use_irt_theta": False}).use_irt_theta is False
    assert settings.overridden_by({"dry_run": True, "as_of": "2026-01-01"}) == settings
    assert KpiSettings.from_environment({}).overridden_by({"default_target": 0.5}).default_target == 0.5


def test_a_value_of_the_run_configuration_is_validated_and_named() -> None:
    with pytest.raises(SettingsError) as error:
        FeatureSettings().overridden_by({"lookback_days": 0})
    message = str(error.value)
    assert "run configuration field lookback_days = 0" in message
    assert "greater than or equal to 1" in message


@pytest.mark.parametrize(("name", "value", "allowed"), INVALID)
def test_an_invalid_value_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({name: value})
    message = str(error.value)
    assert f"environment variable {name} = {value!r}" in message
    assert allowed in message


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_every_number_and_every_day_has_a_lower_and_an_upper_limit(group: type[SettingsGroup]) -> None:
    """Without one, a value that no computation can use is refused only by the run, which does not name the setting."""
    for name, field in group.model_fields.items():
        if {field.annotation, *get_args(field.annotation)} & {int, float, dt.date}:
            limits = {sign for sign in ("ge", "gt", "le", "lt") for limit in field.metadata if hasattr(limit, sign)}
            assert limits & {"ge", "gt"}, f"{name} has no lower limit"
            assert limits & {"le", "lt"}, f"{name} has no upper limit"


def test_the_highest_lookbacks_and_horizons_stay_in_the_calendar() -> None:
    assert FIRST_DAY - dt.timedelta(days=MOST_DAYS) > dt.date.min
    assert LAST_DAY + dt.timedelta(weeks=MOST_WEEKS) < dt.date.max


@pytest.mark.parametrize("value", [0, 1767225600, "20260101"])
def test_a_day_of_the_run_configuration_has_one_form_too(value: object) -> None:
    assert DriftSettings().overridden_by({"baseline_from": "2026-01-01"}).baseline_from == dt.date(2026, 1, 1)
    with pytest.raises(SettingsError, match=r"baseline_from = .* a date of the form YYYY-MM-DD"):
        DriftSettings().overridden_by({"baseline_from": value})


def test_every_invalid_value_is_in_one_message() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({"DRY_RUN": "maybe", "MIRT_MODEL": "4PL", "MIRT_MAX_OBS": "-1", "MAX_USERS": "none"})
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    assert all(name in str(error.value) for name in ("DRY_RUN", "MIRT_MODEL", "MIRT_MAX_OBS", "MAX_USERS"))


@pytest.mark.parametrize("value", ["true", "TRUE", "1", "yes", "on"])
def test_dry_run_reads_the_usual_words(value: str) -> None:
    assert load_settings({"DRY_RUN": value}).platform.dry_run is True


@pytest.mark.parametrize("value", ["false", "False", "0", "no", "off", ""])
def test_dry_run_is_off_otherwise(value: str) -> None:
    assert load_settings({"DRY_RUN": value}).platform.dry_run is False


def test_secrets_are_in_no_message_and_no_representation() -> None:
    secrets = {
        "DATABASE_URL": "postgresql://seedtest:hunter2@db/seedtest",
        "SEEDTEST_ALERT_WEBHOOK_URL": "https://hooks.example/hunter2",
    }
    settings = load_settings(secrets)
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    with pytest.raises(SettingsError) as error:
        load_settings({**secrets, "DRY_RUN": "maybe", "SEEDTEST_TIMEZONE": "Nowhere"})
    assert "hunter2" not in str(error.value)
    with pytest.raises(SettingsError) as error:
        PlatformSettings().overridden_by({"database_url": ["hunter2"]})
    assert "hunter2" not in str(error.value)
    assert "database_url = (hidden)" in str(error.value)


@pytest.mark.parametrize("variable", ["SEEDTEST_ALERT_WEBHOOK_URL", "S3_ENDPOINT_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/hunter2",
        "http://10.0.0.1:9000/hunter2",
        "HTTP://hooks.example/hunter2",
        "http://localhost.example/hunter2",
        "http://127.0.0.1@hooks.example/hunter2",
        "http:///hunter2",
        "ftp://hooks.example/hunter2",
        "hooks.example/hunter2",
        "http://0.0.0.0/hunter2",
        "https:///hunter2",
    ],
)
def test_addresses_without_tls_beyond_this_machine_are_refused(variable: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}.*must begin with https://"):
        load_settings({variable: url})


@pytest.mark.parametrize("variable", ["SEEDTEST_ALERT_WEBHOOK_URL", "S3_ENDPOINT_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/x",
        "http://127.0.0.1:9000",
        "http://localhost:9000",
        "http://[::1]:9000/x",
        "http://127.9.9.9",
    ],
)
def test_addresses_with_tls_or_on_this_machine_are_accepted(variable: str, url: str) -> None:
    load_settings({variable: url})


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load_settings({})
    with pytest.raises(ValueError, match="frozen"):
        settings.platform.dry_run = True  # type: ignore[misc]


def test_no_variable_is_read_by_two_fields() -> None:
    names = [name for group in GROUPS.values() for name in group.variables()]
    assert len(names) == len(set(names))
    assert not set(names) & set(RETIRED_VARIABLES)


def test_retired_variables_are_named_in_exactly_one_warning() -> None:
    assert set(RETIRED_VARIABLES) >= RETIRED_BY_THE_CONTRACT
    environment = {name: "https://hunter2.example" for name in RETIRED_BY_THE_CONTRACT}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_settings(environment)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert all(name in message for name in RETIRED_BY_THE_CONTRACT)
    assert "hunter2" not in message


def test_without_retired_variables_there_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_settings({"R_IRT_BASE_URL": "", "DRY_RUN": "true"})


def test_a_process_that_loads_the_settings_from_several_places_warns_once() -> None:
    program = (
        "from seedtest_analytics.settings import load_settings\n"
        "load_settings()\n"
        "def elsewhere():\n"
        "    return load_settings()\n"
        "elsewhere()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"R_IRT_BASE_URL": "http://r-irt", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("R_IRT_BASE_URL") == 1


def test_every_declared_setting_is_read_somewhere() -> None:
    """The legacy pipeline documented variables that it never read."""
    package = Path(seedtest_analytics.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    used = set(re.findall(r"\.([a-z_0-9]+)", text))
    unread = {
        f"{group}.{field}" for group, settings in GROUPS.items() for field in settings.model_fields if field not in used
    }
    assert unread == set()


LEGACY_MANIFESTS: dict[str, Any] = {
    "MIRT_LOOKBACK_DAYS": 60,
    "MIRT_MODEL": "2PL",
    "MIRT_MAX_OBS": 500_000,
    "MIRT_MAX_RETRIES": 3,
    "MIRT_RETRY_DELAY_SECS": 5.0,
    "IRT_UPDATE_QUESTION_META": False,
    "KPI_LOOKBACK_DAYS": 30,
    "KPI_USERS_SINCE_DAYS": 120,
    "METRICS_DEFAULT_TARGET": 0.0,
    "METRICS_USE_BAYESIAN": False,
    "METRICS_USE_IRT_THETA": True,
    "METRICS_CHURN_HORIZON_DAYS": 14,
    "AGG_LOOKBACK_DAYS": 7,
    "AGG_INCLUDE_THETA": True,
    "GLMM_LOOKBACK_WEEKS": 12,
    "GLMM_FAMILY": "gaussian",
    "GLMM_MIN_OBSERVATIONS": 10,
    "GLMM_UPDATE_KPI": False,
    "R_GLMM_TIMEOUT_SECS": 300.0,
    "REPORT_FORMAT": "pdf",
    "S3_BUCKET": "seedtest-reports",
    "AWS_REGION": "ap-northeast-2",
    "LOOKBACK_WEEKS": 12,
    "BRMS_ITER": 1000,
    "BRMS_CHAINS": 2,
    "BRMS_FAMILY": "gaussian",
    "BRMS_SCORE_SOURCE": "accuracy",
    "BRMS_UPDATE_KPI": True,
    "R_BRMS_TIMEOUT_SECS": 600.0,
    "PROPHET_LOOKBACK_WEEKS": 12,
    "PROPHET_FORECAST_WEEKS": 4,
    "PROPHET_ANOMALY_THRESHOLD": 2.5,
    "SURVIVAL_LOOKBACK_DAYS": 90,
    "SURVIVAL_EVENT_THRESHOLD_DAYS": 14,
    "SURVIVAL_UPDATE_KPI": True,
    "INACTIVITY_THRESHOLD_DAYS": 7,
    "CLUSTER_LOOKBACK_WEEKS": 12,
    "CLUSTER_N_CLUSTERS": 3,
    "CLUSTER_METHOD": "kmeans",
    "DRIFT_LOOKBACK_DAYS": 30,
    "DRIFT_MIN_SAMPLE": 200,
    "DRIFT_THRESHOLD_DELTA_A": 0.20,
    "DRIFT_THRESHOLD_DELTA_B": 0.25,
    "DRIFT_THRESHOLD_DELTA_C": 0.03,
}
"""Values of the legacy manifests (contract, sections 4 and 6)."""


def test_every_default_that_differs_from_the_legacy_manifests_is_listed() -> None:
    defaults = {
        name: group.model_fields[group.variables()[name]].default
        for name in LEGACY_MANIFESTS
        for group in GROUPS.values()
        if name in group.variables()
    }
    assert defaults.keys() == LEGACY_MANIFESTS.keys()
    differing = {name for name, value in LEGACY_MANIFESTS.items() if defaults[name] != value}
    page = (Path(__file__).parents[1] / "docs" / "moving.md").read_text(encoding="utf-8")
    section = page.partition("## Settings whose default differs")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == differing
