"""The reader's language: catalogues of messages, and the language that the page being rendered speaks.

A message is written in English where it is used, as ``say("Work on {topic} first.", topic=…)``. A catalogue
``catalogues/<language>.po`` has its translation. English needs none. Adding a language means adding a catalogue.
Numbers and dates follow the CLDR locale of the language (``wording``).
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from seedtest_analytics.reporting.particles import KoreanFormatter

CATALOGUES = Path(__file__).parent / "catalogues"
SOURCE_LANGUAGE = "en"
_LOCALES = {"en": "en_GB"}
"""The CLDR locale of a language where it is not the language itself: day before month, as in "3 Nov 2025"."""


@dataclass(frozen=True)
class Language:
    """A language that the reports speak."""

    code: str
    locale: Locale
    translations: gettext.NullTranslations = field(repr=False)

    def message(self, message: str) -> str:
        """The translation of a message, with its placeholders."""
        return self.translations.gettext(message)

    def plural(self, singular: str, plural: str, *, n: int) -> str:
        """The form for the number ``n``."""
        return self.translations.ngettext(singular, plural, n)


def languages() -> tuple[str, ...]:
    """Codes of the languages, English first."""
    return SOURCE_LANGUAGE, *sorted(path.stem for path in CATALOGUES.glob("*.po") if path.stem != SOURCE_LANGUAGE)


@lru_cache
def language(code: str) -> Language:
    """The language of a code; KeyError where there is no catalogue."""
    if code not in languages():
        raise KeyError(f"no catalogue for the language {code!r}; there are {', '.join(languages())}")
    locale = Locale.parse(_LOCALES.get(code, code))
    if code == SOURCE_LANGUAGE:
        return Language(code, locale, translations=gettext.NullTranslations())
    with (CATALOGUES / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Language(code, locale, translations=gettext.GNUTranslations(compiled))


def known_language(tag: str | None, default: str) -> str:
    """The language of a tag such as ``ko-KR`` or ``ko_KR``; ``default`` for none and for one without a catalogue."""
    code = (tag or "").strip().replace("_", "-").partition("-")[0].lower()
    return code if code in languages() else default


_current: ContextVar[Language | None] = ContextVar("report_language", default=None)
_formatter = KoreanFormatter()


def current() -> Language:
    """The language that is spoken now; English unless :func:`use` or :func:`speaking` chose another."""
    return _current.get() or language(SOURCE_LANGUAGE)


def use(code: str) -> None:
    """Speak this language from now on: for the first cell of a template, which has its own process or context."""
    _current.set(language(code))


@contextmanager
def speaking(chosen: str | Language) -> Iterator[Language]:
    """Speak this language inside the block."""
    token = _current.set(language(chosen) if isinstance(chosen, str) else chosen)
    try:
        yield current()
    finally:
        _current.reset(token)


def marked(message: str) -> str:
    """Mark a message of a table of words for the catalogue; :func:`say` translates it where it is shown."""
    return message


def say(message: str, **values: Any) -> str:
    """The message in the reader's language with its values, which may be markup."""
    found = current().message(message)
    return _formatter.vformat(found, (), values) if values else found


def say_n(singular: str, plural: str, n: int, **values: Any) -> str:  # noqa: PLR0917  (the order of ngettext)
    """The message in the form for ``n``. The number is shown by the placeholder ``{n}``."""
    shown = format_decimal(n, format="#,##0", locale=current().locale)
    return _formatter.vformat(current().plural(singular, plural, n=n), (), {"n": shown, **values})
