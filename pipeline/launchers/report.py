"""How a rank ended, as a file: whoever started it never reads what it prints."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json


@dataclass(frozen=True)
class Report:
    """One of three: `summary`, of a finished stage; `refused` (what, why, what to do); `saved`, after a signal."""

    code: int
    summary: str = ""
    refused: tuple[str, str, str] | None = None
    saved: str = ""

    @staticmethod
    def of(error: ChainError) -> "Report":
        """Of a stage that was refused."""
        return Report(error.code, refused=(error.what, error.why, error.todo))

    @property
    def ended(self) -> bool:
        """Whether a signal ended it."""
        return self.code in (ExitCode.PREEMPTED, ExitCode.INTERRUPTED)

    @property
    def error(self) -> ChainError | None:
        """The refusal, as it was raised in the rank."""
        return ChainError(*self.refused, ExitCode(self.code)) if self.refused else None

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_json(path, dataclasses.asdict(self))

    @staticmethod
    def read(path: Path) -> "Report | None":
        """None where the rank did not come to say anything."""
        try:
            plain = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        return Report(**{**plain, "refused": plain["refused"] and tuple(plain["refused"])})
