"""Prophet with evidence weights.

    y(t) = trend(t) + season(t) + holidays(t) + ε_t,   trend piecewise linear or flat,   log L = Σ_t weight_t log p(y_t)

Prophet's likelihood takes no weights, so weeks are repeated: a week with three times the evidence is in the data three
times. Repetition also makes the data weigh more against the priors. Their scales are reduced to compensate (by the mean
number of repetitions for the Laplace prior of the trend's bends, by its root for the normal priors of seasons and
holidays), which gives the estimate of a likelihood with weights of mean one. Repetitions are whole numbers, so weights
are rounded to quarters of the mean.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.forecasts.series import Changepoint, ForecastSettings

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]

STEPS_OF_THE_MEAN = 4
MAX_REPETITIONS = 40
LITTLE_NOISE = 0.03
NOTABLE_BEND = 0.01
"""Smaller bends (in the series' size over its whole length) are rounding noise, not changepoints."""


@dataclass(frozen=True)
class ProphetFit:
    """``expected`` at every requested week, and ``trend_variance``, which future bends add to the forecast's variance."""

    expected: Floats
    trend_variance: Floats
    noise_sd: float
    changepoints: tuple[Changepoint, ...]
    trend: str


def repetitions(weights: Floats) -> NDArray[np.int64]:
    """Repetitions of each week in the data; all ones where the weights are equal."""
    if np.ptp(weights) <= 1e-9 * weights.max():
        return np.ones(len(weights), dtype=np.int64)
    steps = np.round(STEPS_OF_THE_MEAN * weights / weights.mean())
    return np.asarray(np.clip(steps, 1, MAX_REPETITIONS), dtype=np.int64)


def fit_prophet(weeks: Days, values: Floats, *, weights: Floats, ask: Days, settings: ForecastSettings) -> ProphetFit:
    """Fit to (n,) known weeks and predict the weeks ``ask``, which may be any weeks.

    Raises:
        RuntimeError: where Stan's optimiser fails.
    """
    import pandas as pd

    _quieten()
    from prophet import Prophet

    trend: Literal["linear", "flat"] = "linear" if len(weeks) >= settings.trend_points else "flat"
    counts = repetitions(weights)
    mean_count = float(counts.mean())

    def new_model() -> Any:
        return Prophet(
            growth=trend,
            changepoints=_candidates(weeks) if trend == "linear" else [],
            changepoint_prior_scale=settings.changepoint_prior_scale / mean_count,
            seasonality_prior_scale=10.0 / np.sqrt(mean_count),
            holidays_prior_scale=10.0 / np.sqrt(mean_count),
            yearly_seasonality=3 if len(weeks) >= settings.yearly_points else False,
            weekly_seasonality=False,
            daily_seasonality=False,
            holidays=_holidays(settings, weeks[0]),
            uncertainty_samples=0,
        )

    frame = pd.DataFrame({"ds": np.repeat(weeks, counts), "y": np.repeat(values, counts)})
    model = new_model()
    model.fit(frame)
    if trend == "linear":
        model = _higher_mode(model, new_model(), frame=frame)
    return ProphetFit(
        expected=model.predict(pd.DataFrame({"ds": ask}))["yhat"].to_numpy(dtype=np.float64),
        trend_variance=_trend_variance(model, ask) if trend == "linear" else np.zeros(len(ask)),
        noise_sd=float(model.params["sigma_obs"].item() * model.y_scale),
        changepoints=_changepoints(model),
        trend=trend,
    )


def _higher_mode(first: Any, second: Any, *, frame: Any) -> Any:
    """The better of two maxima of Prophet's posterior.

    One maximum explains a bent series by bends and little noise, the other by much noise and no bend. Prophet's
    optimiser starts from much noise and mostly finds the second, even where the first is tens of nats higher (it missed
    a clean bend after 20 of 40 weeks in five of six simulated series). A second start, from little noise, finds the
    first.
    """
    scaled, t = first.history["y_scaled"].to_numpy(), first.history["t"].to_numpy()
    slope, intercept = np.polyfit(t, scaled, 1)
    start = {
        "k": float(slope),
        "m": float(intercept),
        "delta": np.zeros_like(first.params["delta"]).reshape(-1),
        "beta": np.zeros_like(first.params["beta"]).reshape(-1),
        "sigma_obs": LITTLE_NOISE,
    }
    try:
        second.fit(frame, init=start, algorithm="LBFGS")
    except RuntimeError:
        return first
    return second if _log_posterior(second) > _log_posterior(first) else first


def _log_posterior(model: Any) -> float:
    """Log posterior at the estimate, up to a constant, with the priors of Prophet's Stan program."""
    p = {name: np.asarray(value, dtype=np.float64).reshape(-1) for name, value in model.params.items()}
    noise = float(p["sigma_obs"][0])
    fitted = model.predict(model.history)["yhat"].to_numpy() / model.y_scale
    residual = (model.history["y_scaled"].to_numpy() - fitted) / noise
    likelihood = -len(residual) * np.log(noise) - 0.5 * float(residual @ residual)
    bends = float(np.abs(p["delta"]).sum()) / model.changepoint_prior_scale
    smooth = float((p["beta"] ** 2).sum()) / model.seasonality_prior_scale**2
    line = float(p["k"][0] ** 2 + p["m"][0] ** 2) / 25.0
    return float(likelihood - bends - 0.5 * (smooth + line + (noise / 0.5) ** 2))


def _quieten() -> None:
    """Silence two log lines per fit, thousands per run.

    Without a handler, cmdstanpy resets its logger's level at the first fit.
    """
    for name in ("cmdstanpy", "prophet", "prophet.plot"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        logger.setLevel(logging.CRITICAL)


def _candidates(weeks: Days) -> list[Any]:
    """Possible bends: up to 25 distinct weeks, evenly spread over the first nine tenths."""
    import pandas as pd

    inside = weeks[1 : max(1, int(0.9 * len(weeks)))]
    chosen = np.unique(np.linspace(0, len(inside) - 1, min(25, len(inside) // 2)).round().astype(int))
    return [pd.Timestamp(week) for week in inside[chosen]]


def holiday_weeks(settings: ForecastSettings, first_week: np.datetime64) -> Days:
    """(k,) first day of the week of each of the settings' holidays."""
    days = np.array([day for _, day in settings.holidays], dtype="datetime64[D]")
    return np.asarray(days - (days - first_week).astype(np.int64) % 7)


def _holidays(settings: ForecastSettings, first_week: np.datetime64) -> Any:
    """Holidays moved to the start of their week, each name once a week; None without holidays.

    Prophet reserves names such as ``holidays`` and ``yearly`` and splits others at ``_delim_``. So it never sees the
    names that users give, but their numbers.
    """
    import pandas as pd

    if not settings.holidays:
        return None
    starts = holiday_weeks(settings, first_week).astype("datetime64[ns]")
    number_of = {name: f"holiday {k}" for k, name in enumerate(dict.fromkeys(name for name, _ in settings.holidays))}
    return pd.DataFrame({"holiday": [number_of[name] for name, _ in settings.holidays], "ds": starts}).drop_duplicates()


def _trend_variance(model: Any, ask: Days) -> Floats:
    """Variance of the trend ahead, ``S · 2 b² · h³ / 3`` at the scaled distance h, with S bends of mean size b.

    It assumes that future bends are as frequent and as large as past ones: a Poisson process with Laplace sizes, which
    Prophet simulates (``sample_predictive_trend``). The variance has a closed form.
    """
    import pandas as pd

    bends = np.abs(model.params["delta"]).mean() + 1e-8
    length = (model.history["ds"].max() - model.start) / model.t_scale
    ahead = np.maximum((pd.to_datetime(ask) - model.history["ds"].max()) / model.t_scale, 0.0) / max(length, 1e-9)
    variance = len(model.changepoints_t) * 2.0 * bends**2 * np.asarray(ahead, dtype=np.float64) ** 3 / 3.0
    return np.asarray(variance * model.y_scale**2)


def _changepoints(model: Any) -> tuple[Changepoint, ...]:
    bends = np.asarray(model.params["delta"]).reshape(-1)
    weeks_in_unit = model.t_scale.total_seconds() / (7 * 86_400)
    return tuple(
        Changepoint(np.datetime64(week, "D"), float(bend * model.y_scale / weeks_in_unit))
        for week, bend in zip(model.changepoints.to_numpy(), bends, strict=False)
        if abs(bend) > NOTABLE_BEND
    )
