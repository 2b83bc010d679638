"""Where everything lies in the directory of a cross-validation: a run a fold, what they say, and the last chain."""

from dataclasses import dataclass
from pathlib import Path

from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout, command
from pipeline.directory.workspace import Workspace
from pipeline.plan import SPLITS


@dataclass(frozen=True)
class CrossLayout(Workspace):
    """Paths; each of the runs in it is a run directory like any other."""

    def fold(self, number: int) -> Layout:
        """The chain that never sees this fold."""
        return Layout(self.root / f"fold-{number}")

    @property
    def chain(self) -> Layout:
        """The last chain, on all labels."""
        return Layout(self.root / "chain")

    @property
    def result(self) -> Path:
        """What the folds say together."""
        return self.root / "crossval.json"

    @property
    def begun(self) -> bool:
        """See Workspace."""
        return any(self.root.glob("fold-*/config.yaml"))

    def remedy(self, address: str) -> str:
        """See Workspace."""
        return f"see what stands there: {command('verify', self.root / address)}"

    def refuse_other_folds(self, folds: int) -> None:
        """Raise ChainError (78) where it was begun with another number of folds."""
        # who only looks knows the paths, and not what sections are made of
        from pipeline.config.reading import load_config

        for splits in sorted(self.root.glob(f"fold-*/{SPLITS}")):  # before they are drawn, nothing is cut
            began = load_config(splits.parents[1] / "config.yaml").splits.folds
            if began != folds:
                raise ChainError(
                    f"{self.root} was begun with {began} folds, not {folds}",
                    "another number of folds is another cut through the labels, and nothing of it can be used again",
                    f"give --folds {began} to go on with it, or name another directory",
                    ExitCode.MISMATCH,
                )

    def holds(self, path: Path) -> bool:
        """Whether this, in the directory, belongs to a cross-validation."""
        part = path.name.startswith(f".{self.result.name}")  # of a killed write
        fold = path.name.startswith("fold-") and path.name[5:].isdecimal()
        return fold or part or path in (self.chain.root, self.result, self.logs)
