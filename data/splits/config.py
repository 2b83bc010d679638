"""Section `splits`: who is in which split, drawn once and written to a file."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from data.section import Section

UnitName = Literal["auto", "patient", "slide", "patch"]


class LabelFraction(Section):
    """Label a share of each class."""

    fraction: Annotated[float, Field(gt=0, le=1, description="share of each class's training patches; at least one")]


class LabelCount(Section):
    """Label a number of patches a class."""

    count: Annotated[int, Field(ge=1, description="labelled patches a class")]


Share = Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=1)]


class SplitsConfig(Section):
    """How the sources that are to be split are divided into labelled, pool, validation and test."""

    seed: Annotated[int, Field(ge=0, description="draws validation, test and the labelled patches")] = 0
    unit: Annotated[
        UnitName,
        Field(description="what is never divided; auto: patient where there is one, else slide, else patch"),
    ] = "auto"
    validation: Annotated[
        Share | None,
        Field(
            description="share (below 1) or number of labelled patches a class to draw; null: 0.2, "
            "or nothing where sources or rows say which patches these are"
        ),
    ] = None
    test: Annotated[Share | None, Field(description="as `validation`")] = None
    labels: Annotated[
        LabelFraction | LabelCount | Literal["all"],
        Field(description="labels used in training, drawn a class; the rest of the training patches is the pool"),
    ] = "all"
    stain: Annotated[
        Literal["none", "macenko"],
        Field(
            description="macenko: colour patches are normalised to the stain of the training slides, whenever they are "
            "read (Macenko et al. 2009); a slide, or a patch of no known slide, with too little stain stays as it is"
        ),
    ] = "none"
    duplicates: Annotated[
        Literal["refuse", "drop"],
        Field(description="same pixels in two splits: refuse, or drop the copies from the pool, then the labelled"),
    ] = "refuse"
    folds: Annotated[
        int | None,
        Field(
            ge=2,
            le=100,
            description="with `fold`: the labelled patches, by whole units, in so many parts, of which one judges "
            "and is neither trained on nor decides anything; `crossval` runs through all of them",
        ),
    ] = None
    fold: Annotated[int | None, Field(ge=0, description="the part that is left out and judges, from 0")] = None

    @model_validator(mode="after")
    def _parts_of_a_whole(self) -> "SplitsConfig":
        if (self.folds is None) != (self.fold is None):
            raise ValueError("folds and fold go together: how many parts, and which of them is left out")
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold: {self.fold}: {self.folds} folds are counted from 0 to {self.folds - 1}")
        if self.folds is not None and self.validation:
            raise ValueError("a fold takes the place of validation: set validation: 0, or leave folds and fold out")
        shares = [share for share in (self.validation, self.test) if isinstance(share, float)]
        if sum(shares) >= 1:
            raise ValueError(f"validation and test take {sum(shares):.3g} of the labels: none is left to train")
        return self

    def recipe(self) -> dict[str, Any]:
        """See Section. Folds, only where there are any: splits without them are what they always were."""
        recipe = super().recipe()
        return recipe if self.folds is not None else {k: v for k, v in recipe.items() if k not in ("folds", "fold")}
