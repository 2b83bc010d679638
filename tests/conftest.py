"""Fixtures shared by the whole suite: a small real store with its splits, and stages run by hand."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.process.signals import PREEMPTIONS
from tests.tiny import TINY

gc.disable()  # until all is imported and collected: what is looked through again and again till then is there to stay
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ.pop("COLUMNS", None)  # tables are as wide as they are, whatever terminal the tests were started from


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: one that came last would be waited for by every other process."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    # a run that was ended by a signal hears none any more, which is for processes that are about to end
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM, *PREEMPTIONS)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    # a killed process loses nothing that the kernel has; fsync matters for power cuts, which no test can make
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _a_few_steps_show_themselves_as_many_would() -> Iterator[None]:
    # what is written every few seconds of long work is written at every step of the short work of tests
    from stages.process import progress

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(progress, "FILE_EVERY_S", -1.0)
        patched.setattr(progress, "LINE_EVERY_S", -1.0)
        yield


def order(kind: str, address: str, where: Path, section: dict[str, Any], inputs: dict[str, Path]) -> Any:
    """A job whose directories lie under `where`; its output is where/address."""
    from stages.job import Hardware, Job

    out, work, log = (where / part / address for part in ("", "work", "log"))
    for directory in (out, work, log):
        directory.mkdir(parents=True, exist_ok=True)
    return Job(address, kind, 0, 0, section, inputs, out, work, log, Hardware(device="cpu", threads=1))


@pytest.fixture(scope="session")
def patches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The stages `ingest` and `split` done: 5 classes of drawn tissue, 8 patients, 4 labels a class."""
    from data.config import DataConfig
    from data.splits.config import LabelCount, SplitsConfig
    from stages import ingest, split

    where = tmp_path_factory.mktemp("patches")
    source = {"kind": "synthetic", "patients": 8, "patches_per_patient": 30, "size_px": 24}
    data = DataConfig.model_validate({"size_px": 24, "sources": [source]}).model_dump(mode="json")
    first = order("ingest", "data/store", where, data, {})
    ingest.run(first)
    section = SplitsConfig(validation=0.2, test=0.2, labels=LabelCount(count=4)).model_dump(mode="json")
    second = order("split", "data/splits", where, section, {"store": first.out})
    split.run(second)
    return {"store": first.out, "splits": second.out}


@pytest.fixture(scope="session")
def teacher(patches: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained teacher's directory."""
    from stages.train import stage
    from stages.train.config import TeacherConfig

    section = TeacherConfig.model_validate(TINY).model_dump(mode="json")
    job = order("train", "rounds/00/teacher", tmp_path_factory.mktemp("teacher"), section, patches)
    stage.run(job)
    return Path(job.out)


@pytest.fixture(scope="session")
def labelled_pool(patches: dict[str, Path], teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The stages `predict` and `select` done by that teacher."""
    from stages.predict import stage as predict
    from stages.predict.config import PredictConfig
    from stages.select import stage as select

    where = tmp_path_factory.mktemp("labelled_pool")
    section = PredictConfig(batch_size=16, shard_batches=2).model_dump(mode="json")
    first = order("predict", "rounds/00/predict", where, section, {**patches, "teacher": teacher})
    predict.run(first)
    second = order(
        "select",
        "rounds/00/select",
        where,
        {"rule": "top_k", "k": 10},
        {**patches, "predict": first.out},
    )
    select.run(second)
    return {"predict": first.out, "select": second.out}


@pytest.fixture
def make_order() -> Callable[..., Any]:
    """`order`, for tests that run a stage by hand."""
    return order
