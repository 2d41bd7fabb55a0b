"""Tables of comma-separated values: rows by the names of their columns, with their lines."""

import csv
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from detkit.errors import DataError
from detkit.wording import first_few

DELIMITERS = ",;\t"
Aliases = Dict[str, Tuple[str, ...]]  # {column: the names that a header may give it, in lower case}


class Row(NamedTuple):
    """A row: its place ``file:line`` and the text of each column, without the blanks around it.

    fault: the reason why the row cannot be used, or None.
    """

    where: str
    cells: Dict[str, str]
    fault: Optional[str] = None


def read_rows(file: Path, columns: Aliases, optional: Sequence[str] = ()) -> Iterator[Row]:
    """Yields the rows of a table whose first line names its columns.

    columns: the columns that are read. Case does not count in a header.
    optional: the columns that may be missing; their cells are "".

    Commas, semicolons and tabs separate columns, by what is the most frequent in the header. A row
    of another length has a fault and the cells that it has. Raises DataError for a file that cannot
    be read, that is no table, or without a column that is needed.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            delimiter = max(DELIMITERS, key=header.count)
            names = next(csv.reader([header], delimiter=delimiter), [])
            places = _places(file, names, columns, optional)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for cells in reader:
                where = f"{file}:{reader.line_num + 1}"
                if any(cell.strip() for cell in cells):
                    yield _row(where, cells, places, len(names))
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (csv.Error, ValueError) as error:
        raise DataError(f"{file}: expected a table in UTF-8: {error}") from error


def has_columns(head: bytes, columns: Aliases, optional: Sequence[str] = ()) -> bool:
    """Returns whether the first line of a file names the columns; see read_rows.

    head: the beginning of the file.
    """
    line = head.decode("utf-8-sig", "replace").partition("\n")[0].lower()
    names = {name.strip(' "\r') for name in re.split(f"[{DELIMITERS}]", line)}
    return all(names & {*aliases} for column, aliases in columns.items() if column not in optional)


def rows_by_image(
    file: Path, columns: Aliases, optional: Sequence[str] = ()
) -> Dict[str, List[Row]]:
    """Returns {image: its rows} of a table with a column "image"; see read_rows.

    A row without an image is under its own place, ``file:line``.
    """
    rows: Dict[str, List[Row]] = {}
    for row in read_rows(file, columns, optional):
        rows.setdefault(row.cells["image"] or row.where, []).append(row)
    return rows


def _row(where: str, cells: List[str], places: Dict[str, int], width: int) -> Row:
    known = {
        column: cells[place].strip() if 0 <= place < len(cells) else ""
        for column, place in places.items()
    }
    if len(cells) != width:
        fault = f"{where}: expected {width} columns as in the first line, found {len(cells)}"
        return Row(where, known, fault)
    return Row(where, known)


def _places(
    file: Path, header: List[str], columns: Aliases, optional: Sequence[str]
) -> Dict[str, int]:
    """Returns the place of each column; -1 for one that may be missing and is."""
    names = [name.strip().lower() for name in header]
    places, missing = {}, []
    for column, aliases in columns.items():
        places[column] = next((names.index(each) for each in aliases if each in names), -1)
        if places[column] < 0 and column not in optional:
            missing.append(" or ".join(aliases))
    if missing:
        raise DataError(
            f"{file}:1: expected a first line that names the columns {'; '.join(missing)}, found "
            f"{first_few(names) or 'an empty line'}"
        )
    return places
