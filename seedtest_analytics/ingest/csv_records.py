"""Cut the lines of a CSV file into records, without the parser, so that the parser's rows can be counted.

A quoted value may span lines. A quotation mark that nothing closes would swallow all rows after it, so a value does not
extend over a line that is a row by itself: its own line is rejected, and the following lines are rows again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seedtest_analytics.ingest.csv_text import Dialect
from seedtest_analytics.ingest.other_times import iso_time

MAX_VALUE_LINES = 500
"""A quoted value of more lines is taken for an unbalanced quotation mark."""

_QUOTED = re.compile(rb'"(?:[^"]++|"")*+"')
_CLOSING = re.compile(rb'(?:[^"]++|"")*+"')
_DATE = re.compile(rb"\s*\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class RowTest:
    """Whether a line is a row by itself: as many fields as the header, an item, and a time of any known form.

    Without positions of item and time, the number of fields decides.
    """

    dialect: Dialect
    n_fields: int
    item: int | None = None
    time: int | None = None

    def __call__(self, line: bytes) -> bool:
        """Whether the line is a row."""
        mark = self.dialect.delimiter.encode()
        if line.count(mark) < self.n_fields - 1 or (b'"' in line and _ends_in_quotes(line, self.dialect)):
            return False
        fields = _fields(line, mark)
        if len(fields) != self.n_fields:
            return False
        return (self.item is None or bool(fields[self.item].strip())) and (
            self.time is None or _is_time(fields[self.time])
        )

    def are_mostly_rows(self, lines: Sequence[bytes]) -> bool:
        """Whether more than half of the lines have as many delimiters as the header.

        This count knows nothing of marks and values, so it also finds rows whose times no reader knows.
        """
        mark = self.dialect.delimiter.encode()
        return 2 * sum(line.count(mark) == self.n_fields - 1 for line in lines) > len(lines)


@dataclass(frozen=True)
class Records:
    """Records of a block. ``unbalanced`` are the lines, by their place among all records, whose quoted value never ends.

    ``rest`` are the lines of the last record if the block ends within it.
    """

    data: bytes
    places: np.ndarray
    unbalanced: Sequence[tuple[int, bytes]] = ()
    rest: bytes = b""

    @property
    def count(self) -> int:
        """Number of records, unbalanced ones included."""
        return len(self.places) + len(self.unbalanced)


def without_padding(block: bytes, dialect: Dialect) -> bytes:
    """The block without the blanks beside delimiters, quoted values excepted."""
    mark = re.escape(dialect.delimiter.encode())
    return re.sub(rb'("[^"]*")|(?<=' + mark + rb") +| +(?=" + mark + rb"|\n)", rb"\1", block)


def lines_as_records(block: bytes) -> Records | None:
    """One record per line that is not empty; None if a line has an odd number of quotation marks."""
    if b'"' in block and _has_odd_line(block):
        return None
    data = re.sub(rb"\n{2,}", b"\n", block).removeprefix(b"\n") if b"\n\n" in block or block[:1] == b"\n" else block
    return Records(data, np.arange(data.count(b"\n")))


def _has_odd_line(block: bytes) -> bool:
    codes = np.frombuffer(block, np.uint8)
    ends, quotes = np.flatnonzero(codes == ord("\n")), np.flatnonzero(codes == ord('"'))
    per_line = np.bincount(np.searchsorted(ends, quotes), minlength=1)
    return bool((per_line % 2).any())


def split_records(block: bytes, *, is_row: RowTest, is_last: bool) -> Records:
    """Records of a block line by line. If ``is_last`` is false, an open record at the end is left for the next block."""
    lines = block.split(b"\n")[:-1]
    kept: list[bytes] = []
    places: list[int] = []
    unbalanced: list[tuple[int, bytes]] = []
    rest, number = b"", 0
    while number < len(lines):
        line, end = lines[number], number
        if not line:
            number += 1
            continue
        place = len(places) + len(unbalanced)
        if b'"' in line and _ends_in_quotes(line, is_row.dialect):
            found = _last_line(lines, number, is_row=is_row)
            if found is None and not is_last and len(lines) - number <= MAX_VALUE_LINES:
                rest = b"\n".join(lines[number:]) + b"\n"
                break
            if not found:
                unbalanced.append((place, line))
                number += 1
                continue
            end = found
        kept.append(b"\n".join(lines[number : end + 1]))
        places.append(place)
        number = end + 1
    data = b"\n".join(kept) + b"\n" if kept else b""
    return Records(data, np.array(places, np.int64), unbalanced=unbalanced, rest=rest)


def _last_line(lines: Sequence[bytes], first: int, *, is_row: RowTest) -> int | None:
    """The line that ends the record that begins at ``first``; 0 if it never ends, None if the lines do not tell."""
    for number in range(first + 1, min(len(lines), first + MAX_VALUE_LINES)):
        if is_row(lines[number]):
            return 0
        if not _ends_in_quotes(lines[number], is_row.dialect, begins_in_quotes=True):
            return 0 if is_row.are_mostly_rows(lines[first : number + 1]) else number
    return None


def _ends_in_quotes(line: bytes, dialect: Dialect, *, begins_in_quotes: bool = False) -> bool:
    """Whether the end of a line is within a quoted value. A mark in the middle of a value is text, as for the parser."""
    mark, position = dialect.delimiter.encode(), 0
    if begins_in_quotes:
        closing = _CLOSING.match(line)
        if closing is None:
            return True
        position = line.find(mark, closing.end()) + 1
        if position == 0:
            return False
    while True:
        if line[position : position + 1] == b'"':
            quoted = _QUOTED.match(line, position)
            if quoted is None:
                return True
            position = quoted.end()
        position = line.find(mark, position) + 1
        if position == 0:
            return False


def _is_time(value: bytes) -> bool:
    if _DATE.match(value):
        return True
    text = value.decode("utf-8", "replace")
    return any(iso_time(text, order) is not None for order in ("dmy", "mdy"))


def _fields(line: bytes, mark: bytes) -> list[bytes]:
    """The values of a balanced line, without their quotation marks."""
    if b'"' not in line:
        return line.split(mark)
    fields, position = [], 0
    while True:
        quoted = _QUOTED.match(line, position)
        end = line.find(mark, quoted.end() if quoted else position)
        value = line[position:] if end < 0 else line[position:end]
        fields.append(value.strip(b'"') if quoted else value)
        if end < 0:
            return fields
        position = end + len(mark)
