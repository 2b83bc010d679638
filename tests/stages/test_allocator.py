"""Freed memory stays with the process: asked for where it can be, and nothing else changes."""

import platform

import torch

from stages.allocator import keep_freed_memory


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
