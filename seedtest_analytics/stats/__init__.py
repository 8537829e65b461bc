"""Pure statistics: arrays and frames in, frozen dataclasses out. No Dagster, no SQL, no clock, no files."""
