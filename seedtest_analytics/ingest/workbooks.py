"""Sheets of workbooks as rows of texts."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from seedtest_analytics.ingest.cells import cell_text
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.expansion import Allowance

MAX_CELLS = 50_000_000
"""Cells of a workbook: its reader takes memory for each cell of the rectangle, also for empty ones."""
_PARTS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_CELL = re.compile(rb'<c\b[^>]{0,99}?\br="([A-Z]{1,3})(\d{1,7})"')
_CELL_BYTES = 128
_CHUNK_BYTES = 1 << 20


def is_workbook(path: Path) -> bool:
    """Whether a zip archive has the parts of a workbook."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(part in archive.namelist() for part in _PARTS)
    except (zipfile.BadZipFile, OSError):
        return False


def check_workbook(path: Path, name: str, *, allowance: Allowance) -> None:
    """Raises :class:`LoadError` for a workbook that would use up the memory."""
    with zipfile.ZipFile(path) as archive:
        allowance.take(sum(entry.file_size for entry in archive.infolist()))
        sheets = [entry for entry in archive.infolist() if _SHEET.fullmatch(entry.filename)]
        for sheet in sheets:
            rows, columns, end = 0, 0, b""
            with archive.open(sheet) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    for letters, number in _CELL.findall(end + chunk):
                        rows, columns = max(rows, int(number)), max(columns, _column_number(letters))
                    end = chunk[-_CELL_BYTES:]
            if rows * columns > MAX_CELLS:
                raise LoadError(
                    f"{name}: a sheet has {rows:,} rows and {columns:,} columns, more than {MAX_CELLS:,} cells; save its rows "
                    "as CSV"
                )


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number


def workbook_rows(path: Path, name: str, *, sheet: str | None, notes: list[str]) -> Iterator[Mapping[str, str | None]]:
    """Rows of one sheet; its header is the first row with two cells or more."""
    from python_calamine import CalamineError, load_workbook

    try:
        book = load_workbook(path)
        used = [n for n in book.sheet_names if book.get_sheet_by_name(n).height > 1]
        if sheet is not None and sheet not in book.sheet_names:
            raise LoadError(f"{name}: has no sheet {sheet!r}; its sheets are {', '.join(book.sheet_names)}")
        chosen = sheet or next(iter(used), book.sheet_names[0])
        cells = book.get_sheet_by_name(chosen).iter_rows()
    except CalamineError as error:
        raise LoadError(f"{name}: cannot be read as a workbook: {error}. Save it as .xlsx or CSV.") from None
    if len(used) > 1 and sheet is None:
        notes.append(
            f"{name}: the sheet {chosen} is loaded, not {', '.join(n for n in used if n != chosen)}; see --sheet"
        )
    header: list[str] | None = None
    for row in cells:
        values = [cell_text(value) for value in row]
        if header is None:
            if sum(value is not None for value in values) >= 2:
                header = [(value or "").strip() for value in values]
        elif any(value is not None for value in values):
            yield {key: value for key, value in zip(header, values, strict=False) if key}
        else:
            yield dict.fromkeys(filter(None, header))
