"""Reading the Parquet tables of a select stage."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode


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
