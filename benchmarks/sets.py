"""What benchmarks over sets of patches have in common: where these lie, and three lines where one does not."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from data.errors import ChainError, ExitCode

ROOT = Path(__file__).resolve().parents[1]


class EndedError(Exception):
    """The program ended with a code that ends this one as well."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit {code}")
        self.code = code


def sets_folder() -> Path:
    """The folder that PATCHCHAIN_DATA names, else the one beside the project."""
    return Path(os.environ.get("PATCHCHAIN_DATA", ROOT.parent / "shared" / "data"))


def weights_below(data: Path, network: str = "tf_efficientnet_lite0") -> Path:
    """ImageNet weights under timm's names, beside the sets."""
    return data / "weights" / f"{network}.timm.safetensors"


def in_words(work: Callable[[], int]) -> int:
    """Exit code of `work`; what the program refuses is said as the program says it."""
    try:
        return work()
    except ChainError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.code
    except EndedError as ended:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return ended.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
