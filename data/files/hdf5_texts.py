"""Texts of variable length of a stranger's HDF5 file, read by a process of their own.

    python -m data.files.hdf5_texts FILE DATASET ROWS

Such texts lie in the file's heap, and a damaged heap makes the HDF5 library loop for ever or crash, in whoever asked.
Here that is a child with a limit of memory and of time: the worst it can become is a refusal. One process a dataset,
a third of a second; texts of fixed length and numbers need none.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from data.errors import ChainError, ExitCode

ROOT = Path(__file__).resolve().parents[2]
MEMORY_BYTES = 4 << 30
SECONDS = 60
MOST_BYTES = 256 << 20  # of all texts of a dataset
LONGEST = 4096  # a name, not a document


def isolated_texts(path: Path, name: str, rows: int) -> list[str]:
    """The `rows` texts of a one-dimensional dataset. Raises ChainError (65): damaged, too long, not UTF-8, no end."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            # -P: a folder called `data` where the user stands is none of ours
            [sys.executable, "-P", "-m", "data.files.hdf5_texts", str(path.absolute()), name, str(rows)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(path, name, f"the HDF5 library does not come to an end within {SECONDS} s") from error
    try:
        said = json.loads(done.stdout)
    except ValueError as error:
        why = "the HDF5 library crashes on it" if done.returncode < 0 else f"exit {done.returncode} while reading it"
        raise _refused(path, name, why) from error
    if "why" in said:
        raise _refused(path, name, str(said["why"]))
    texts: list[str] = said["texts"]
    return texts


def main(argv: list[str]) -> int:
    """Print {"texts": [...]} or {"why": ...} as JSON."""
    path, name, rows = Path(argv[0]), argv[1], int(argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.alarm(SECONDS)  # should whoever asked be killed: the library's loops hold Python's lock, a signal ends them
    try:
        print(json.dumps({"texts": _texts(path, name, rows)}))
    except (ChainError, MemoryError, ValueError) as error:
        print(json.dumps({"why": error.why if isinstance(error, ChainError) else str(error) or "out of memory"}))
    return 0


def _texts(path: Path, name: str, rows: int) -> list[str]:
    from data.files.hdf5 import dataset, open_file, read

    texts: list[str] = []
    total = 0
    with open_file(path) as file:
        data = dataset(file, name)
        if data.shape != (rows,):
            raise ValueError(f"it has the shape {data.shape}, not ({rows},)")
        for start in range(0, rows, 1024):
            for value in read(data, start, min(rows, start + 1024)).tolist():
                raw = value if isinstance(value, bytes) else str(value).encode()
                total += len(raw)
                if len(raw) > LONGEST or total > MOST_BYTES:
                    raise ValueError(f"one of its texts has {len(raw):,} bytes, all so far {total:,}")
                texts.append(raw.decode())  # UnicodeDecodeError is a ValueError
    return texts


def _refused(path: Path, name: str, why: str) -> ChainError:
    return ChainError(
        f"{path}: dataset {name!r} is refused",
        why,
        "write its texts with a fixed length (NumPy type S), or as numbers with label_names",
        ExitCode.BAD_DATA,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
