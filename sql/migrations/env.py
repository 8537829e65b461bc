"""Alembic's environment: the platform's tables on the connection that `seedtest migrate` hands over."""

from alembic import context

from seedtest_analytics.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_type=True,
    version_table="seedtest_alembic_version",
    # All revisions or none: a downgrade that one of them refuses leaves the schema as it was.
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
