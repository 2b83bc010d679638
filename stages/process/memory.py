"""Out of memory, with the sizes that were asked for. One message, one end: no loop of retries."""

import contextlib
import os
from collections.abc import Iterator

import torch

from data.errors import ChainError, ExitCode

# torch says these as a plain RuntimeError; "primitive" is all that oneDNN says when a kernel of its own finds no room,
# "thread" all that Python says when there is none for another stack
ON_THE_HOST = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "could not create a primitive",
               "can't start new thread")  # fmt: skip
A_WORKER = "DataLoader worker"
# which of them comes first depends on who notices
ITS_DEATH = ("killed by signal: Killed", "exited unexpectedly")


def ran_out(error: BaseException) -> bool:
    """Whether this error means that memory, of the device or of the host, did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(words in text for words in ON_THE_HOST)


@contextlib.contextmanager
def sizes_named(address: str, sizes: str, todo: str) -> Iterator[None]:
    """Turn running out of memory in this block into ChainError (71) that says `sizes` and what is free."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        worker = A_WORKER in str(error) and any(words in str(error) for words in ITS_DEATH)
        if not worker and not ran_out(error):
            raise
        what = "the system killed a loader process, as it does when memory runs out" if worker else "out of memory"
        raise ChainError(
            f"{address}: {what} with {sizes}",
            f"{free_memory()}: {str(error).splitlines()[0] if str(error) else 'nothing more was said'}",
            f"{todo}, then run the same command again; what was saved before is unchanged",
            ExitCode.OUT_OF_MEMORY,
        ) from error


def free_memory() -> str:
    """What is free now, in words: of the GPU where there is one, else of the host."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free on {torch.cuda.get_device_name()}"
    free, total = (os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
    return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free on this machine"
