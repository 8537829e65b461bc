"""Tables and plots of a mixed model for the UI."""

from __future__ import annotations

from typing import Any

from seedtest_analytics.assets.framework.preview import histogram, markdown_table
from seedtest_analytics.stats.mixed_model.result import MixedModelFit, growth_slopes


def fit_metadata(fit: MixedModelFit) -> dict[str, Any]:
    """Estimates, variance components, spread of the random effects, errors, and the distribution of students' slopes."""
    metadata: dict[str, Any] = {
        "fixed_effects": markdown_table(
            ["effect", "estimate", "SE", "t or z"], [[e.name, e.estimate, e.se, e.statistic] for e in fit.fixed_effects]
        ),
        "variance_components": markdown_table(
            ["group", "term", "variance or covariance", "SD or correlation"],
            [
                [c.group, " × ".join(t for t in (c.term, c.other_term) if t), c.variance, c.sd_or_correlation]
                for c in fit.variance_components
            ],
        ),
        "random_effects": markdown_table(
            ["group", "term", "levels", "2.5 %", "25 %", "median", "75 %", "97.5 %"],
            [
                [group, term, effects["levels"], *quantiles.values()]
                for group, effects in fit.metrics()["random_effects"].items()
                for term, quantiles in effects["terms"].items()
            ],
        ),
        "quality": markdown_table(
            ["logLik", "AIC", "BIC", "RMSE in the sample", "RMSE held out", "RMSE of the mean"],
            [
                [
                    fit.log_likelihood,
                    fit.aic,
                    fit.bic,
                    fit.rmse,
                    fit.held_out.rmse if fit.held_out else None,
                    fit.held_out.rmse_of_mean if fit.held_out else None,
                ]
            ],
        ),
    }
    try:
        slopes = growth_slopes(fit, "student")
    except ValueError:  # the formula has no slope for each student
        return metadata
    unit = "share right a week" if fit.family == "gaussian" else "logit a week"
    metadata["slopes"] = histogram(slopes.slope.tolist(), f"Gain of {len(slopes.slope):,} students", label=unit)
    return metadata
