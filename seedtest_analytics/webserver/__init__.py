"""Dagster's webserver as the platform runs it: behind a guard."""
