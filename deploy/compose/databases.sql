-- The image of PostgreSQL makes the database seedtest; Dagster's tables have their own.
CREATE DATABASE dagster;
