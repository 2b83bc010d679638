"""When Python looks for objects that hold each other and nobody needs: not while libraries are imported."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def none_collected() -> Iterator[None]:
    """While libraries are imported all that is made stays: looking for garbage is a tenth of what that costs."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def garbage_collected() -> Iterator[None]:
    """What this block made and nobody needs is gone after it.

    A trainer and what it trained hold each other: weights, moments and the mapped store of stages long done would stay,
    on the device too, until Python happens to look.
    """
    gc.freeze()  # what was there before, the libraries above all, need not be looked through
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
