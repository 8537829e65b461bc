"""Korean particles (josa), whose form depends on the last sound of the word before them.

A catalogue writes the two forms after the placeholder's name, the one after a consonant first: ``{topic:을/를}``,
``{n:이/가}``, ``{goal:으로/로}``. The form is chosen when the value is known.
"""

from __future__ import annotations

import html
import re
import string
import unicodedata
from typing import Any, Literal

Ending = Literal["vowel", "rieul", "consonant", "unknown"]

_TAG = re.compile(r"<[^>]*>")
_FIRST_SYLLABLE, _LAST_SYLLABLE, _FINALS, _FINAL_RIEUL = 0xAC00, 0xD7A3, 28, 8
_DIGITS: dict[str, Ending] = {
    **dict.fromkeys("036", "consonant"),  # 영/십/백/천/만, 삼, 육
    **dict.fromkeys("178", "rieul"),  # 일, 칠, 팔
    **dict.fromkeys("2459", "vowel"),  # 이, 사, 오, 구
}
_LETTER_NAMES: dict[str, Ending] = {**dict.fromkeys("LR", "rieul"), **dict.fromkeys("MN", "consonant")}
_SYMBOLS: dict[str, Ending] = {"%": "vowel", "℃": "vowel", "점": "consonant"}
_LONGEST_ACRONYM = 5
_SHORT_SYLLABLE_STOP = re.compile(r"(^|[^aeiouy])([aeiou]|oo)[bcgkpt]$")


def ending(word: str) -> Ending:
    """How the last sound of ``word`` (plain text) ends, as a Korean reader would say it.

    Digits are read as numbers and capitals as letters. Latin words follow how they are written in Korean: final l is
    ㄹ, m, n and ng are consonants, and a stop after a short vowel is one ("book", "map"); others get a vowel ("test").
    """
    said = unicodedata.normalize("NFC", word).rstrip()
    # The particle follows the word before a bracket: 11월 21일 (토).
    said = re.sub(r"\s+\([^()]*\)$", "", said) or said
    while said and not (said[-1].isalnum() or said[-1] in _SYMBOLS):
        said = said[:-1].rstrip()
    if not said:
        return "unknown"
    last = said[-1]
    if _FIRST_SYLLABLE <= ord(last) <= _LAST_SYLLABLE:
        final = (ord(last) - _FIRST_SYLLABLE) % _FINALS
        return "vowel" if final == 0 else "rieul" if final == _FINAL_RIEUL else "consonant"
    if last in _SYMBOLS:
        return _SYMBOLS[last]
    if last.isdigit() and last.isascii():
        return _DIGITS[last]
    found = re.search(r"[A-Za-z]+$", said)
    return _latin_ending(found[0]) if found else "unknown"


def _latin_ending(word: str) -> Ending:
    if len(word) == 1 or (word.isupper() and len(word) <= _LONGEST_ACRONYM):
        return _LETTER_NAMES.get(word[-1].upper(), "vowel")
    lower = word.lower()
    if lower.endswith(("l", "le")):
        return "rieul"
    if lower.endswith(("m", "n", "ng")) or _SHORT_SYLLABLE_STOP.search(lower):
        return "consonant"
    return "vowel"


def particle(word: str, forms: str) -> str:
    """The form of ``forms`` ("을/를") after ``word``; both, as "을(를)", where the sound is not known.

    ``으로/로`` takes the second form after ㄹ too.
    """
    after_consonant, after_vowel = forms.split("/")
    sound = ending(word)
    if sound == "unknown":
        return f"{after_consonant}({after_vowel})"
    takes_vowel_form = sound == "vowel" or (sound == "rieul" and after_consonant.startswith("으"))
    return after_vowel if takes_vowel_form else after_consonant


def plain(markup: str) -> str:
    """The words of markup."""
    return html.unescape(_TAG.sub("", markup))


class KoreanFormatter(string.Formatter):
    """Formats ``{name}`` and ``{name:을/를}``. A message without particles is formatted as by ``str.format``."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """The value, followed by its particle where the specification has one."""
        if "/" not in format_spec:
            return str(super().format_field(value, format_spec))
        return f"{value}{particle(plain(str(value)), format_spec)}"
