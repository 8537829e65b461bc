"""`seedtest --set NAME=VALUE` overrides the environment."""

import pytest

from seedtest_analytics.cli.home import use_settings
from seedtest_analytics.settings import SettingsError, load_settings
from tests.cli.conftest import Seedtest


def test_the_command_line_wins_over_every_name_of_the_setting() -> None:
    environment = {"MIRT_MODEL": "2PL", "IRT_MODEL": "3PL", "BRMS_N_CHAINS": "4"}
    use_settings(["IRT_MODEL=Rasch"], environment)
    settings = load_settings(environment)
    assert settings.calibration.model == "Rasch"
    assert settings.growth.n_chains == 4


def test_a_value_may_hold_an_equals_sign() -> None:
    environment: dict[str, str] = {}
    use_settings(["DATABASE_URL=postgresql://h/d?sslmode=require"], environment)
    assert environment == {"DATABASE_URL": "postgresql://h/d?sslmode=require"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("MIRT_MODELL=2PL", "--set MIRT_MODELL: unknown setting. Did you mean MIRT_MODEL"),
        ("MIRT_MODEL", "--set MIRT_MODEL: use NAME=VALUE"),
    ],
)
def test_what_is_no_setting_is_refused_with_the_nearest_names(given: str, message: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        use_settings([given], {})
    assert message in str(refusal.value)


def test_the_page_of_the_settings_is_named_once(seedtest: Seedtest) -> None:
    for unknown in ("FOO=1", "FOO", "MIRT_MODELL=2PL"):
        code, output = seedtest("--set", unknown, "status")
        assert (code, output.count("docs/settings.md")) == (1, 1)


def test_the_command_refuses_a_value_that_is_not_allowed(seedtest: Seedtest, empty_database: str) -> None:
    code, output = seedtest("--set", "MIRT_MODEL=4PL", "materialize", DATABASE_URL=empty_database, MIRT_MODEL="2PL")
    assert code == 1
    assert "MIRT_MODEL = '4PL' is not allowed" in output
    assert "Traceback" not in output


def test_the_version_is_shown(seedtest: Seedtest) -> None:
    code, output = seedtest("--version")
    assert code == 0
    assert output.strip()[0].isdigit()
