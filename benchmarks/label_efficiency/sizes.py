"""How much work a run of the evidence is: toy (does it run), small (two cores), full (a GPU)."""

from dataclasses import dataclass
from typing import Literal

SizeName = Literal["toy", "small", "full"]


@dataclass(frozen=True)
class Size:
    """Lengths in optimiser steps, batches in patches a step, over given and pseudo-labels together.

    The student's steps are over all its phases; the row of all labels takes as many, or those of all rounds
    (`configs.all_labels`). least_px, most_px: between these the side of a patch is chosen by `px`; enlarge: by how much
    above its own side. patches: of the set at most; 0: all.
    """

    backbone: str
    pretrained: bool
    rounds: int
    teacher_steps: int
    teacher_batch: int
    student_steps: int
    student_batch: int
    views: int
    least_px: int
    most_px: int
    enlarge: int
    patches: int

    def px(self, native_px: int) -> int:
        """The side a patch of `native_px` is brought to: a multiple of 32, the network's stride."""
        wanted = min(max(native_px * self.enlarge, self.least_px), self.most_px)
        return max(32, round(wanted / 32) * 32)


SIZES: dict[SizeName, Size] = {
    # 600 patches and a network of 0.1 M parameters: shows that everything runs, and nothing else
    "toy": Size("test_resnet", False, 2, 6, 8, 6, 16, 1, 32, 32, 1, 600),
    # about an hour for one set, one fraction, three seeds, with and without validation, on two quiet cores
    "small": Size("tf_efficientnet_lite0", True, 2, 150, 32, 200, 64, 1, 64, 96, 1, 0),
    "full": Size("tf_efficientnet_lite0", True, 3, 600, 64, 2500, 256, 4, 96, 224, 2, 0),
}
