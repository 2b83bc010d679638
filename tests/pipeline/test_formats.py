"""Run directories of older programs, kept in `golden/` as these wrote them, are read; those of newer ones are refused.

They hold no real weights: what counts is how a directory is laid out, sealed and digested. A recipe that changed
since, a new key or another version of a stage, is a refusal by name and no failure of this test.
"""

import json
import shutil
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.directory.record import FORMAT
from pipeline.verify import verify
from pipeline.views.status import status
from tests.fake_stages import FakeLauncher, committed, session

GOLDEN = Path(__file__).parent / "golden"
FORMATS = sorted(path.name for path in GOLDEN.iterdir())


@pytest.fixture(params=FORMATS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN / request.param, tmp_path / "run")
    return tmp_path / "run"


def test_there_is_one_of_every_format() -> None:
    assert [f"format-{number}" for number in range(1, FORMAT + 1)] == FORMATS


def test_what_an_older_program_made_is_looked_at_and_verified(kept: Path) -> None:
    lines = status(Layout(kept))
    assert sum(line.strip().startswith(("done", "refused")) for line in lines) == 4
    list(verify(Layout(kept)))
    path = kept / "rounds/00/teacher/result.json"
    path.write_bytes(path.read_bytes().replace(b"teacher", b"Teacher", 1))
    with pytest.raises(ChainError, match="rounds/00/teacher") as caught:
        list(verify(Layout(kept)))
    assert caught.value.code == ExitCode.DAMAGED


def test_it_is_gone_on_with_or_refused_by_the_name_of_what_changed(kept: Path) -> None:
    before, launcher = committed(kept), FakeLauncher()
    refusal: ChainError | None = None
    try:
        session(kept, launcher).resume()
    except ChainError as error:
        refusal = error
    if refusal is not None:
        assert refusal.code == ExitCode.MISMATCH
        assert "was made by a different recipe" in refusal.what
        assert "keep it: " in refusal.todo
        assert "remake it: " in refusal.todo
    assert launcher.launched == []
    assert {name for name, digest in committed(kept).items() if before[name] != digest} <= {"config.yaml"}


def test_what_a_newer_program_made_is_refused_and_left_as_it_is(kept: Path) -> None:
    for path in kept.rglob("stage.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1, "new": {}}))
    before = committed(kept)
    for look in (session(kept).resume, lambda: list(verify(Layout(kept))), lambda: session(kept).rerun("final", [])):
        with pytest.raises(ChainError) as caught:
            look()
        assert (caught.value.code, caught.value.todo) == (ExitCode.MISMATCH, "use the newer program")
    assert any("refused" in line for line in status(Layout(kept)))
    assert committed(kept).items() - before.items() <= {("config.yaml", committed(kept)["config.yaml"])}
