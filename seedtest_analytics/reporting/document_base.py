"""What the data files of all pages have in common: types of numbers, validation, and errors that quote no value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


class ReportDocumentError(ValueError):
    """The data of a report breaks the contract. The message names fields and never quotes a student's values."""


def none_for_not_finite(value: Any) -> Any:
    """Data frames write NaN or infinity for "missing"; a report has None there."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(none_for_not_finite)]
Share = Annotated[float | None, Field(ge=0, le=1), BeforeValidator(none_for_not_finite)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Document(Part):
    """The data file of a page."""

    @classmethod
    def validated(cls, data: Any) -> Self:
        """Check data from a database (dict, Decimal, date) or from JSON; raise :class:`ReportDocumentError`."""
        return cls._checked(cls.model_validate, data)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what :meth:`to_json` wrote; raise :class:`ReportDocumentError`."""
        return cls._checked(cls.model_validate_json, text)

    def to_json(self) -> bytes:
        """The data file in UTF-8; equal documents give equal bytes."""
        return self.model_dump_json(by_alias=True).encode()

    @classmethod
    def _checked(cls, validate: Callable[[Any], Self], data: Any) -> Self:
        try:
            return validate(data)
        except ValidationError as error:
            raise ReportDocumentError(explained(error)) from None


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite number; a bool is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number_or_none(value: Any) -> float | None:
    """``value`` as a float; None where it is not a finite number."""
    return float(value) if is_number(value) else None


def explained(error: ValidationError) -> str:
    """Which fields are wrong and why, without their values: those are a student's data."""
    details = error.errors(include_input=False, include_context=False, include_url=False)
    shown = [f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}" for e in details[:5]]
    more = f"; and {len(details) - 5} more" if len(details) > 5 else ""
    return f"the report's data is not valid: {'; '.join(shown)}{more}"
