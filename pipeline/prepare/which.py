"""Which files the units of a prepared directory are: the way back from a keyed hash, on its owner's screen alone.

    python -m pipeline.prepare.which CONFIG OUT 09439b37df94fe30

Names of files may be names of people: what is printed here is written nowhere.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.preparation import Preparation
from data.printable import printable
from pipeline.directory.prepared import PreparedLayout


def which(preparation: Preparation, layout: PreparedLayout, names: Sequence[str]) -> Iterator[str]:
    """A line for each name: the unit's file, or the folder and number of its files.

    Raises ChainError: 66 when a name is none of these inputs under the key of this directory, or there is no key.
    """
    files = preparation.files(_key(preparation, layout))
    for name in names:
        if name not in files:
            raise ChainError(
                f"{name} is no unit of this input",
                f"{len(files):,} units are found under the key of {layout.root}; `check` names them by another key",
                "take the name from the table of that directory",
                ExitCode.MISSING,
            )
        paths = files[name]
        place = str(paths[0]) if len(paths) == 1 else os.path.commonpath([path.parent for path in paths])
        yield f"{name}  {place}" + (f"  ({len(paths):,} files)" if len(paths) > 1 else "")


def _key(preparation: Preparation, layout: PreparedLayout) -> bytes:
    if not preparation.keyed:
        return b""
    from data.patches.deid import read_id_key

    return preparation.secret() or read_id_key(layout.key)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    from pipeline.config.reading import load_preparation

    parser = argparse.ArgumentParser(prog="python -m pipeline.prepare.which", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("name", nargs="+")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args(argv)
    try:
        for line in which(load_preparation(given.config, given.set), PreparedLayout(given.out), given.name):
            print(printable(line))
    except ChainError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
