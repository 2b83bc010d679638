"""A CSV or Parquet manifest: one row a patch, `path,label,patient,slide,site,split`; any but `path` may be missing."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from data.containment import Root
from data.errors import ChainError, ExitCode
from data.readers._files import read_image_file
from data.readers.base import Reader, Record

COLUMNS = ("path", "label", "patient", "slide", "site", "split")
SPLITS = {
    "": "",
    "train": "train",
    "labelled": "labelled",
    "labeled": "labelled",
    "pool": "pool",
    "unlabelled": "pool",
    "unlabeled": "pool",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


class Manifest(Reader):
    """Image files listed in a table. An empty label means pool."""

    kind: Literal["manifest"] = "manifest"
    path: Annotated[Path, Field(description="the manifest: .csv or .parquet")]
    root: Annotated[Path | None, Field(description="the folder its paths start from; default: the manifest's own")] = (
        None
    )

    def records(self) -> Iterator[Record]:
        """Rows in the manifest's order. Raises ChainError (65, 66) naming the manifest's line."""
        if not self.path.is_file():
            raise self._refused(self.path, "is missing", "no file lies there", "correct `path`", ExitCode.MISSING)
        root = Root(self._root, f"source {self.name}")
        seen: dict[str, int] = {}
        for line, row in _parquet_rows(self.path) if self.path.suffix == ".parquet" else _csv_rows(self.path):
            at = f"{self.path.name} line {line}"
            if not row["path"]:
                raise self._refused(at, "names no path", "every patch is a file", "fill in the path, or remove the row")
            key = root.key(row["path"], at)
            if key in seen:
                raise self._refused(
                    at, f"names {key} again", f"line {seen[key]} is the same patch", "remove one of the rows"
                )
            seen[key] = line
            if not (self._root / key).is_file():
                raise self._refused(
                    at, f"names {key}, which is missing", f"no such file below {self._root}",
                    "correct the path or `root`, or remove the row", ExitCode.MISSING,
                )  # fmt: skip
            split = SPLITS.get(row["split"].lower())
            if split is None:
                raise self._refused(
                    at, f"has the split {row['split']!r}", f"known are {', '.join(filter(None, SPLITS))}", "correct it"
                )
            yield Record(key, row["label"], row["patient"], row["slide"], row["site"], split)

    def content(self, record: Record) -> bytes:
        """The file's bytes. Raises BadPatch when it is too large or unreadable."""
        return read_image_file(self._root / record.key)

    @property
    def _root(self) -> Path:
        return self.path.parent if self.root is None else self.root

    def _refused(
        self, where: str | Path, what: str, why: str, todo: str, code: ExitCode = ExitCode.BAD_DATA
    ) -> ChainError:
        return ChainError(f"source {self.name}: {where} {what}", why, todo, code)


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(rows, [])]
            _check_header(path, header)
            for cells in rows:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise ChainError(
                        f"{path} line {rows.line_num} has {len(cells)} cells, the header has {len(header)}",
                        "every row has a cell for every column",
                        "mend the row (quote cells that hold commas)",
                        ExitCode.BAD_DATA,
                    )
                yield rows.line_num, _row(dict(zip(header, cells, strict=True)))
        except csv.Error as error:
            raise ChainError(f"{path} line {rows.line_num} is not CSV", str(error), "mend the line",
                             ExitCode.BAD_DATA) from error  # fmt: skip
        except UnicodeDecodeError as error:
            raise ChainError(f"{path} is not UTF-8", f"after line {rows.line_num}: {error.reason}", "save it as UTF-8",
                             ExitCode.BAD_DATA) from error  # fmt: skip


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows counted from 1, as there are no lines."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_header(path, file.schema_arrow.names)
            known = [name for name in COLUMNS if name in file.schema_arrow.names]
            rows = itertools.count(1)
            for batch in file.iter_batches(columns=known):
                columns = [pc.fill_null(batch.column(i).cast(pa.string()), "").to_pylist() for i in range(len(known))]
                for cells in zip(*columns, strict=True):
                    yield next(rows), _row(dict(zip(known, cells, strict=True)))
    except (pa.ArrowException, OSError) as error:
        raise ChainError(f"{path} is truncated or not Parquet", str(error).splitlines()[0][:200], "write it again",
                         ExitCode.BAD_DATA) from error  # fmt: skip


def _row(cells: dict[str, str]) -> dict[str, str]:
    return {name: cells.get(name, "").strip() for name in COLUMNS}


def _check_header(path: Path, header: list[str]) -> None:
    """Other columns are passed over, but never one that was meant: a patient column lost is a leak."""
    twice = [name for name in header if header.count(name) > 1]
    missed = [name for name in header if name not in COLUMNS and _meant(name) in set(COLUMNS) - set(header)]
    if "path" not in header or twice or missed:
        if missed:
            what, todo = f"has the column {missed[0]!r}", f"call it {_meant(missed[0])!r}, or rename it apart"
        elif twice:
            what, todo = f"has the column {twice[0]!r} twice", "remove one"
        else:
            what, todo = "has no column 'path'", f"the first line names the columns: {','.join(COLUMNS)}"
        raise ChainError(f"{path} {what}", f"known columns are {', '.join(COLUMNS)}", todo, ExitCode.BAD_DATA)


def _meant(name: str) -> str:
    plain = name.strip().lower().replace("-", "_").removesuffix("_id").removesuffix("id").removesuffix("s").rstrip("_")
    return {"class": "label", "clas": "label", "file": "path", "filename": "path", "center": "site"}.get(plain, plain)
