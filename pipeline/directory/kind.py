"""What a directory is that was named for a run's: those that other verbs fill are told, and how to go on with them."""

from pathlib import Path

from data.errors import ChainError, ExitCode
from pipeline.directory.crossval import CrossLayout
from pipeline.directory.layout import Layout, command
from pipeline.directory.prepared import PreparedLayout

OURS = {"chain.lock", "reviews.lock", "ledger.jsonl", "logs", "quarantine.csv", ".staging", ".trash", ".ranks"}
OURS |= {".config.yaml.part", "config.yaml"}  # the last: another start may write it while this one is looking


def refuse_no_run(layout: Layout) -> None:
    """Raise ChainError (66) for what is no run directory, or has lost its config.yaml."""
    if layout.config.is_file():
        return
    begin = command("run", "CONFIG", layout.root)
    if layout.standing():
        raise ChainError(
            f"{layout.config} is missing",
            "finished steps stand beside where it was",
            f"run the same configuration again: {begin}",
            ExitCode.MISSING,
        )
    nowhere = "there is no such directory", f"check the path, or begin it with: {begin}"
    holds = "it holds no config.yaml" if layout.root.is_dir() else "it is a file"
    there = another_kind(layout) or (holds, "check the path")
    why, todo = there if layout.root.exists() else nowhere
    raise ChainError(f"{layout.root} is not a run directory", why, todo, ExitCode.MISSING)


def refuse_other(layout: Layout) -> None:
    """Raise ChainError (78) where no run may be begun, since something else is there."""
    root = layout.root
    if root.exists() and not (root.is_dir() and (layout.config.exists() or not _foreign(layout))):
        raise _other(root, "a run directory", "it holds other things and no config.yaml")


def refuse_other_than_crossval(layout: CrossLayout) -> None:
    """Raise ChainError (78) where no cross-validation may be begun, since something else is there."""
    root = layout.root
    if root.exists() and not (root.is_dir() and all(map(layout.holds, root.iterdir()))):
        raise _other(root, "the directory of a cross-validation", "it holds other things")


def _other(root: Path, wanted: str, holds: str) -> ChainError:
    free = "name a new or an empty directory"
    why, todo = another_kind(Layout(root)) or (holds if root.is_dir() else "it is a file", free)
    return ChainError(f"{root} is not {wanted}", why, todo, ExitCode.MISMATCH)


def _foreign(layout: Layout) -> bool:
    # a run whose config.yaml was lost is a run: the recipes of its steps say whether a configuration is the same
    return not layout.standing() and any(path.name not in OURS for path in layout.root.iterdir())


def another_kind(layout: Layout) -> tuple[str, str] | None:
    """What a directory is that another verb filled, and what to do; None where none did."""
    if layout.begun:
        return "it is a run directory", f"to go on with it: {command('resume', layout.root)}; or name another directory"
    cross = CrossLayout(layout.root)
    runs = [path.parent for path in sorted(layout.root.glob("fold-*/config.yaml"))]
    runs += [cross.chain.root] if cross.chain.begun else []
    if runs:
        go_on, one = command("crossval", "CONFIG", layout.root), ", ".join(map(str, runs))
        return "it holds the runs of a cross-validation", f"to go on with all of them: {go_on}; or name one: {one}"
    if PreparedLayout(layout.root).begun:
        look, go_on = command("status", layout.root), command("prepare", "CONFIG", layout.root)
        return "it is a prepared directory, whose patches a chain reads", f"to look at it: {look}; to go on: {go_on}"
    return None
