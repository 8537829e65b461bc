"""Alembic's environment: migrates the platform's tables on the connection that `seedtest migrate` passes."""

from alembic import context

from seedtest_analytics.database.before_migration import own_schema
from seedtest_analytics.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_type=True,
    version_table="seedtest_alembic_version",
    version_table_schema=own_schema(),
    # One transaction for all revisions: if one refuses a downgrade, the schema stays unchanged.
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
