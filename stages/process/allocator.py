"""Memory that training frees and asks for again at every step stays with the process, instead of going to the kernel.

glibc gives large blocks back at once, and every page of the next one is then cleared and mapped anew: on the CPU of a
virtual machine a third of a training's time (`python -m benchmarks.allocator`). Nothing that is computed changes.
"""

import ctypes
import platform
import resource
from pathlib import Path

# from malloc.h: the parameters of mallopt
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
KEPT = ((TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 256 << 20))
# no block is mapped by itself: glibc hears of no threshold above 32 MiB, and the maps of 64 patches of 96 px are larger
UNMAPPED = ((MMAP_MAX, 0),)
# where memory may be refused: a heap that has grown up to a limit leaves nothing for small blocks, whose refusal ends a
# process by abort(); a large block that is mapped is refused alone, and the run ends with 71. 65,536 is glibc's own
MAPPED_FROM_32_MIB = ((MMAP_MAX, 65_536), (MMAP_THRESHOLD, 32 << 20))

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")


def keep_freed_memory() -> bool:
    """Ask the allocator for it; whether it was heard. Does nothing where the C library is another than glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    large = MAPPED_FROM_32_MIB if _may_be_refused() else UNMAPPED
    return all(library.mallopt(*words) == 1 for words in KEPT + large)


def _may_be_refused() -> bool:
    """Whether asking for memory can fail: by a limit of this process, or a kernel that promises only what it has."""
    limits = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    if any(limit != resource.RLIM_INFINITY for limit in limits):
        return True
    return OVERCOMMIT.is_file() and OVERCOMMIT.read_text().strip() == "2"
