"""lme4 through the R resource: agreement with reference results, and the diagnostics of a fit."""

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.resources.r.mixed_model import MixedModelOptions, fit_mixed_model
from seedtest_analytics.resources.r.session import RSession
from seedtest_analytics.stats.mixed_model.data import MixedModelDataError, held_out_rows
from seedtest_analytics.stats.mixed_model.result import growth_slopes
from tests._shared import shared
from tests._waits import LIMIT_SECONDS

pytestmark = pytest.mark.r

GROWTH = "score ~ week + (week | student_id)"
TOPICS = "score ~ week + (week | student_id) + (1 | topic)"
SLEEP = "Reaction ~ Days + (Days | Subject)"
REFERENCES = {
    "sleepstudy_reml": ("mixed_model/sleepstudy.csv", SLEEP),
    "sleepstudy_ml": ("mixed_model/sleepstudy.csv", SLEEP),
    "growth_200_reml": ("growth/growth_200.csv", GROWTH),
    "growth_200_ml": ("growth/growth_200.csv", GROWTH),
    "topics_500_reml": ("mixed_model/growth_topics_500.csv", TOPICS),
    "topics_500_ml": ("mixed_model/growth_topics_500.csv", TOPICS),
}
# Four digits; the log-likelihood must agree more closely, because it is flat at its maximum.
FOUR_DIGITS = 5e-5


@pytest.fixture(scope="module")
def r():
    with RSession(timeout_seconds=LIMIT_SECONDS) as session:
        yield session


@cache
def rows_of(path):
    return pd.read_csv(shared(f"reference/{path}"))


def reference(name):
    return json.loads(shared("reference/mixed_model/lme4_refs_tight.json").read_text())[name]


def fitted(r, rows, **options):
    return fit_mixed_model(r, rows, options=MixedModelOptions(**options))


@pytest.mark.reference
@pytest.mark.parametrize("name", REFERENCES)
def test_agrees_with_lme4_to_four_digits(r, name):
    path, formula = REFERENCES[name]
    expected = reference(name)
    fit = fitted(r, rows_of(path), formula=formula, reml=expected["REML"], held_out_share=0)
    assert fit.log_likelihood == pytest.approx(expected["logLik"], abs=1e-6)
    assert fit.aic == pytest.approx(expected["AIC"], abs=1e-5)
    assert fit.bic == pytest.approx(expected["BIC"], abs=1e-5)
    assert fit.n_rows == expected["nobs"]
    assert {e.name: e.estimate for e in fit.fixed_effects} == pytest.approx(expected["fixef"], rel=FOUR_DIGITS)
    assert {e.name: e.se for e in fit.fixed_effects} == pytest.approx(expected["fixef_se"], rel=FOUR_DIGITS)
    assert fit.residual_sd == pytest.approx(expected["sigma"], rel=FOUR_DIGITS)
    components = {(c.group, c.term, c.other_term): c for c in fit.variance_components}
    for part in expected["varcorr"]:
        component = components[part["grp"], part["var1"], part["var2"]]
        assert component.variance == pytest.approx(part["vcov"], rel=FOUR_DIGITS)
        assert component.sd_or_correlation == pytest.approx(part["sdcor"], rel=FOUR_DIGITS)
    for group, levels in expected["ranef"].items():
        effects = next(e for e in fit.random_effects if e.group == group)
        for level, values in levels.items():
            at, deviations = effects.levels.index(level), effects.values  # noqa: PD011 - a field, not pandas
            scale = effects.conditional_sd[at]
            assert effects.terms == tuple(values["values"])
            np.testing.assert_allclose(
                deviations[at] / scale,
                np.array([values["values"][term] for term in effects.terms]) / scale,
                atol=FOUR_DIGITS,
            )
            np.testing.assert_allclose(effects.conditional_sd[at], values["cond_sd"], rtol=FOUR_DIGITS)
    assert fit.has_converged
    assert not fit.is_singular
    assert fit.criterion == ("REML" if expected["REML"] else "ML")
    assert fit.backend.startswith("lme4 ")


def simulated(n_students, n_weeks, seed, slope_sd=0.05, noise_sd=0.1):
    """Students with intercept SD 0.2 and slopes of mean 0.03 per week and SD ``slope_sd``."""
    rng = np.random.default_rng(seed)
    student, week = np.repeat(np.arange(n_students), n_weeks), np.tile(np.arange(n_weeks), n_students)
    intercept, slope = 0.2 * rng.normal(size=n_students), 0.03 + slope_sd * rng.normal(size=n_students)
    score = 0.4 + intercept[student] + slope[student] * week + noise_sd * rng.normal(size=student.size)
    return pd.DataFrame({"student": [f"s{i}" for i in student], "week": week, "score": score}), slope


def test_recovers_slopes_of_students(r):
    rows, slope = simulated(150, 10, seed=11)
    fit = fitted(r, rows, formula="score ~ week + (week | student)", held_out_share=0)
    slopes = growth_slopes(fit, "student")
    truth = slope[[int(s[1:]) for s in slopes.student_ids]]
    z = (slopes.slope - truth) / slopes.conditional_sd
    assert abs(z.mean()) < 4 / np.sqrt(150)
    assert 0.85 < z.std() < 1.15
    with pytest.raises(ValueError, match="no random slope of week for topic"):
        growth_slopes(fit, "topic")


def test_held_out_error_is_of_unseen_weeks(r):
    rows, _ = simulated(60, 8, seed=12)
    fit = fitted(r, rows, formula="score ~ week + (week | student)", held_out_share=0.25, seed=5)
    assert fit.held_out.n_rows == 120
    assert fit.held_out.n_new_level_rows == 0
    assert fit.rmse < fit.held_out.rmse < fit.held_out.rmse_of_mean
    # SD of the noise plus the uncertainty about a student, within two standard errors of an RMSE of 120 rows.
    assert fit.held_out.rmse == pytest.approx(0.115, abs=0.02)


def test_students_without_other_rows_are_counted(r):
    rows, _ = simulated(40, 6, seed=13)
    visitors = pd.DataFrame({"student": [f"new{i}" for i in range(30)], "week": 1, "score": 0.4})
    rows = pd.concat([rows, visitors], ignore_index=True)
    fit = fitted(r, rows, formula="score ~ week + (1 | student)", held_out_share=0.5, seed=2)
    held_out = held_out_rows(rows["student"], rows["week"], share=0.5, seed=2)
    seen = set(rows["student"][~held_out])
    assert fit.held_out.n_new_level_rows == sum(s not in seen for s in rows["student"][held_out]) > 0


def test_singular_fit_says_so(r):
    rows, _ = simulated(30, 5, seed=14, slope_sd=0.0)
    rows["score"] = np.random.default_rng(1).normal(size=len(rows))
    fit = fitted(r, rows, formula="score ~ week + (week | student)", held_out_share=0)
    assert fit.is_singular
    assert fit.metrics()["singular"] is True


def test_week_far_from_zero_is_reported_by_lme4_and_kept(r):
    rows, _ = simulated(40, 6, seed=15)
    fit = fitted(r, rows.assign(week=rows["week"] * 1e6), formula="score ~ week + (1 | student)", held_out_share=0)
    assert any("different scales" in text or "scale" in text for text in fit.metrics()["messages"])


def test_uncorrelated_terms(r):
    rows, _ = simulated(60, 8, seed=16)
    fit = fitted(r, rows, formula="score ~ week + (week || student)", held_out_share=0)
    assert [effects.terms for effects in fit.random_effects] == [("(Intercept)", "week")]
    assert all(c.other_term is None for c in fit.variance_components)


def test_binomial_counts_and_single_answers_agree(r):
    """The likelihoods of weekly counts and of single answers differ only by a constant."""
    rng = np.random.default_rng(17)
    n_students, n_weeks, n_answers = 60, 6, 5
    student, week = np.repeat(np.arange(n_students), n_weeks), np.tile(np.arange(n_weeks), n_students)
    logit = -0.5 + rng.normal(size=n_students)[student] + 0.2 * week
    right = rng.uniform(size=(student.size, n_answers)) < 1 / (1 + np.exp(-logit))[:, None]
    counts = pd.DataFrame({"student": student.astype(str), "week": week, "score": right.mean(axis=1), "attempts": 5})
    single = counts.loc[counts.index.repeat(n_answers), ["student", "week"]].assign(score=right.ravel().astype(int))
    of_counts, of_answers = (
        fitted(r, rows, formula="score ~ week + (1 | student)", family="binomial", held_out_share=0)
        for rows in (counts, single)
    )
    weeks = [effect for fit in (of_counts, of_answers) for effect in fit.fixed_effects if effect.name == "week"]
    assert weeks[0].estimate == pytest.approx(weeks[1].estimate, rel=1e-4)
    assert weeks[0].se == pytest.approx(weeks[1].se, rel=1e-3)
    assert abs(weeks[0].estimate - 0.2) < 4 * weeks[0].se
    assert of_counts.criterion == "ML (Laplace)"
    assert of_counts.residual_sd is None


def test_contract_json(r):
    rows, _ = simulated(30, 6, seed=18)
    fit = fitted(r, rows, formula="score ~ week + (week | student)")
    spec, metrics = (json.loads(json.dumps(part, allow_nan=False)) for part in (fit.model_spec(12), fit.metrics()))
    assert {"formula", "family", "lookback_weeks", "rows_count"} <= spec.keys()
    assert spec["lookback_weeks"] == 12
    assert spec["rows_count"] == 180
    assert all(isinstance(metrics[key], float) for key in ("logLik", "AIC", "BIC", "RMSE"))
    assert metrics["held_out"]["unit"] == "student-week"


def test_bad_rows_never_reach_r():
    class NoR:
        def call(self, *args, **kwargs):
            raise AssertionError("R was called")

    rows, _ = simulated(5, 5, seed=19)
    with pytest.raises(MixedModelDataError, match="no column student, week"):
        fitted(NoR(), rows.rename(columns={"student": "s", "week": "w"}), formula="score ~ w + (1 | s)")
    rows.loc[0, "score"] = np.inf
    with pytest.raises(MixedModelDataError, match="score is missing, infinite"):
        fitted(NoR(), rows, formula="score ~ week + (1 | student)")
