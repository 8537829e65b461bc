"""Types of values in JSON that other programs may have written: what has another type counts as missing."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from seedtest_analytics.reporting.document_base import number_or_none


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count_or_none(value: Any) -> int | None:
    number = number_or_none(value)
    return None if number is None or number < 0 else round(number)


def _bool_or_none(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def object_or_empty(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def object_or_none(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


FoundNumber = Annotated[float | None, BeforeValidator(number_or_none)]
FoundCount = Annotated[int | None, BeforeValidator(_count_or_none)]
FoundText = Annotated[str | None, BeforeValidator(_text_or_none)]
FoundBool = Annotated[bool | None, BeforeValidator(_bool_or_none)]
FoundTexts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
FoundObject = Annotated[dict[str, Any], BeforeValidator(object_or_empty)]
