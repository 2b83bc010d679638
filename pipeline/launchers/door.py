"""Before the first stage the run directory may be another's, or none: until then rank 0 speaks through a port.

It listens beside MASTER_PORT and says one thing: the exit code with which the chain ended.
"""

import contextlib
import os
import socket
import threading
import time

from data.errors import ExitCode
from pipeline.launchers.orders import LOOK_EVERY_S
from stages.process import signals

ANSWER_S = 30.0  # ranks are started within seconds of each other
CONNECT_S = 5.0
NAME_S = 0.5  # a follower says who it is as soon as it is connected
BESIDE, LAST_PORT = 1000, 65535


def opened() -> socket.socket | None:
    """Where followers wait for an answer as long as they have no order; None where the port is another's."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with contextlib.suppress(OSError):
        return socket.create_server(("", _port()), family=family, dualstack_ipv6=both)
    return None


def answer(door: socket.socket, unheard: set[str], code: ExitCode) -> None:
    """Tell followers that have no order how the chain ended: who waits, and who comes soon. Closes the door.

    unheard: the ranks that are waited for; anybody may ask, but only followers say who they are.
    """
    until = time.monotonic() + ANSWER_S
    # a signal ends the waiting: how the chain ended stays what it was
    with door, contextlib.suppress(TimeoutError, signals.Ended):
        while unheard and (left := until - time.monotonic()) > 0:
            door.settimeout(left)
            line, _ = door.accept()
            with line, contextlib.suppress(OSError):
                line.sendall(str(int(code)).encode())
                line.settimeout(NAME_S)
                unheard.discard(line.recv(20).decode(errors="replace"))


class Answer:
    """What rank 0 answers a follower that has no order yet. `code`: None as long as it has said nothing."""

    def __init__(self, rank: int) -> None:
        self.rank = str(rank)
        self.code: ExitCode | None = None
        self.needless = threading.Event()
        threading.Thread(target=self._ask, name="answer", daemon=True).start()

    def _ask(self) -> None:
        place = os.environ["MASTER_ADDR"], _port()
        while self.code is None and not self.needless.wait(LOOK_EVERY_S):
            # before rank 0 has come, and once there are orders, nobody is there, or somebody who says something else
            with contextlib.suppress(OSError, ValueError), socket.create_connection(place, CONNECT_S) as line:
                line.sendall(self.rank.encode())
                line.settimeout(None)
                self.code = ExitCode(int(line.recv(4)))


def _port() -> int:
    """Beside that of torch, which torchrun's agent holds from the start; far from it, where other chains may meet."""
    port = int(os.environ["MASTER_PORT"])
    return port + BESIDE if port + BESIDE <= LAST_PORT else port - BESIDE
