"""Freed memory stays with the process: asked for where it can be, and nothing else changes."""

import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stages.process import allocator
from stages.process.allocator import keep_freed_memory


def test_the_allocator_hears_where_it_can() -> None:
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_nothing_that_is_computed_changes() -> None:
    torch.manual_seed(0)
    left, right = torch.randn(300, 300), torch.randn(300, 300)
    before = left @ right
    keep_freed_memory()
    assert torch.equal(left @ right, before)


def test_another_c_library_is_left_alone(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", ""))
    assert not keep_freed_memory()


AGAIN = """
import resource
import torch
from stages.process.allocator import keep_freed_memory

if {limited}:
    resource.setrlimit(resource.RLIMIT_AS, (64 << 30, 64 << 30))
keep_freed_memory()
for _ in range(12):  # small gaps between blocks keep the first few apart
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
@pytest.mark.parametrize("limited", [False, True])
def test_a_block_larger_than_glibcs_threshold_stays_too_unless_memory_may_be_refused(limited: bool) -> None:
    if not limited and allocator._may_be_refused():
        pytest.skip("memory may be refused here")
    script = AGAIN.format(limited=limited)
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    pages = (64 << 20) // resource.getpagesize()
    # of large pages, where the kernel hands them out, a mapped block needs few
    assert int(said) > 16 if limited else int(said) < pages / 100


@pytest.mark.parametrize(("said", "refused"), [("0", False), ("1", False), ("2", True)])
def test_a_kernel_that_promises_no_more_than_it_has_may_refuse(
    said: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "overcommit_memory").write_text(f"{said}\n")
    monkeypatch.setattr(allocator, "OVERCOMMIT", tmp_path / "overcommit_memory")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert allocator._may_be_refused() == refused
