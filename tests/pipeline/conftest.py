"""Fixtures of the pipeline's tests."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    # a killed process loses nothing that the kernel has; fsync matters for power cuts, which no test can make
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
