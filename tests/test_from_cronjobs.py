"""The page for operators of the legacy pipeline names all that they know, and what it sends them to exists.

The names are written by hand from sections 4, 6, 7 and 11 of the legacy contract.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from seedtest_analytics.schedules import jobs, run_history
from seedtest_analytics.settings import GROUPS, load_settings
from tests._shared import shared
from tests.test_compose import defaults
from tests.test_deploy import literals

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "from-cronjobs.md").read_text(encoding="utf-8")


def words(text: str) -> list[str]:
    return text.split()


CRONJOBS = words("""
compute-daily-kpis aggregate-features-daily aggregate-features-daily-r calibrate-irt-weekly mirt-calibrate
glmm-fit-progress-weekly fit-growth-glmm generate-weekly-report generate-weekly-report-batch fit-bayesian-growth
forecast-prophet fit-survival-churn detect-inactivity cluster-segments irt-drift-monitor irt-calibration-monthly
irt-calibration-brms-monthly irt-calibration-pymc-monthly seedtest-weekly-kpi-recompute irt_drift.cron
calibrate-irt-now calibrate-irt-dryrun calibrate-irt-prod fit-bayesian-growth-now cluster-segments-now
generate-weekly-report-now generate-weekly-report-test calibrate-irt-weekly-with-externalsecret
s3://dreamseed-reports/irt-drift/
""")
PROGRAMS = words("""
compute_daily_kpis recompute_weekly_kpi weekly_kpi_job aggregate_features_daily r-analytics-runner mirt_calibrate
calibrate_irt calibrate_monthly_brms calibrate_monthly_pymc etl_irt_responses update_question_meta_from_calibration
tag_anchor_items backfill_topic_theta glmm_fit_progress fit_growth_glmm fit_bayesian_growth forecast_prophet
fit_survival_churn detect_inactivity cluster_segments irt_drift_monitor irt_drift irt_drift_pipeline.R
generate_weekly_report generate_weekly_report_batch verify_counts ops_verify
""")
OPTIONS = words("""
--lookback-days --model --topic-id --subject-id --dry-run --min-responses --difficulty-min --difficulty-max
--discrimination-min --max-candidates --item-ids --date --threshold --lookback-weeks --n-samples --n-chains
--event-threshold-days --forecast-weeks --anomaly-threshold --recent-days --baseline-from --baseline-to --min-sample
--run-id --week --user --cohort --max-users
""")
SECRETS = words("""
seedtest-db-credentials calibrate-irt-credentials r-irt-credentials r-glmm-credentials r-brms-credentials
r-forecast-credentials r-analytics-credentials aws-s3-credentials seedtest-api-credentials
""")
QUERIED = words("""
growth_brms_meta posterior_summary weekly_kpi kpis mirt_fit_meta linking_constants anchor features_topic_daily
theta_estimate theta_sd mirt_item_params mirt_ability
""")


@pytest.mark.parametrize("name", [*CRONJOBS, *PROGRAMS, *OPTIONS, *SECRETS])
def test_every_legacy_name_has_a_counterpart(name: str) -> None:
    """It is in the left column of a table, and the right column is not empty."""
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    exact = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-]|\.\w)")
    assert [row for row in rows if exact.search(row[0]) and row[1].strip(" |")]


def rows_of(name: str) -> list[str]:
    """The lines of the first table about a legacy job."""
    return [line for line in PAGE.splitlines() if line.startswith("| ") and f"*{name}*" in line.split(" | ")[0]]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("calibrate-irt-now", {"lookback_days": 90}),
        ("calibrate-irt-prod", {"lookback_days": 30, "max_observations": 500000}),
        ("fit-bayesian-growth-now", {"lookback_weeks": 12, "n_samples": 2000, "n_chains": 4}),
    ],
)
def test_the_values_of_the_one_shot_jobs_are_stated(name: str, values: dict[str, int]) -> None:
    """As fields of the run's configuration, so that no setting of the platform has to change."""
    fields = {field for group in GROUPS.values() for field in group.model_fields}
    assert values.keys() <= fields
    for field, value in values.items():
        assert f"`{field}: {value}`" in "".join(rows_of(name))


def test_the_reports_of_the_monthly_jobs_have_a_counterpart() -> None:
    """The second line of irt_drift.cron renders the drift; the monthly calibration renders its result."""
    for name in ("irt-calibration-monthly", "irt_drift.cron"):
        assert "`run generate_cohort_reports " in "".join(rows_of(name))
    assert [time for row in rows_of("irt_drift.cron") for time in re.findall(r"\d\d:\d\d", row)] == ["02:00", "06:00"]


@pytest.mark.parametrize("name", QUERIED)
def test_what_the_legacy_queries_read_is_named(name: str) -> None:
    queries = PAGE.split("## Verification queries")[1].split("## Log lines")[0]
    assert re.search(rf"\b{name}\b", queries)


@pytest.mark.parametrize("message", ["fallback to the Normal approximation", "updated P and sigma for"])
def test_the_log_lines_are_those_of_the_code(message: str) -> None:
    assert f"`{message}`" in PAGE
    sources = (ROOT / "seedtest_analytics").rglob("*.py")
    assert any(message in source.read_text(encoding="utf-8") for source in sources)


def test_the_jobs_that_the_page_runs_exist() -> None:
    known = {job.name for job in (*jobs.JOBS, *run_history.JOBS)}
    run = set(re.findall(r"`run (\w+) ", PAGE)) | set(re.findall(r"the job `(\w+)`", PAGE))
    assert run <= known
    assert len(run) >= 10


def test_no_command_for_the_daemons_pod_computes_in_it() -> None:
    """That pod has 1 GiB; a run has pods of the size of its steps."""
    (body,) = re.findall(r"run\(\) \{\n(.*?)\n\}", PAGE, re.DOTALL)
    assert body.endswith('-- seedtest run "$@"')
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    inside = re.findall(r"exec deployment/seedtest-daemon -- (seedtest \w+|.*)", PAGE + operations)
    assert set(inside) == {"seedtest run", "seedtest health"}
    in_tables = re.findall(r"`(?:seedtest[^`]*|dagster[^`]*)`", PAGE.split("## Programs and scripts")[0])
    assert [command for command in in_tables if "materialize" in command or "job execute" in command] == []


@pytest.mark.reference
def test_no_name_of_the_contract_is_forgotten() -> None:
    """The tables of the contract itself: the CronJobs of section 6, the secrets of section 7, the jobs of section 4."""
    contract = shared("contract.md").read_text(encoding="utf-8")
    section = {n: contract.split(f"\n## {n}. ")[1].split("\n## ")[0] for n in (4, 6, 7)}
    first_cells = re.findall(r"^\| ([\w-]+)(?: \(|,| \|)", section[6], re.MULTILINE)
    jobs_of_contract = re.findall(r"^### 4\.\d+ (\w+_\w+)", section[4], re.MULTILINE)
    secrets = re.findall(r"^\| ([\w-]+-credentials) \|", section[7], re.MULTILINE)
    found = {*first_cells, *jobs_of_contract, *secrets} - {"CronJob", "crond", "eso-gcp-credentials"}
    assert len(found) >= 35
    assert sorted(name for name in found if name not in PAGE) == []


def legacy_values() -> list[tuple[str, str]]:
    """The values of the CronJobs, from the table of the contract's page."""
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    table = text.split("### Settings of the CronJobs")[1].split("Three values are left out")[0].replace("\\|", "|")
    return re.findall(r"`([A-Z_0-9]+)=([^`]*)`", table)


DEPLOYED = {"kubernetes": literals(), "compose": defaults("code")}


@pytest.mark.parametrize("where", DEPLOYED)
@pytest.mark.parametrize(("name", "value"), legacy_values())
def test_a_deployed_platform_has_the_settings_of_the_cronjobs(name: str, value: str, where: str) -> None:
    deployed, legacy = load_settings(DEPLOYED[where]), load_settings({name: value})
    (group, field) = next(
        (group, declared.variables()[name]) for group, declared in GROUPS.items() if name in declared.variables()
    )
    assert getattr(getattr(deployed, group), field) == getattr(getattr(legacy, group), field)


def test_the_deployed_settings_are_all_understood() -> None:
    known = {name for group in GROUPS.values() for name in group.variables()}
    others = {"SEEDTEST_IMAGE", "SEEDTEST_NAMESPACE"}  # read by the manifests and the instance
    assert set(literals()) - known - others == set()


def _documents(folder: str) -> list[dict[str, Any]]:
    path = ROOT / "deploy" / "kubernetes" / folder / "secrets.yaml"
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_plain_and_external_secrets_have_the_same_names_and_keys() -> None:
    plain = {m["metadata"]["name"]: set(m["stringData"]) for m in _documents("secrets")}
    legacy_keys = {"connection-url", "url"}
    external = {}
    for manifest in _documents("external-secrets"):
        spec = manifest["spec"]
        assert manifest["apiVersion"] == "external-secrets.io/v1"
        assert spec["target"]["name"] == manifest["metadata"]["name"]
        assert spec["secretStoreRef"] == {"kind": "SecretStore", "name": "gcpsm-secret-store"}
        external[spec["target"]["name"]] = {entry["secretKey"] for entry in spec["data"]} - legacy_keys
    assert plain == external
    assert {"seedtest-db-credentials", "aws-s3-credentials"} <= set(plain)


def test_every_secret_that_a_pod_reads_is_made_and_every_one_made_is_read() -> None:
    folder = ROOT / "deploy" / "kubernetes"
    read = set()
    for path in folder.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        read |= set(re.findall(r"secret(?:Ref|_ref): \{name: ([\w-]+)", text))
        for names in re.findall(r"env_secrets: \[(.*)\]", text):
            read |= set(names.split(", "))
    assert read == {m["metadata"]["name"] for m in _documents("secrets")}
