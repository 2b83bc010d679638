"""Memory that training frees and asks for again at every step stays with the process, instead of going to the kernel.

glibc gives large blocks back at once, and every page of the next one is then cleared and mapped anew: on the CPU of a
virtual machine a third of a training's time (`python -m benchmarks.allocator`). Nothing that is computed changes.
"""

import ctypes
import platform

# from malloc.h: the parameters of mallopt, and their values here
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
KEPT = ((MMAP_THRESHOLD, 32 << 20), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 256 << 20))


def keep_freed_memory() -> bool:
    """Ask the allocator for it; whether it was heard. Does nothing where the C library is another than glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all(library.mallopt(name, value) == 1 for name, value in KEPT)
