"""A hostile case: what lies in front of the program, what is asked of it, and what it has to say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CASES: dict[str, "Case"] = {}


@dataclass(frozen=True)
class Place:
    """`inside`: what the program is given to read. `run`: where it may write. `outside`: neither; `secret` lies in it.

    The current directory is `cwd`, which is outside, too.
    """

    root: Path

    @property
    def inside(self) -> Path:
        return self.root / "in"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    @property
    def secret(self) -> Path:
        return self.outside / "secret"

    @property
    def cwd(self) -> Path:
        return self.root / "cwd"


# words of a command line, or a call; what it raises, ChainError apart, is a failure
Deed = Sequence[str | Path] | Callable[[], object]


@dataclass(frozen=True)
class Case:
    """`make` lays out the place and returns the deed. `said`: a regular expression that the refusal must match.

    code: of the exit. units: of `prepare`, which is given many hostile inputs at once, what is said of each.
    """

    name: str
    make: Callable[[Place], Deed]
    code: int
    said: str = ""
    units: dict[str, str] | None = None


def case(code: int, said: str = "", units: dict[str, str] | None = None) -> Callable[[Callable[[Place], Deed]], Case]:
    """Register the function under its name."""

    def register(make: Callable[[Place], Deed]) -> Case:
        name = make.__name__
        assert name not in CASES, name
        CASES[name] = Case(name, make, code, said, units)
        return CASES[name]

    return register


def several(code: int, said: str | Mapping[str, str], names: Sequence[str]) -> Callable[..., None]:
    """One case for each of `names`, which the function gets as its second argument. said: of all, or name by name."""

    def register(make: Callable[[Place, str], Deed]) -> None:
        for name in names:
            whole = f"{make.__name__}: {name}"
            assert whole not in CASES, whole
            words = said if isinstance(said, str) else said[name]
            CASES[whole] = Case(whole, lambda place, name=name: make(place, name), code, words)  # type: ignore[misc]

    return register
