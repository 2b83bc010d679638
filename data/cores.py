"""How many cores this process may use."""

import os


def cores() -> int:
    """At least 1; what a scheduler or `taskset` allows, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
