"""Two ranks without the seconds of their start: children of this process, which has torch already."""

import contextlib
import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path


def in_ranks(count: int, do: Callable[[], object], log: Path) -> None:
    """Run `do` in `count` forked ranks that meet through gloo. Raises AssertionError where one fails."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    children = [_forked(rank, count, port, do, log) for rank in range(count)]
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0] * count, "\n".join(path.read_text() for path in sorted(log.parent.glob(f"{log.name}*")))


def _forked(rank: int, count: int, port: int, do: Callable[[], object], log: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    with contextlib.suppress(BaseException):
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        try:
            do()
            code = 0
        except BaseException:  # noqa: BLE001 the child must end here, whatever happened
            Path(f"{log}-{rank}").write_text(traceback.format_exc())
    os._exit(code)
