"""A preparation whose units are small text files, made in no time.

It suffices for the tests of `pipeline/prepare`: that never looks into a unit but for its facts and the sizes and
digests of its files. The stores are real ones, so that the reader of prepared directories can be tried on them. What
a unit does is its file's text: `ok N` gives N patches, the others misbehave as real inputs do.
"""

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image

from data.errors import ChainError, ExitCode
from data.files.atomic import sha256_file, write_json
from data.files.fingerprint import fingerprint
from data.files.sealed import durable_files
from data.keys import generator
from data.patches.deid import pseudonym
from data.patches.ids import patch_id
from data.patches.quarantine import Quarantined, check_limit, write_quarantine
from data.patches.record import Record
from data.pixels.decode import pixel_digest
from data.preparation import Preparation, Progress, Refusal, Unit
from data.prepared import EMPTY, FACTS, INDEX, Listed, write_index
from data.store.writer import writing_store
from pipeline.prepare.pool import Begun, Event, Failed, Made


class FakePreparation(Preparation):
    noun: ClassVar[tuple[str, str]] = ("slide", "slides")
    kind: Literal["fake"] = "fake"
    path: Path
    pattern: str = "*.txt"
    size_px: int = 8
    not_of_a_unit: ClassVar[frozenset[str]] = Preparation.not_of_a_unit | {"pause_s"}
    tint: int = 0
    pause_s: float = 0.0

    def units(self, key: bytes) -> list[Unit | Refusal]:
        found = sorted(self.path.glob(self.pattern))
        if not found:
            raise ChainError(f"{self.path} holds no slide", "nothing fits", "correct prepare.path", ExitCode.MISSING)
        return [self._unit(path) for path in found]

    def _unit(self, path: Path) -> Unit | Refusal:
        if path.read_text() == "no mpp":
            error = ChainError(f"{path.name} has no mpp", "it is not stated", "state it", ExitCode.BAD_DATA)
            return Refusal(path.stem, path.name, error)
        return Unit(path.stem, path.name, (path,), fingerprint([path]))

    def prepare(self, unit: Unit, out: Path, threads: int, progress: Progress, key: bytes) -> dict[str, Any]:
        word, _, number = unit.paths[0].read_text().partition(" ")
        match word:
            case "crash":
                os._exit(3)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
            case "bug":
                raise ZeroDivisionError(f"ours, in {unit.paths[0]}")
            case "memory":
                raise MemoryError
            case "full":
                raise OSError(28, "No space left on device")
            case "refused":
                raise ChainError(unit.shown, "it is damaged", "copy it again", ExitCode.BAD_DATA)
        print("a library prints this")
        # asked by one test, which gives orders itself; a result never depends on it
        (out / "threads").write_text(str(threads)) if (out.parent / "logs").is_dir() else None
        n, bad = (
            int(number.split()[0] if number else 0),
            [Quarantined("slides", "x1_y1", "=damaged tile")] if word == "bad" else [],
        )
        (out / "thumbnail.jpg").write_bytes(self._thumbnail(unit.name))
        write_quarantine(out / "quarantine.csv", bad)
        table, limit = f"logs/{unit.name}.quarantine.csv", self.quarantine_limit
        check_limit(bad, n + len(bad), limit, table, setting="prepare.quarantine_limit")
        if word == "empty":
            return {"patches": 0, "quarantined": 0, EMPTY: "no patch has enough tissue"}
        with writing_store(out / "patches.h5", "rgb8", self.size_px) as store:
            for i in range(n):
                record = Record(f"x{i:06d}_y{0:06d}", "AB"[i % 2], f"patient {unit.name}", unit.shown, "", "",
                                {"tissue": i / n, "x_px": float(8 * i)})  # fmt: skip
                pixels = generator(unit.fingerprint, i).integers(0, 200, (self.size_px, self.size_px, 3)).astype("u1")
                pixels += np.uint8(self.tint)
                store.add(
                    patch_id("slides", record.key), record, "slides", "split", pixel_digest(pixels, "rgb8"), pixels
                )
                time.sleep(self.pause_s)
                progress(i + 1, n)
            time.sleep(8 if word == "slow" else 0)
            store.classes = ("A", "B")
        return {"patches": n, "quarantined": len(bad), "mpp": 0.5, "tissue_mm2": 1.25 * n, "threads_matter": False}

    def _thumbnail(self, name: str) -> bytes:
        written = io.BytesIO()
        Image.fromarray(generator(name).integers(0, 255, (12, 16, 3)).astype("u1")).save(written, "JPEG")
        return written.getvalue()

    def patch_words(self) -> str:
        return f"{self.size_px} px at 0.5 um/px"


class KeyedPreparation(FakePreparation):
    """The same, of inputs whose names may be those of people."""

    keyed: ClassVar[bool] = True
    kind: Literal["keyed"] = "keyed"  # type: ignore[assignment]

    def _unit(self, path: Path) -> Unit | Refusal:
        name = pseudonym(b"a key of its own", path.stem)
        return Unit(name, name, (path,), fingerprint([path]))


class ImmediatePool:
    """In place of `Pool`: makes units in this process, one after another. What counts is the order of events."""

    def __init__(self, preparation: Preparation, key: bytes, *_: object) -> None:
        self.preparation, self.key = preparation, key

    def __enter__(self) -> "ImmediatePool":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def make(self, orders: Iterator[tuple[Unit, Path]], units: int) -> Iterator[Event]:
        for unit, out in orders:
            yield Begun(unit)
            try:
                facts = self.preparation.prepare(unit, out, 1, lambda done, total: None, self.key)
            except ChainError as error:
                yield Failed(unit, error)
            else:
                write_json(out / FACTS, facts)
                yield Made(unit, facts, durable_files(out), 0.0)


def committed(root: Path) -> dict[str, str]:
    """Relative path -> digest of all that must be the same however, and however often, it was prepared."""
    paths = [path for path in (root / "units").rglob("*") if path.is_file()]
    paths += [path for path in (root / "prepared.json", root / "prepare.yaml") if path.is_file()]
    return {str(path.relative_to(root)): sha256_file(path) for path in sorted(paths)}


def inputs(folder: Path, **texts: str) -> Path:
    """A folder of fake slides, `name="ok 3"` each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def prepared_in(folder: Path, **texts: str) -> Path:
    """A finished prepared directory with the units of the fake slides, made without a worker; returns it."""
    from pipeline.directory.prepared import PreparedLayout
    from pipeline.prepare.prepdir import PrepDir

    preparation = FakePreparation(path=inputs(folder / "slides", **(texts or {"one": "ok 4", "two": "ok 3"})))
    prepdir = PrepDir(PreparedLayout(folder / "prepared"), preparation)
    listed = []
    for unit in preparation.units(b""):
        assert isinstance(unit, Unit)
        out = prepdir.begin(unit)
        write_json(out / FACTS, preparation.prepare(unit, out, 1, lambda done, total: None, b""))
        record = prepdir.seal(unit, durable_files(out))
        prepdir.publish(unit)
        listed.append(Listed(unit.name, record.digest, prepdir.facts(unit.name)["patches"]))
    (folder / "prepared" / "prepare.yaml").write_text("prepare: {kind: fake}\n")
    write_index(folder / "prepared" / INDEX, "fake", listed)
    return folder / "prepared"


def main() -> None:
    """Prepare INPUT into OUT as the command line would: a process of its own, to be killed."""
    from pipeline.directory.prepared import PreparedLayout
    from pipeline.failures import explained
    from pipeline.prepare.session import Options, prepare
    from stages.process.signals import Ended, watched
    from tests import fake_preparation  # workers import the class by its module, which is not __main__

    source, out, pause_s, workers = sys.argv[1:5]
    try:
        with watched():
            given = fake_preparation.FakePreparation(path=Path(source), pause_s=float(pause_s), failure_limit=1.0)
            prepare(PreparedLayout(Path(out)), given, Options(int(workers)))
    except Ended as ended:
        sys.exit(ended.code)
    except ChainError as error:
        print(error.lines(), file=sys.stderr)
        sys.exit(error.code)
    except OSError as error:
        known = explained(error, "prepare")
        sys.exit(known.code if known else 70)


if __name__ == "__main__":
    main()
