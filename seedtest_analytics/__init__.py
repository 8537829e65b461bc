"""Learning analytics as one Dagster asset graph over PostgreSQL."""
