"""Reading the Parquet tables of a select stage."""

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
        raise ChainError(
            f"{path} cannot be read",
            str(error),
            "make it again: rerun RUN --from the select step of this round",
            ExitCode.DAMAGED,
        ) from error
