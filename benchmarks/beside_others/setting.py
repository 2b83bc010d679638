"""What all sides share: network, patches, steps, batches, rates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One comparison. labelled, validation, test, pool: patches a class; an epoch is one pass over the labelled ones.

    teacher_batch: labelled patches a step of the first teacher; student_batch: of a student, and `ratio`
    pseudo-labelled ones for each of them. warmup: share of a training's steps.
    """

    network: str = "tf_efficientnet_lite0"
    size_px: int = 96
    labelled: int = 32
    validation: int = 40
    test: int = 120
    pool: int = 320
    rounds: int = 2
    teacher_epochs: int = 8
    student_epochs: int = 3
    teacher_batch: int = 32
    student_batch: int = 16
    ratio: int = 3
    lr: float = 5e-4
    weight_decay: float = 0.05
    warmup: float = 0.1
    dropout: float = 0.2
    threads: int = 2
    precision: str = "32"  # of the chain: 32 | bf16; the others know 32 bits alone

    @property
    def parts(self) -> dict[str, int]:
        """Part, as the manifest calls it -> patches a class."""
        return {"train": self.labelled, "validation": self.validation, "test": self.test, "pool": self.pool}

    def epoch(self, batch: int, classes: int) -> int:
        """Steps of an epoch. Raises ValueError where the last one would be smaller than the others."""
        steps, rest = divmod(self.labelled * classes, batch)
        if rest or not steps:
            raise ValueError(f"{classes} x {self.labelled} labelled patches are not whole batches of {batch}")
        return steps

    def teacher_steps(self, classes: int) -> int:
        """Of the first teacher."""
        return self.teacher_epochs * self.epoch(self.teacher_batch, classes)

    def student_steps(self, classes: int) -> int:
        """Of each student."""
        return self.student_epochs * self.epoch(self.student_batch, classes)

    def steps(self, classes: int) -> int:
        """Of a whole chain."""
        return self.teacher_steps(classes) + self.rounds * self.student_steps(classes)

    def trained(self, classes: int) -> int:
        """Patches that go through the network in training, over a whole chain."""
        students = self.rounds * self.student_steps(classes) * self.student_batch * (1 + self.ratio)
        return self.teacher_steps(classes) * self.teacher_batch + students
