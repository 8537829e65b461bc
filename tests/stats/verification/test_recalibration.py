"""What past outcomes decide: recovery on simulated weeks with a known fault, and the limits of what is published."""

from typing import Any

import numpy as np
import pytest
from scipy import optimize
from scipy.special import expit, ndtr, ndtri

from seedtest_analytics.stats.verification.calibration_slope import PastRows, fit_slope
from seedtest_analytics.stats.verification.logistic import clipped_logit
from seedtest_analytics.stats.verification.measured import variance_ratio
from seedtest_analytics.stats.verification.recalibration import MIN_EVENTS, NO_FAULT, decide, decide_errors, published
from seedtest_analytics.stats.verification.verdict_words import AS_IS, BASE_RATE, RECALIBRATED, TOO_EARLY, WITHHELD


def weeks_of(
    seed: int,
    *,
    n_weeks: int = 12,
    n: int = 300,
    intercept: float = 0.0,
    slope: float = 1.0,
    week_sd: float = 0.0,
    ratio: Any = 0.0,
    spread: float = 2.0,
) -> dict[str, Any]:
    """Arguments of ``decide``: logit truth = intercept + u_week + slope · logit p, with p's logits of SD ``spread``."""
    random = np.random.default_rng(seed)
    x = random.normal(0, spread, (n_weeks, n))
    truth = expit(intercept + random.normal(0, week_sd, (n_weeks, 1)) + slope * x)
    measured = ndtr(ndtri(truth) / np.sqrt(1 + (slope * ratio) ** 2))
    return {
        "probability": expit(x).ravel(),
        "outcome": (random.random((n_weeks, n)) < measured).ravel(),
        "week": np.repeat(np.arange(n_weeks), n),
        "error_ratio": np.broadcast_to(ratio, (n_weeks, n)).ravel(),
    }


def test_a_right_model_keeps_its_number_exactly() -> None:
    decisions = [decide(**weeks_of(seed)) for seed in range(6100, 6120)]
    assert [d.verdict for d in decisions].count(AS_IS) >= 17
    kept = next(d for d in decisions if d.verdict == AS_IS)
    p = np.array([0.013, 0.5, 0.9871])
    shown, lower, upper = published(kept, p)
    assert (shown == p).all()
    assert ((lower < p) & (p < upper)).all()


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_slope_of_an_overconfident_model_is_recovered_also_behind_errors_of_measurement(ratio: float) -> None:
    """0.47 is the slope that P of a simulated cohort had in its first weeks."""
    errors = []
    for seed in range(6200, 6210):
        decision = decide(**weeks_of(seed, slope=0.47, ratio=ratio))
        assert decision.verdict == RECALIBRATED
        errors.append(decision.slope - 0.47)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.03)
    p = expit(np.array([-4.0, 4.0]))
    assert published(decision, p)[0] == pytest.approx(expit(0.47 * np.array([-4.0, 4.0])), abs=0.03)


def test_the_fit_is_that_of_a_general_optimiser() -> None:
    """Without measurement errors: maximum likelihood of a logistic regression, as far as the vague prior lets it."""
    weeks = weeks_of(6301, n_weeks=4, intercept=0.6, slope=0.6)
    x = np.log(weeks["probability"] / (1 - weeks["probability"]))
    y = weeks["outcome"].astype(float)

    def loss(beta: Any) -> float:
        p = expit(beta[0] + beta[1] * x)
        away = np.array(beta) - [0, 1]
        return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).sum() + (away**2).sum() / 2 / (16 * 0.16))

    best = optimize.minimize(loss, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x
    found = decide(**weeks)
    kept = (found.slope - 1) / (best[1] - 1)
    assert 0.9 < kept < 1
    assert found.intercept == pytest.approx(kept * best[0], rel=1e-4)


@pytest.mark.parametrize("spread", [2.0, 8.0])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 1.5])
def test_the_fit_behind_errors_of_measurement_is_the_highest(spread: float, ratio: float, slope: float) -> None:
    """Extreme probabilities of a measured outcome: the search once left for a slope of 27."""

    def depth(beta: Any, rows: PastRows) -> float:
        return -rows.height(beta)

    for seed in range(6310, 6314):
        weeks = weeks_of(seed, n_weeks=3, n=150, slope=slope, ratio=ratio, spread=spread)
        x = clipped_logit(weeks["probability"])
        y, code = weeks["outcome"].astype(float), np.repeat(np.arange(3), 150)
        rows = PastRows(x, y, code=code, ratio=np.full(len(x), ratio))
        found = fit_slope(rows)[0]
        starts = ([0.0, 1.0], [0.0, 0.0], [0.0, 3.0], found)
        best = max(-optimize.minimize(depth, start, args=(rows,), method="Nelder-Mead").fun for start in starts)
        assert rows.height(found) > best - 0.05, (seed, found)


def test_a_right_model_with_extreme_numbers_and_rough_measurements_is_not_made_more_extreme() -> None:
    """As of P in a young cohort: 640 outcomes in five weeks that overlap, measured with errors of up to four spreads."""
    random = np.random.default_rng(6320)
    slopes = []
    for seed in range(6320, 6340):
        weeks = weeks_of(seed, n_weeks=5, n=128, ratio=random.uniform(0.5, 3.0, (5, 128)), spread=8.0)
        slopes.append(decide(**weeks, overlap=4.0).slope)
    assert max(slopes) < 1.6


def test_a_correction_is_shrunk_by_the_evidence_against_the_model() -> None:
    few = np.mean([decide(**weeks_of(seed, n_weeks=2, n=25, slope=0.6)).slope for seed in range(6400, 6440)])
    many = np.mean([decide(**weeks_of(seed, n_weeks=12, n=300, slope=0.6)).slope for seed in range(6440, 6450)])
    assert many == pytest.approx(0.6, abs=0.03)
    assert few > many + 0.05


def test_a_model_without_a_say_gives_way_to_the_base_rate_with_limits_that_hold_new_weeks() -> None:
    held, verdicts = [], []
    for seed in range(6500, 6540):
        weeks = weeks_of(seed, n_weeks=13, slope=0.0, intercept=1.0, week_sd=0.5)
        is_new = weeks["week"] == 12
        past = {name: weeks[name][~is_new] for name in ("probability", "outcome", "week")}
        decision = decide(**past)
        verdicts.append(decision.verdict)
        share, low, high = decision.base
        held.append(low <= weeks["outcome"][is_new].mean() <= high)
        if decision.verdict == BASE_RATE:
            assert published(decision, [0.1, np.nan])[0] == pytest.approx([share, np.nan], nan_ok=True)
    assert verdicts.count(AS_IS) == 0
    assert verdicts.count(BASE_RATE) >= 20
    assert 0.85 <= np.mean(held) <= 1.0


def test_a_base_rate_that_says_nothing_about_a_new_week_is_withheld() -> None:
    decision = decide(**weeks_of(6601, slope=0.0, week_sd=3.0))
    assert decision.verdict in (WITHHELD, RECALIBRATED)
    decision = decide(**weeks_of(6602, slope=-0.5, week_sd=3.0))
    assert decision.verdict == WITHHELD
    assert "in a new week" in decision.reason
    assert np.isnan(published(decision, [0.3, 0.9])).all()


def test_limits_of_a_drifting_share_are_never_narrow() -> None:
    """Risks of 67 % with limits of 52 to 78 % where 99 % happened: the spread between weeks widens the limits."""
    calm, wild = decide(**weeks_of(6701)), decide(**weeks_of(6702, week_sd=1.5))
    width = {}
    for name, decision in (("calm", calm), ("wild", wild)):
        _, low, high = published(decision, [0.67], lower=[0.52], upper=[0.78])
        width[name] = (high - low)[0]
    assert width["calm"] >= 0.25
    assert width["wild"] > 0.7


@pytest.mark.parametrize(("n_weeks", "overlap"), [(1, 4.0), (3, 4.0), (12, 4.0), (3, 1.0)])
def test_limits_hold_a_new_week_and_say_something_from_the_first_outcomes_on(n_weeks: int, overlap: float) -> None:
    """Models whose faults are as usual. The limits once had a mean width of 0.8 with one window of outcomes."""
    random = np.random.default_rng(6600)
    inside, widths = [], []
    for seed in range(6600, 6680):
        fault = {"intercept": random.normal(0, 0.4), "slope": max(0.1, random.normal(1, 0.4))}
        weeks = weeks_of(seed, n_weeks=n_weeks, n=130, week_sd=0.25, ratio=1.0, **fault)
        x = random.normal(0, 2, 50)
        truth = expit(fault["intercept"] + random.normal(0, 0.25) + fault["slope"] * x)
        _, lower, upper = published(decide(**weeks, overlap=overlap), expit(x))
        inside.append((lower <= truth) & (truth <= upper))
        widths.append(upper - lower)
    assert 0.9 < np.mean(inside) < 0.99
    assert np.mean(widths) < 0.5


def test_it_is_too_early_below_ten_outcomes_of_either_kind() -> None:
    weeks = weeks_of(6801, n_weeks=1, n=60)
    rare = np.zeros(60, bool)
    rare[: MIN_EVENTS - 1] = True
    early = decide(weeks["probability"], rare, week=weeks["week"])
    assert early.verdict == TOO_EARLY
    assert "9 of them events" in early.reason
    shown, low, high = published(early, [0.2, np.nan], lower=[0.19, np.nan], upper=[0.21, np.nan])
    assert shown[0] == 0.2
    assert high[0] - low[0] > 0.15
    assert np.isnan([shown[1], low[1], high[1]]).all()
    rare[MIN_EVENTS - 1] = True
    assert decide(weeks["probability"], rare, week=weeks["week"]).verdict != TOO_EARLY
    assert decide([], [], week=[]).verdict == TOO_EARLY


def test_a_reference_for_each_row_withholds_what_it_beats() -> None:
    weeks = weeks_of(6901, slope=0.3)
    x = np.log(weeks["probability"] / (1 - weeks["probability"]))
    truth = expit(0.3 * x)
    beaten = decide(**weeks | {"probability": expit(-x)}, reference=truth)
    assert beaten.verdict == WITHHELD
    assert decide(**weeks, reference=np.full(len(x), 0.5)).verdict == RECALIBRATED


def test_windows_that_overlap_count_once() -> None:
    weeks = weeks_of(7001, slope=0.8)
    single, fourfold = decide(**weeks), decide(**weeks, overlap=4.0)
    assert fourfold.covariance[2] > 2 * single.covariance[2]
    assert abs(1 - fourfold.slope) < abs(1 - single.slope)


def answers_of(seed: int, *, error: float, topic_sd: float = 0.0, item_sd: float = 0.0, flat: float = 1.0) -> Any:
    """Arguments of ``decide_errors``: 300 students, 6 weeks, 12 answers in 3 topics each week, published error 0.4.

    ``error``: SD of the true errors; ``topic_sd``: of topics' deviations; ``item_sd``: of errors of difficulties; ``flat``:
    what the logits of the published probabilities are divided by.
    """
    random = np.random.default_rng(seed)
    student, week, answer = (axis.ravel() for axis in np.indices((300, 6, 12)))
    topic = answer % 3
    z = random.normal(0, 1.2, len(student))
    off = random.normal(0, error, (300, 6))[student, week] + random.normal(0, topic_sd, (300, 3))[student, topic]
    f = 1 / np.sqrt(1 + np.pi * 0.16 / 8) / flat
    p = expit(f * z)
    return {
        "probability": p,
        "outcome": random.random(len(z)) < expit(z + off + random.normal(0, item_sd, len(z))),
        "sensitivity": f * p * (1 - p),
        "se": np.full(len(z), 0.4),
        "student": student,
        "week": week,
        "topic": topic,
    }


@pytest.mark.parametrize("true", [0.0, 0.4, 0.8])
def test_the_variance_of_the_errors_is_recovered(true: float) -> None:
    found = []
    for seed in range(6800, 6830):
        answers = answers_of(seed, error=true)
        residual = answers.pop("outcome") - answers.pop("probability")
        found.append(variance_ratio(residual, **answers))
    ratios, errors = np.array(found).T
    assert np.mean(ratios) == pytest.approx((true / 0.4) ** 2, rel=0.1, abs=0.1)
    assert 0.6 < ((ratios - np.mean(ratios)) / errors).std() < 1.5


@pytest.mark.parametrize(("true", "widened"), [(0.4, 1.0), (0.8, 2.0)])
@pytest.mark.parametrize("wrong", [{}, {"topic_sd": 0.7, "item_sd": 0.7, "flat": 0.8}])
def test_errors_are_widened_as_far_as_they_are_too_small(wrong: dict[str, float], true: float, widened: float) -> None:
    """Also where items and topics are wrong: too extreme probabilities once tripled the errors of right abilities."""
    factors = []
    for seed in range(6850, 6860):
        answers = answers_of(seed, error=true, **wrong)
        next_answers = decide(answers["probability"], answers["outcome"], week=answers["week"])
        decided = decide_errors(next_answers, **answers)
        assert decided.verdict == (AS_IS if decided.slope == 1.0 else RECALIBRATED)
        factors.append(1.0 / decided.slope)
    assert np.mean(factors) == pytest.approx(widened, abs=0.2)
    assert min(factors) >= 1.0


def test_without_answers_in_two_topics_nothing_tells_the_errors() -> None:
    answers = {**answers_of(6870, error=2.0), "topic": np.zeros(300 * 6 * 12)}
    decided = decide_errors(decide(**weeks_of(6871)), **answers)
    assert (decided.verdict, decided.slope, decided.reason) == (AS_IS, 1.0, NO_FAULT)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"probability": [0.5, 1.5]}, "probability"),
        ({"outcome": [0, 2]}, "outcome"),
        ({"week": [1.5, 2]}, "whole numbers"),
        ({"error_ratio": [1.0, 2.0, 3.0]}, "error_ratio"),
        ({"error_ratio": -1.0}, "error_ratio"),
        ({"overlap": 0.5}, "overlap"),
        ({"widest": 1.5}, "widest"),
        ({"reference": [0.5]}, "reference"),
    ],
)
def test_bad_input_is_refused_by_name(changed: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"probability": [0.5, 0.5], "outcome": [0, 1], "week": [1, 2]}
    with pytest.raises(ValueError, match=message):
        decide(**good | changed)
