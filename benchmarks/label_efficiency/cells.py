"""A cell: one result with what it was made from. Done is done; made by other settings is refused by name."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic import canonical_json, write_bytes, write_json
from data.errors import ChainError, ExitCode

FORMAT = 1
Drawn = dict[str, np.ndarray]


@dataclass(frozen=True)
class Cell:
    """A directory of its own. made_from: everything its result depends on, as JSON values."""

    place: Path
    made_from: dict[str, Any]

    @property
    def shown(self) -> str:
        """What messages call it."""
        return "/".join(self.place.parts[-3:])

    def done(self) -> tuple[dict[str, Any], Drawn] | None:
        """What was kept, and its resamples; None where there is nothing yet.

        Raises ChainError: 78 when it was made from something else, 76 when it cannot be read.
        """
        path = self.place / "result.json"
        if not path.is_file():
            return None
        try:
            kept = json.loads(path.read_bytes())
            with np.load(self.place / "draws.npz", allow_pickle=False) as file:
                drawn = {name: file[name] for name in file.files}
            before, result = kept["made_from"], dict(kept["result"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ChainError(
                f"{path} cannot be read", str(error), f"remove {self.place} and run the same command", ExitCode.DAMAGED
            ) from error
        now = self._signed()
        if before != now:
            differing = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
            raise ChainError(
                f"{self.shown} was made from something else ({', '.join(differing)} differs)",
                "rows of one table must be made alike",
                f"undo the change, name another --into, or remove {self.place}",
                ExitCode.MISMATCH,
            )
        return result, drawn

    def keep(self, result: dict[str, Any], drawn: Drawn) -> None:
        """Write both durably; the result last, so that it alone proves that the cell is done."""
        self.place.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **drawn)
        write_bytes(self.place / "draws.npz", buffer.getvalue())
        write_json(self.place / "result.json", {"made_from": self._signed(), "result": result})

    def _signed(self) -> dict[str, Any]:
        # through JSON and back: 1 and 1.0, tuples and lists compare as they will when they are read again
        signed: dict[str, Any] = json.loads(canonical_json({"format": FORMAT, **self.made_from}))
        return signed
