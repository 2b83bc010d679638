"""What is open at once is bounded, however much there is to open: the least recently used goes first."""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Entry(Generic[V]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: list[V] = []  # one, once it is made


class Recent(Generic[K, V]):
    """`open_(key)` of the `most` keys asked for last, in this process; safe for threads, begun anew after a fork.

    Of several threads that ask for a key the first opens it while the others wait. What is let go closes when the last
    thread that uses it lets go of it too. An error of `open_` is raised and not remembered.
    """

    def __init__(self, open_: Callable[[K], V], most: int) -> None:
        assert most > 0
        self._make, self._most = open_, most
        self._reset()
        if hasattr(os, "register_at_fork"):
            # a lock may be held by a thread that does not come along. Weak: a registration cannot be taken back
            reset = weakref.WeakMethod(self._reset)
            os.register_at_fork(after_in_child=lambda: (alive := reset()) and alive())

    def __len__(self) -> int:
        return len(self._entries)

    def __call__(self, key: K) -> V:
        """Raises what `open_` raises."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with entry.lock:
            if not entry.made:
                entry.made.append(self._make(key))
        return entry.made[0]

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
