"""The protocol of every reader: list records cheaply, then give one patch's content at a time."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StringConstraints

from data.patches.record import Record
from data.patches.reference import Reference
from data.section import Section

Part = Literal["split", "labelled", "pool", "validation", "test"]


class Reader(Section):
    """A source of patches. A reader is one file in this folder and its `kind` is the file's name."""

    kind: str
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "main"
    part: Annotated[
        Part, Field(description="the part this source plays; `split`: draw validation, test and labels")
    ] = "split"

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """Every patch of the source in a stable order that does not depend on the machine.

        Raises ChainError (66 missing, 65 unreadable, outside its root) naming file and line or dataset.
        """

    @abstractmethod
    def content(self, record: Record) -> bytes | np.ndarray | Reference:
        """The encoded file (bytes, decoded strictly by the caller), the pixels of one record, or where they lie.

        Pixels: (H, W) or (H, W, 1) or (H, W, 3), uint8 or uint16, or (H, W, D) int16 of D slices in HU. Must be safe
        to call from several threads.
        Raises BadPatch for a patch to quarantine, ChainError where the whole source is unusable.
        """

    def link(self, record: Record) -> Reference | None:
        """Where one record lies in a store of ours that can be read again; None: not in such a file.

        Asked for with `data.encoding: link`, after `content`, and as that from several threads.
        """
        return None

    def state(self) -> str:
        """A digest of what the source holds besides its listing, "" where the listing is all that is cheap to tell."""
        return ""

    def held(self, records: Iterable[Record]) -> str:
        """A quick digest of the files in which these records, as listed, lie; "" where `state` says all of them.

        It changes with what they hold, not with where they lie or when they were touched.
        """
        return ""
