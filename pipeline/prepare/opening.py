"""Before anything is prepared: the lock, the key, the list of what there is; and undoing a refused first start."""

import contextlib
from collections.abc import Iterator

from data.errors import ChainError, ExitCode
from data.preparation import Preparation, Refusal, Unit
from pipeline.directory.lock import held
from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare.settings import refuse_another
from stages.process.signals import Ended

PATIENCE_S = 10.0  # for workers of a killed start to end


def list_units(preparation: Preparation, key: bytes) -> list[Unit | Refusal]:
    """What there is to prepare. Raises ChainError; of anything else a keyed preparation tells only the kind."""
    try:
        listed = preparation.units(key)
    except (ChainError, MemoryError):
        raise
    except Exception as error:
        if not preparation.keyed:
            raise
        raise ChainError(
            f"the input could not be listed ({type(error).__name__})",
            "this is a fault of the program; what it said may name a person and is not repeated",
            "tell us the command and this line",
            ExitCode.INTERNAL,
        ) from None
    names = [one.name for one in listed]
    assert len(set(names)) == len(names), "a preparation gives every unit a name of its own"
    return listed


def key_of(layout: PreparedLayout, preparation: Preparation) -> bytes:
    """The secret of keyed hashes: the user's, or one made once in the directory, readable by its owner alone."""
    if not preparation.keyed:
        return b""
    from data.patches.deid import own_id_key

    return preparation.secret() or own_id_key(layout.key)


@contextlib.contextmanager
def locked(layout: PreparedLayout, preparation: Preparation) -> Iterator[int]:
    """Hold the directory, made where it is not there; yields the lock's descriptor.

    Raises ChainError: 69 in use, 73 not writable, 78 when it holds something else.
    """
    root, made_root = layout.root, not layout.root.exists()
    refuse_another(layout, preparation)
    layout.make()
    with held(layout.lock, "prepare", PATIENCE_S) as lock_fd:
        try:
            yield lock_fd
        except ChainError:
            if not layout.begun:
                _forget(layout, made_root)
            raise
        except Ended as ended:
            ended.at = str(root)
            raise


def _forget(layout: PreparedLayout, made_root: bool) -> None:
    """Undo a refused first start."""
    for path in (layout.ledger, layout.key, layout.lock):
        path.unlink(missing_ok=True)
    if made_root:
        with contextlib.suppress(OSError):
            layout.root.rmdir()
