"""The Parquet tables of a select stage, written and read in pieces."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import replacing

GROUP = 1 << 20  # rows of a row group: what is in memory while a table is written
Columns = Mapping[str, np.ndarray]  # by name, all of one length; `id` is uint64 and rises


def write_table(path: Path, pieces: Iterable[Columns], layout: Mapping[str, Any]) -> None:
    """Write a table from pieces by rising id, at least one: the same bytes however it is cut.

    layout: how Parquet is to write it, as of `pyarrow.parquet.write_table`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as part:
        groups = (pa.table(dict(group)) for group in _grouped(pieces))
        first = next(groups)
        # the next group is made while one is written
        with pq.ParquetWriter(part, first.schema, **layout) as writer, ThreadPoolExecutor(1) as beside:
            writing = beside.submit(writer.write_table, first, GROUP)
            for table in groups:
                writing.result()
                writing = beside.submit(writer.write_table, table, GROUP)
            writing.result()


def _grouped(pieces: Iterable[Columns]) -> Iterator[Columns]:
    # the rows of each row group; of no rows one empty group
    waiting: list[Columns] = []
    written, last = False, -1
    for piece in pieces:
        if len(piece["id"]):
            assert int(piece["id"][0]) > last, "pieces not by rising id"
            last = int(piece["id"][-1])
        waiting.append(piece)
        while sum(len(one["id"]) for one in waiting) >= GROUP:
            whole = _joined(waiting)
            yield {name: column[:GROUP] for name, column in whole.items()}
            waiting, written = [{name: column[GROUP:] for name, column in whole.items()}], True
    rest = _joined(waiting)
    if len(rest["id"]) or not written:
        yield rest


def _joined(pieces: list[Columns]) -> Columns:
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def columns_of(path: Path, dtypes: dict[str, np.dtype]) -> dict[str, np.ndarray]:
    """Some columns of a table, by name, each of its type. Raises ChainError (76) when it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
        return {name: table[name].to_numpy().astype(dtype) for name, dtype in dtypes.items()}
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def groups_of_columns(path: Path, dtypes: dict[str, np.dtype]) -> Iterator[dict[str, np.ndarray]]:
    """As `columns_of`, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, list(dtypes))
                yield {name: table[name].to_numpy().astype(dtype, copy=False) for name, dtype in dtypes.items()}
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ChainError:
    return ChainError(
        f"{path} cannot be read",
        str(error),
        "make it again: rerun RUN --from the select step of this round",
        ExitCode.DAMAGED,
    )
