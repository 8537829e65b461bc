"""Comments of a growth fit name what earlier fits gave it.

Revision: 0032, after 0031.
"""

from alembic import op

from seedtest_analytics.database.migrations import replace_comments

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

COMMENTS = (
    (
        "growth_brms_meta",
        "priors",
        "Priors of the fit: {intercept, week, sd, sigma, cor}.",
        "Priors of the fit: {intercept, week, sd, sigma, cor, sd_week}.",
    ),
    (
        "growth_brms_meta",
        "model_spec",
        "{family, method, score_source, score_unit, lookback_weeks, first_week, students, seed, …}.",
        "{family, method, score_source, score_unit, lookback_weeks, history_weeks, priors_from, first_week, students, …}.",
    ),
)


def upgrade() -> None:
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
