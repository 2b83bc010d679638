"""Rows of a CSV or Parquet table as texts, by column. Not a reader: names that begin with `_` are not discovered."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ChainError, ExitCode
from data.patches.column_names import meant
from data.printable import shortened

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Row = tuple[str, dict[str, str]]
_SEPARATORS = {";": "semicolons", "\t": "tabs"}
# a table packs well, its paths do not: what declares more in a file of its size holds one value over and over
BOMB_DECLARES = 16 << 20  # bytes, or rows
BOMB_RATIO = 1000
WIDEST_BYTES = 1024  # of a cell of fixed width: each is unpacked, 65,536 at once


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Place ("line 3" of a CSV, "row 2" of Parquet) and stripped cells of every row; an empty text is unknown.

    Columns that are absent are empty; the first of `columns` must be there. Raises ChainError (65).
    """
    for place, cells in _parquet(path, columns) if path.suffix == ".parquet" else _csv(path, columns):
        yield place, {name: cells.get(name, "") for name in columns}


def _csv(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    _refuse_utf16(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(rows, [])]
            _check_header(path, header, columns)
            for cells in rows:
                if not any(map(str.strip, cells)):
                    continue  # as spreadsheets write empty rows
                if len(cells) != len(header):
                    raise ChainError(
                        f"{path} line {rows.line_num} has {len(cells)} cells, the header has {len(header)}",
                        "every row has a cell for every column",
                        "mend the row (quote cells that hold commas)",
                        ExitCode.BAD_DATA,
                    )
                yield f"line {rows.line_num}", dict(zip(header, map(str.strip, cells), strict=True))
        except csv.Error as error:
            raise ChainError(f"{path} line {rows.line_num} is not CSV", str(error), "mend the line",
                             ExitCode.BAD_DATA) from error  # fmt: skip
        except UnicodeDecodeError as error:
            raise ChainError(f"{path} is not UTF-8", f"after line {rows.line_num}: {error.reason}", "save it as UTF-8",
                             ExitCode.BAD_DATA) from error  # fmt: skip


def _refuse_utf16(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(64)
    # without its mark: every other byte of Latin text is NUL
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or start.count(0) > len(start) // 3:
        raise ChainError(f"{path} is UTF-16", "texts are read as UTF-8", 'save it as UTF-8 ("CSV UTF-8")',
                         ExitCode.BAD_DATA)  # fmt: skip


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    # rows counted from 1, as there are no lines
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        about = pq.read_metadata(path)
        schema = about.schema.to_arrow_schema()
        _check_header(path, schema.names, columns)
        known = [name for name in columns if name in schema.names]
        for name in known:
            kind = schema.field(name).type
            wide = pa.types.is_fixed_size_binary(kind) and kind.byte_width > WIDEST_BYTES
            if pa.types.is_nested(kind) or wide:
                raise _not_texts(path, name, kind)
        _refuse_bomb(path, about, known)
        # each text once, as it is stored: a thousand bytes may say one of a megabyte in every row
        with pq.ParquetFile(path, metadata=about, read_dictionary=known) as file:
            first = 1
            for batch in file.iter_batches(columns=known):
                texts = [_texts(path, name, batch.column(name), first) for name in known]
                for row, cells in enumerate(zip(*texts, strict=True), first):
                    yield f"row {row}", dict(zip(known, cells, strict=True))
                first += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise ChainError(f"{path} is truncated or not Parquet", str(error).splitlines()[0][:200], "write it again",
                         ExitCode.BAD_DATA) from error  # fmt: skip


def _refuse_bomb(path: Path, about: "pq.FileMetaData", known: Sequence[str]) -> None:
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    declared = sum(column.total_uncompressed_size for column in columns if column.path_in_schema in known)
    stored = path.stat().st_size
    if max(declared, about.num_rows) > max(BOMB_DECLARES, BOMB_RATIO * stored):
        raise ChainError(
            f"{path} declares {about.num_rows:,} rows of {declared:,} bytes and stores {stored:,}",
            "it holds one value over and over, and no paths of patches",
            "write it again",
            ExitCode.BAD_DATA,
        )


def _texts(path: Path, name: str, values: "pa.Array", first: int) -> list[str]:
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        said = _texts(path, name, values.dictionary, first)
        return [said[code] if code is not None else "" for code in values.indices.to_pylist()]
    if pa.types.is_floating(values.type):
        return _whole_numbers(path, name, values, first)
    try:
        texts: list[str | None] = values.cast(pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise _not_texts(path, name, values.type) from error
    return [(text or "").strip() for text in texts]


def _whole_numbers(path: Path, name: str, values: "pa.Array", first: int) -> list[str]:
    """Texts of floats: pandas turns a column of whole numbers into floats as soon as one is missing (NaN)."""
    # beyond this, two whole numbers share one float
    exact = 2 ** {16: 11, 32: 24, 64: 53}[values.type.bit_width]
    texts = []
    for row, value in enumerate(map(float, (v if v is not None else "nan" for v in values.to_pylist())), first):
        if value != value:
            texts.append("")
        elif value.is_integer() and abs(value) < exact:
            texts.append(str(int(value)))
        else:
            why = "a whole number this large is not exact as a float" if value.is_integer() else "names are texts"
            raise ChainError(
                f"{path} row {row}: column {name!r} holds the number {value!r}",
                f"{why}; of numbers, whole ones below {exact:,} are taken",
                "write the column as texts, from its origin",
                ExitCode.BAD_DATA,
            )
    return texts


def _not_texts(path: Path, name: str, kind: "pa.DataType") -> ChainError:
    return ChainError(f"{path}: column {name!r} holds {shortened(str(kind))}", "a cell is one text, or empty",
                      "write the column as texts", ExitCode.BAD_DATA)  # fmt: skip


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    """Other columns are passed over, but never one that was meant: a patient column lost is a leak."""
    why = f"known columns are {', '.join(columns)}"
    twice = [name for name in header if header.count(name) > 1]
    missed = [name for name in header if name not in columns and meant(name) in set(columns) - set(header)]
    if columns[0] not in header:
        line = ",".join(header)
        used = next((word for mark, word in _SEPARATORS.items() if mark in line), None)
        if used or not missed:
            what = f"has no column {columns[0]!r}" + (f": its first line is {shortened(line)!r}" if line else "")
            todo = f"the first line names the columns: {','.join(columns)}"
            if used:
                why, todo = f"columns are separated by commas, not by {used}", "save it with commas between the columns"
            raise ChainError(f"{path} {what}", why, todo, ExitCode.BAD_DATA)
    if missed:
        what, todo = f"has the column {shortened(missed[0])!r}", f"call it {meant(missed[0])!r}, or rename it apart"
        raise ChainError(f"{path} {what}", why, todo, ExitCode.BAD_DATA)
    if twice:
        raise ChainError(f"{path} has the column {shortened(twice[0])!r} twice", why, "remove one", ExitCode.BAD_DATA)
