"""Dagster resources (database, object store, Stan, R, Quarto) and their private parts. All of them are lazy."""
