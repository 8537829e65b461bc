"""What the published numbers of a simulated home are worth: abilities, change and P beside the cohort's truth.

    make demo && python -m benchmarks.published .dagster

The home's cohort was simulated, so the truth of every student and week is in its folder `cohort/truth`. Nothing of the
platform reads it. Weeks before FIRST_WEEKS have few answers for each item and are printed apart. Each standard error counts a
student once. What all students share, such as the scale of the calibration, comes on top.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm
from sqlalchemy import Engine, text

from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from seedtest_analytics.database.engine import connected_engine
from seedtest_analytics.stats.verification.probabilities import score_probabilities

FIRST_WEEKS = 4
SEED = 20261130
Z_95 = 1.959964
LEVELS = "SELECT user_id, week_start, level, se, change, change_se, answered_at FROM ability_state"
ITEMS = """
    SELECT f.week_start, i.item_id::bigint, i.b FROM mirt_item_params_history AS i INNER JOIN mirt_fit_meta AS f USING (run_id)
    WHERE NOT i.is_anchor AND i.b IS NOT NULL
"""
TOPICS = "SELECT user_id, topic_id, week_start, ability, se, n_answers FROM ability_topic_state"
GOALS = """
    SELECT user_id, week_start, (kpis ->> 'P')::float8 AS p, (kpis ->> 'P_projected')::float8 AS projected,
        (kpis ->> 'sigma')::float8 AS sigma, (kpis ->> 'P_target')::float8 AS target,
        date_trunc('week', (kpis ->> 'P_horizon_date')::timestamp - INTERVAL '1 day')::date AS goal_week
    FROM weekly_kpi
    WHERE kpis ->> 'P_method' = 'normal' AND kpis ->> 'P_horizon_date' IS NOT NULL
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    home = parser.parse_args().home.resolve()
    server = EmbeddedPostgres(home / "postgres")
    server.start()
    engine = connected_engine_of(server)
    weeks = truth(home, "student_weeks").rename(columns={"theta_logit": "truth"})[["user_id", "week_start", "truth"]]
    weeks["week_start"] = pd.to_datetime(weeks["week_start"]).dt.date
    late = sorted(weeks["week_start"].unique())[FIRST_WEEKS]
    for name, keep in (
        (f"the first {FIRST_WEEKS} weeks", lambda day: day < late),
        ("later weeks", lambda day: day >= late),
    ):
        chosen = weeks[weeks["week_start"].map(keep)]
        print(f"\n{name}\n")
        print("| number | n | bias | 95 % intervals cover | more |\n|---|---|---|---|---|")
        levels(engine, chosen, truth(home, "students"))
        topics(engine, chosen, truth(home, "student_topics"))
        goals(engine, weeks, chosen)
    change(engine, weeks, truth(home, "students"))
    items(engine, pd.read_parquet(home / "cohort" / "truth" / "items.parquet"))


def connected_engine_of(server: EmbeddedPostgres) -> Engine:
    """The platform's database on the home's server."""
    from sqlalchemy import make_url

    return connected_engine(make_url(server.url("seedtest")))


def truth(home: Path, name: str) -> pd.DataFrame:
    """A table of the cohort's truth."""
    return pd.concat(pd.read_parquet(path) for path in sorted((home / "cohort" / "truth").glob(f"{name}-*.parquet")))


def read(engine: Engine, query: str) -> pd.DataFrame:
    with engine.connect() as connection:
        return pd.read_sql(text(query), connection)


def row(name: str, found: pd.DataFrame, *, error: pd.Series, se: pd.Series, more: str = "") -> None:
    """Print the bias and the coverage of ``found``, which has a column user_id."""
    bias, covered = (of_students(values, found["user_id"]) for values in (error, error.abs() < Z_95 * se))
    print(
        f"| {name} | {len(error):,} | {bias[0]:+.3f} ± {bias[1]:.3f} | {covered[0]:.3f} ± {covered[1]:.3f} | {more} |"
    )


def of_students(values: pd.Series, user: pd.Series) -> tuple[float, float]:
    """The mean and its standard error, where a student's values go together."""
    mean = float(values.mean())
    off = (values - mean).groupby(user).sum()
    return mean, float(np.sqrt((off**2).sum() * len(off) / max(len(off) - 1, 1)) / len(values))


def levels(engine: Engine, weeks: pd.DataFrame, students: pd.DataFrame) -> None:
    found = read(engine, LEVELS).merge(weeks, on=["user_id", "week_start"])
    growth = found["user_id"].map(students.set_index("user_id")["slope_logit"])
    slow, fast = students["slope_logit"].quantile([1 / 3, 2 / 3])
    error = found["level"] - found["truth"]
    row("level", found, error=error, se=found["se"])
    end = pd.to_datetime(found["week_start"]).dt.tz_localize("UTC") + pd.Timedelta(days=7)
    silent = (end - pd.to_datetime(found["answered_at"], utc=True)).dt.days
    for name, keep in (
        ("an answer in the week", silent < 7),
        ("an answer in the week, slowest third", (silent < 7) & (growth < slow)),
        ("an answer in the week, fastest third", (silent < 7) & (growth > fast)),
        ("silent for more than 56 days", silent > 56),
    ):
        if keep.any():
            row(f"level, {name}", found[keep], error=error[keep], se=found["se"][keep])


def topics(engine: Engine, weeks: pd.DataFrame, deviations: pd.DataFrame) -> None:
    found = (
        read(engine, TOPICS).merge(weeks, on=["user_id", "week_start"]).merge(deviations, on=["user_id", "topic_id"])
    )
    error = found["ability"] - found["truth"] - found["deviation_logit"]
    for name, low, high in (("1 to 4", 1, 4), ("5 to 19", 5, 19), ("20 or more", 20, np.inf)):
        band = found["n_answers"].between(low, high)
        row(f"topic, {name} answers", found[band], error=error[band], se=found["se"][band])


def goals(engine: Engine, weeks: pd.DataFrame, chosen: pd.DataFrame) -> None:
    """P by the Normal formula beside the truth in the week of the goal's day."""
    at_goal = weeks.rename(columns={"week_start": "goal_week"})
    found = read(engine, GOALS).merge(at_goal, on=["user_id", "goal_week"])
    found = found[found["week_start"].isin(set(chosen["week_start"]))].sort_values(["week_start", "user_id"])
    if found.empty:
        return
    given = scored(found["p"], found["truth"] >= found["target"], found["user_id"])
    # The goals of a simulated cohort lie about 0.8 above the student's first level, and P does not learn from that.
    free = np.random.default_rng(SEED).normal(found["truth"].mean(), found["truth"].std(), len(found))
    of_free = norm.cdf((found["projected"] - free) / found["sigma"])
    more = f"{given}; with free goals {scored(of_free, found['truth'] >= free, found['user_id'])}"
    error = found["projected"] - found["truth"]
    row("expected level on the goal's day, and P", found, error=error, se=found["sigma"], more=more)


def scored(probability: ArrayLike, happened: ArrayLike, user: pd.Series) -> str:
    outcome = np.asarray(happened, dtype=np.float64)
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    base = np.full(len(outcome), outcome.mean())
    score = score_probabilities(clipped, outcome, baseline=base, clusters=user.to_numpy())
    return f"Brier {score.brier:.3f}, slope {score.calibration_slope:.2f} ± {score.calibration_slope_se:.2f}"


def change(engine: Engine, weeks: pd.DataFrame, students: pd.DataFrame) -> None:
    """The change between windows of 14 days beside that of the truth.

    A student's true ability is a line, and each week lies beside it by chance. The line is what lasts.
    """
    level = weeks.pivot_table(index="user_id", columns="week_start", values="truth")
    window = level.T.rolling(2).mean().T
    happened = pd.Series((window - window.shift(2, axis=1)).stack(), name="happened").reset_index()
    found = read(engine, LEVELS).dropna(subset=["change"]).merge(happened, on=["user_id", "week_start"])
    lasting = 2.0 * found["user_id"].map(students.set_index("user_id")["slope_logit"])
    print("\n| change in two weeks | n | bias | 95 % intervals cover | more |\n|---|---|---|---|---|")
    for name, truth_of in (("the line", lasting), ("the weeks", found["happened"])):
        correlation = np.corrcoef(found["change"], truth_of)[0, 1]
        error, more = found["change"] - truth_of, f"correlation {correlation:.2f}"
        row(f"beside that of {name}", found, error=error, se=found["change_se"], more=more)


def items(engine: Engine, bank: pd.DataFrame) -> None:
    """The slope of the true difficulties on those of each week's calibration, which are posterior means; 1 is right."""
    found = read(engine, ITEMS).merge(bank.astype({"item_id": "int64"}), on="item_id")
    print("\nslope of the true b on b, anchors left out:")
    for week, of in found.groupby("week_start"):
        print(week, round(float(np.polyfit(of["b"], of["difficulty_logit"], 1)[0]), 2))


if __name__ == "__main__":
    main()
