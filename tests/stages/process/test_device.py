"""What hardware flags come to, and what people are told of them."""

import logging
from collections.abc import Iterator

import cv2
import pytest
from torch.utils.data import Dataset

from stages.job import Hardware
from stages.loading import in_batches, loader
from stages.process import device
from stages.process.device import prepare


@pytest.mark.parametrize(("precision", "has", "told"), [("bf16", False, 1), ("bf16", True, 0), ("32", False, 0)])
def test_a_processor_without_bf16_is_told_of_once(
    precision: str, has: bool, told: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda: has)
    device._warn_of_bf16.cache_clear()
    with caplog.at_level(logging.WARNING, logger="patchchain"):
        flags = [prepare(Hardware(device="cpu", precision=precision, threads=1)) for _ in range(2)]
    said = [record.message for record in caplog.records if "bf16" in record.message]
    assert len(said) == told
    assert {one["precision"] for one in flags} == {"bf16-mixed" if precision == "bf16" else "32-true"}


def test_whether_it_has_can_be_asked() -> None:
    assert device.has_bf16() in (True, False)


class _OpenCvThreads(Dataset[int]):
    def __getitem__(self, batch: range) -> int:
        return cv2.getNumThreads()


@pytest.fixture
def opencv_as_before() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("opencv_as_before")
@pytest.mark.parametrize("workers", [0, 1])
def test_opencv_keeps_to_the_thread_that_calls_it(workers: int) -> None:
    prepare(Hardware(device="cpu"))
    assert list(loader(_OpenCvThreads(), in_batches(2, 1), workers, seed=0)) == [1, 1]
