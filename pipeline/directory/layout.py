"""Where everything lies in a run directory. Nothing stored names the directory itself, so it can be moved."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.directory.workspace import Workspace
from pipeline.plan import running_order

# as the user called it, so that printed commands can be typed
PROGRAM = "patchchain" if Path(sys.argv[0]).name == "patchchain" else "python run_chain.py"
LONGEST_SETTINGS = 180  # characters; a line of an error has 400


def command(*words: object) -> str:
    """A call of this program that can be typed as it stands, whatever stands in a path."""
    return f"{PROGRAM} {shlex.join(map(str, words))}"


@dataclass(frozen=True)
class Layout(Workspace):
    """Paths of one run directory."""

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.yaml"

    @property
    def quarantine(self) -> Path:
        """Left behind by a first start that too many unreadable patches ended."""
        return self.root / "quarantine.csv"

    @property
    def reviews(self) -> Path:
        """What people said of patches; see `pipeline.directory.reviews`."""
        return self.root / "reviews"

    @property
    def holds(self) -> Path:
        """From which step on each review holds."""
        return self.reviews / "holds.json"

    @property
    def reviews_lock(self) -> Path:
        """Held for moments by whoever begins a step or puts a review in place."""
        return self.root / "reviews.lock"

    @property
    def exports(self) -> Path:
        """Where patches to be reviewed are written, unless elsewhere is asked for."""
        return self.root / "exports"

    def place(self, address: str) -> Path:
        """The directory of a finished step."""
        return self.root / address

    def staging(self, address: str) -> Path:
        """The folder of a step in flight: out/ (to be published), work/ (checkpoints, shards), recipe.json."""
        return self.stagings / address.replace("/", "-")

    def log(self, address: str) -> Path:
        """Logs of one step."""
        return self.logs / address

    def stands(self, address: str) -> bool:
        """Whether something is in place under this address."""
        return self.place(address).exists()

    def standing(self) -> list[str]:
        """Addresses of everything in place, whatever the plan says, in the order of running."""
        places = [*self.root.glob("data/*"), *self.root.glob("rounds/*/*"), *self.root.glob("final")]
        return sorted((p.relative_to(self.root).as_posix() for p in places if p.is_dir()), key=running_order)

    def rerun(self, address: str, *settings: str) -> str:
        """The command that makes a step and everything after it again."""
        sets = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
        if len(sets) > LONGEST_SETTINGS:  # a command cut short would do something else
            sets = " --set KEY=VALUE, once for each change"
        return command("rerun", self.root, "--from", address) + sets

    @property
    def begun(self) -> bool:
        """See Workspace."""
        return self.config.is_file()

    def remedy(self, address: str) -> str:
        """See Workspace."""
        if address.startswith("reviews/"):
            return "remove its directory: it cannot be made again, and steps made from it are then refused by name"
        return f"make this step and all after it again: {self.rerun(address)}"
