"""Tries of a calibration: as many as the settings say, on every backend, each logged with its number."""

import logging
import time
from typing import Any

import pytest

from seedtest_analytics.assets.psychometrics.engine import with_tries
from seedtest_analytics.resources.r.errors import RCrashedError, REvaluationError, RPackageMissingError, RTimeoutError
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.errors import IrtDataError

LOG = logging.getLogger("tries")


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


class Failing:
    """Fails every call, or the first ``n_failures`` of them."""

    def __init__(self, error: Exception, n_failures: int = 99) -> None:
        self.error, self.n_failures, self.calls = error, n_failures, 0

    def __call__(self, data: Any, anchors: Any) -> Any:
        self.calls += 1
        if self.calls <= self.n_failures:
            raise self.error
        return data


def settings(**values: Any) -> CalibrationSettings:
    return CalibrationSettings().overridden_by(values)


@pytest.mark.parametrize(("backend", "error"), [("mirt", RCrashedError("gone")), ("native", MemoryError("gone"))])
def test_tries_are_logged_with_their_numbers(
    slept: list[float], caplog: pytest.LogCaptureFixture, backend: str, error: Exception
) -> None:
    fit = Failing(error, n_failures=1)
    with caplog.at_level(logging.INFO):
        assert with_tries(fit, settings(backend=backend), log=LOG)("answers", None) == "answers"  # type: ignore[arg-type]
    assert slept == [5.0]
    assert f"calibration by {backend}: try 1 of 3 failed, next in 5 s: gone" in caplog.text
    assert f"calibration by {backend}: try 2 of 3" in caplog.text


def test_it_is_tried_as_often_as_asked_with_growing_waits(slept: list[float]) -> None:
    fit = Failing(OSError("no room"))
    with pytest.raises(OSError, match="no room"):
        with_tries(fit, settings(max_retries=4, retry_delay_secs=2.0), log=LOG)(None, None)  # type: ignore[arg-type]
    assert fit.calls == 4
    assert slept == [2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    "error",
    [
        RPackageMissingError("no mirt", ("mirt",)),
        REvaluationError("bad", "", traceback=()),
        RTimeoutError("slow"),
        IrtDataError("one item"),
    ],
)
def test_what_would_fail_again_is_not_tried_again(error: Exception) -> None:
    fit = Failing(error)
    with pytest.raises(type(error)):
        with_tries(fit, settings(), log=LOG)(None, None)  # type: ignore[arg-type]
    assert fit.calls == 1
