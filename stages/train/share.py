"""How the patches of a step are dealt among processes, and each process's among the pieces it takes one by one.

The batch is what the configuration says, whatever the number of devices: a batch that does not divide is dealt
unevenly, no patch is left out and none is taken twice, and the loss is weighted by patches, not by ranks.
"""

from dataclasses import dataclass

from data.errors import ChainError, ExitCode


@dataclass(frozen=True)
class Share:
    """One process's part of every step. accumulate: pieces whose gradients are added before the optimiser's step."""

    rank: int = 0
    world: int = 1
    accumulate: int = 1

    @property
    def parts(self) -> int:
        """Pieces a step is dealt into, over all processes."""
        return self.world * self.accumulate

    def places(self, total: int, piece: int) -> range:
        """The places among a step's `total` patches of this process's `piece`.

        Dealt like cards, so that labelled and pseudo-labelled patches, which stand one after the other, are in every
        part alike, and no two parts differ by more than one patch.
        """
        return range(piece * self.world + self.rank, total, self.parts)

    def refuse_empty(self, total: int, what: str) -> None:
        """Raise ChainError (2) where a part would get no patch of `total`."""
        if total >= self.parts:
            return
        raise ChainError(
            f"{what}: a step has {total} patches, too few for {self.parts} parts",
            f"--devices and --nodes make {self.world} processes, --accumulate {self.accumulate} pieces in each",
            "use fewer devices or pieces; a larger batch_size would be another training",
            ExitCode.USAGE,
        )
