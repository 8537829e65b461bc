"""How environment variables become typed fields: declared once, validated once, and named in every error."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

MOST_DAYS, MOST_WEEKS = 36_500, 5_200
"""A century: the calendar does not end within a century before or after a day of the log."""
MOST_SECONDS = 2_147_483
"""PostgreSQL counts the milliseconds of a time limit in an integer of four bytes."""
MOST_ROWS = 2_147_483_647
"""The largest integer of four bytes: for counts of rows, ids and seeds."""


class SettingsError(ValueError):
    """An environment variable or a field of the run configuration has an invalid value."""


class SettingsGroup(BaseModel):
    """Variables that belong together. A field's first alias is the current name of its variable."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _strict_days(cls, value: Any, info: ValidationInfo) -> Any:
        # Pydantic takes a number for the seconds since 1970.
        kind = cls.model_fields[info.field_name or ""].annotation
        is_day = dt.date in (kind, *get_args(kind)) and isinstance(value, str | int | float)
        return iso_day(str(value)) if is_day else value

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read this group's variables. Raises :class:`SettingsError` with each invalid variable, its value and the reason."""
        given = {name: environment[name].strip() for name in cls.variables() if name in environment}
        return cls._validated({name: value for name, value in given.items() if value}, "environment variable")

    def overridden_by(self, values: Mapping[str, Any]) -> Self:
        """Copy with every field of ``values`` that is not None replaced; all fields are validated again."""
        changed = {
            name: value for name, value in values.items() if value is not None and name in type(self).model_fields
        }
        if not changed:
            return self
        return type(self)._validated({**self.model_dump(), **changed}, "run configuration field")

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Field name of each environment variable, aliases included."""
        return {alias: name for name, field in cls.model_fields.items() for alias in _aliases(field.validation_alias)}

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Fields that a single run may override in the launchpad."""
        return tuple(name for name, field in cls.model_fields.items() if field.json_schema_extra)

    @classmethod
    def _validated(cls, values: dict[str, Any], what: str) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError("\n".join(cls._explain(e, values, what=what) for e in error.errors())) from None

    @classmethod
    def _explain(cls, error: Any, values: Mapping[str, Any], *, what: str) -> str:
        location = str(error["loc"][0])
        field_name = cls.variables().get(location, location)
        field = cls.model_fields[field_name]
        names = [n for n in (*_aliases(field.validation_alias), field_name) if n in values]
        secret = field.annotation is not None and "SecretStr" in str(field.annotation)
        value = "(hidden)" if secret else repr(values[names[0]]) if names else "(missing)"
        name = names[0] if names else location
        reason = error["msg"].removeprefix("Value error, ")
        return f"{what} {name} = {value} is not allowed: {reason}. {field.description or ''}".rstrip()


def iso_day(text: str) -> dt.date:
    """The day that a text of the form YYYY-MM-DD names. Raises ValueError for every other form."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass  # such as 2026-02-30
    raise ValueError("it is not a date of the form YYYY-MM-DD, such as 2026-03-01")


def _aliases(alias: Any) -> tuple[str, ...]:
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias,) if alias else ()


def variable(default: Any, *names: str, description: str, **limits: Any) -> Any:
    """Declare a field that is read from the first of ``names`` that is set."""
    return Field(default=default, validation_alias=AliasChoices(*names), description=description, **limits)


def option(default: Any, *names: str, **declaration: Any) -> Any:
    """Declare a :func:`variable` that a single run may override in the launchpad."""
    return variable(default, *names, json_schema_extra={"is_option": True}, **declaration)
