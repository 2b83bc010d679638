"""The patch store, read side: memory-mapped, picklable, opened in each process on first use.

Knows no labels: see `data.store.source_labels`. The layout is described in `data.store.format`.
"""

import hashlib
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from data.patches.ids import id_text
from data.patches.link import Link
from data.patches.listing import key_text
from data.patches.reference import Reference
from data.patches.table import PatchTable
from data.pixels.bad_patch import BadPatch
from data.pixels.decode import unpacked
from data.pixels.modes import CHANNELS, Mode
from data.pixels.windows import Window
from data.store.format import COLUMNS, JPEG, REFERENCE, MappedStore, map_store

# Pages of a mapped file count as a process's own while no other maps them, and schedulers end jobs by that count:
# let them go after this many bytes. One touch maps up to 64 KiB around it.
MAPPED_BYTES = 256 << 20
FAULT_AROUND = 64 << 10


class PatchStore:
    """Patches by row. Every access may raise ChainError (66, 76, 78) naming the file, when it is first opened."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._mapped: MappedStore | None = None
        self._reads = 0  # until pages are let go

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}  # a map does not travel; the other process opens its own

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self._open()["ids"])

    @property
    def mode(self) -> Mode:
        """What every patch is made of."""
        return self._open().mode

    @property
    def size_px(self) -> int:
        """Side of every patch."""
        return self._open().size_px

    @property
    def channels(self) -> int:
        """3 or 1, or the slices of a patch in HU."""
        return CHANNELS[self.mode] * self.depth

    @property
    def depth(self) -> int:
        """Slices of a patch: 1 but for CT."""
        return self._open().depth

    @property
    def windows(self) -> tuple[Window, ...]:
        """Through which patches in HU are to be seen; empty for every other mode."""
        return self._open().windows

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in order."""
        return self._open().classes

    @property
    def ids(self) -> np.ndarray:
        """(N,) uint64, in row order, a view of the file."""
        return self._open()["ids"]

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """(M,) int64 rows of (M,) ids. Raises ChainError (78) naming an id that is not here."""
        store, wanted = self._open(), np.asarray(ids, np.uint64)
        at = np.searchsorted(store["ids"], wanted, sorter=store["order"])
        rows: np.ndarray = store["order"][np.minimum(at, len(self) - 1)]
        missing = store["ids"][rows] != wanted
        if missing.any():
            raise ChainError(
                f"patch {id_text(wanted[missing][0])} is not in {self.path}",
                f"{int(missing.sum()):,} of {len(wanted):,} patches asked for are not in this store",
                "use the store these ids came from",
                ExitCode.MISMATCH,
            )
        return rows.astype(np.int64, copy=False)

    def pixels(self, row: int) -> np.ndarray:
        """(H, W, C) uint8, uint16 or int16 of one row, the caller's own copy.

        Raises ChainError (76) for a damaged one, and (66, 78) when it lies in a slide or a store that is gone or has
        changed.
        """
        store = self._mapped or self._open()
        self._reads -= 1
        if self._reads < 0:
            self._let_go(store)
        start, stop = int(store.views["offsets"][row]), int(store.views["offsets"][row + 1])
        try:
            codec = store.views["codec"][row]
            if codec == REFERENCE:
                return self._from_elsewhere(row, store)
            return unpacked(
                store.whole, store.start + start, store.start + stop, codec == JPEG, store.mode, store.shape
            )
        except (ValueError, TypeError) as error:
            raise ChainError(f"{self.path}: patch {id_text(self.ids[row])} is damaged", str(error),
                             "see `verify RUN`, then make it again: `rerun RUN --from data/store`",
                             ExitCode.DAMAGED) from error  # fmt: skip

    def content(self, row: int) -> bytes | np.ndarray | Reference:
        """What is stored of one row: the JPEG file, the pixels, or where they lie."""
        store = self._open()
        codec = store["codec"][row]
        if codec not in (JPEG, REFERENCE):
            return self.pixels(row)
        start, stop = store["offsets"][row : row + 2].tolist()
        payload = store["bytes"][start:stop].tobytes()
        first, second = map(int, store["pixels"][row])
        return payload if codec == JPEG else Reference(payload, (first, second))

    def reference(self, row: int) -> Reference:
        """Where the pixels of one row lie, for a store that leaves them there: in this file, or where this one says."""
        store = self._open()
        if store["codec"][row] == REFERENCE:
            content = self.content(row)
            assert isinstance(content, Reference)
            return content
        start, stop = (store.start + end for end in store["offsets"][row : row + 2].tolist())
        link = Link(str(self.path.absolute()), len(store.whole), start, stop, bool(store["codec"][row] == JPEG),
                    store.mode, store.size_px, store.depth)  # fmt: skip
        first, second = map(int, store["pixels"][row])
        return Reference(link.payload(), (first, second))

    def table(self) -> PatchTable:
        """Every row's id, pixel digest, source, patient, slide and site; views of the file."""
        store = self._open()
        return PatchTable(store["ids"], store["pixels"], *(store.column(f"columns/{name}") for name in COLUMNS))

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """What was measured of every patch: (N,) float64 by name, NaN unknown; views of the file."""
        store = self._open()
        return {name: store[f"numbers/{name}"] for name in store.numbers}

    def key(self, row: int) -> str:
        """The patch's place in its source."""
        store = self._open()
        return key_text(store["keys/bytes"], store["keys/offsets"], row)

    def verify(self) -> None:
        """Read everything and compare it with its digests. Raises ChainError (76) naming the dataset."""
        store = self._open()
        for name, view in store.views.items():
            if hashlib.sha256(view.data if view.size else b"").hexdigest() != store.digests[name]:
                raise ChainError(f"{self.path}: dataset {name!r} is damaged", "its content has another SHA-256",
                                 "make it again: `rerun RUN --from data/store`", ExitCode.DAMAGED)  # fmt: skip

    def _from_elsewhere(self, row: int, store: MappedStore) -> np.ndarray:
        content = self.content(row)
        assert isinstance(content, Reference)
        try:
            pixels = content.pixels()
            if pixels.shape != store.shape or pixels.dtype != store.dtype:
                raise BadPatch(f"it is {pixels.shape} {pixels.dtype} there, and {store.shape} {store.dtype} here")
        except (BadPatch, ChainError) as error:
            raise self._refused(row, content, error) from error
        return pixels

    def _refused(self, row: int, content: Reference, error: BadPatch | ChainError) -> ChainError:
        what = f"patch {self.key(row)} cannot be read from its {content.lies_in} again"
        if isinstance(error, ChainError):
            return ChainError(f"{what}: {error.what}", error.why, error.todo, error.code)
        return ChainError(
            what,
            error.reason,
            f"put the {content.lies_in} back as it was, or make the store again: `rerun RUN --from data/store`",
            ExitCode.MISMATCH,
        )

    def _let_go(self, store: MappedStore) -> None:
        if len(store.whole) > MAPPED_BYTES:
            store.forget()
        self._reads = MAPPED_BYTES // (len(store["bytes"]) // len(store["ids"]) + FAULT_AROUND)

    def _open(self) -> MappedStore:
        if self._mapped is None:
            self._mapped = map_store(self.path)
        return self._mapped
