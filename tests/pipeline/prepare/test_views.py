"""`status`, `verify` and `check` of prepared directories."""

import json
import shutil
import socket
from pathlib import Path
from typing import ClassVar

import pytest

import run_chain
from data.errors import ChainError, ExitCode
from pipeline.directory import ledger
from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare import session
from pipeline.prepare.check import check
from pipeline.prepare.session import Options, prepare
from pipeline.prepare.views import status, verify
from tests.fake_preparation import FakePreparation, ImmediatePool, inputs
from tests.fake_stages import everything


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedLayout:
    """Two units done and one refused; finished all the same."""
    monkeypatch.setattr(session, "Pool", ImmediatePool)
    source = inputs(tmp_path / "in", a="ok 3", b="ok 2", c="refused")
    layout = PreparedLayout(tmp_path / "out")
    prepare(layout, FakePreparation(path=source, failure_limit=0.5), Options(1))
    return layout


def test_status_tells_what_is_done_what_failed_and_where_to_look(layout: PreparedLayout) -> None:
    before = everything(layout.root)
    lines = status(layout)
    assert lines[0] == f"{layout.root}: finished"
    assert lines[1].startswith("  2 of 3 fake done, 5 patches")
    assert "  failed     c: it is damaged" in lines
    assert str(layout.overview) in lines[-1]
    assert everything(layout.root) == before


def test_status_names_what_a_dead_start_left_unfinished(layout: PreparedLayout) -> None:
    (layout.stagings / "b").mkdir()
    layout.index.unlink()
    host = socket.gethostname()
    layout.lock.write_text(json.dumps({"pid": 999_999_999, "host": host, "since": "then", "verb": "prepare"}))
    lines = status(layout)
    assert "not finished; pid 999999999" in lines[0]
    assert "  unfinished b" in lines


def test_verify_reads_every_byte(layout: PreparedLayout) -> None:
    assert [line.split()[1] for line in verify(layout)] == ["a", "b", "prepared.json:"]
    for path in (layout.unit("a") / "patches.h5", layout.unit("b") / "facts.json", layout.unit("b") / "stage.json"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        with pytest.raises(ChainError) as caught:
            list(verify(layout))
        assert caught.value.code == ExitCode.DAMAGED
        assert f"units/{path.parent.name}" in caught.value.what
        assert f"prepare CONFIG {layout.root}" in caught.value.todo
        path.write_bytes(whole)


def test_the_remedy_that_verify_names_works(layout: PreparedLayout, tmp_path: Path) -> None:
    path = layout.unit("a") / "patches.h5"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ChainError):
        list(verify(layout))
    shutil.rmtree(layout.unit("a"))
    prepare(layout, FakePreparation(path=tmp_path / "in", failure_limit=0.5), Options(1))
    assert len(list(verify(layout))) == 3


def test_verify_sees_a_unit_exchanged_for_another_sound_one(layout: PreparedLayout, tmp_path: Path) -> None:
    other = PreparedLayout(tmp_path / "other")
    prepare(other, FakePreparation(path=tmp_path / "in", failure_limit=0.5, tint=5), Options(1))
    layout.unit("a").rename(tmp_path / "gone")
    other.unit("a").rename(layout.unit("a"))
    with pytest.raises(ChainError, match="is not as it was prepared"):
        list(verify(layout))


def test_check_lists_refusals_before_anything_is_made(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", a="ok 3", b="no mpp")
    lines: list[str] = []
    with pytest.raises(ChainError) as caught:
        lines += check(FakePreparation(path=source))
    assert caught.value.code == ExitCode.BAD_DATA
    assert "1 of 2 slides would be refused" in caught.value.what
    assert list(check(FakePreparation(path=source, failure_limit=0.5))) == [
        "ok       prepare: 1 slide to be cut into patches of 8 px at 0.5 um/px",
        "warning  b.txt: has no mpp: it is not stated; state it",
    ]


def test_check_says_that_its_names_lead_nowhere_unless_their_key_lasts(tmp_path: Path) -> None:
    class Keyed(FakePreparation):
        keyed: ClassVar[bool] = True
        key: bytes | None = None

        def secret(self) -> bytes | None:
            return self.key

    source = inputs(tmp_path / "in", a="ok 3", b="no mpp")
    for key, said in ((None, 1), (b"0123456789abcdef", 0)):
        lines = list(check(Keyed(path=source, failure_limit=0.5, key=key)))
        assert sum("a key of this moment" in line for line in lines) == said
    good = inputs(tmp_path / "good", a="ok 3")
    assert not any("a key of this moment" in line for line in check(Keyed(path=good)))


def test_check_finds_that_nothing_would_be_left_whatever_may_fail(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", b="no mpp")
    for limit, what in ((1.0, "none is left"), (0.0, "prepare.failure_limit is 0")):
        with pytest.raises(ChainError) as caught:
            list(check(FakePreparation(path=source, failure_limit=limit)))
        assert caught.value.what == f"1 of 1 slide would be refused; {what}"
        assert caught.value.todo == "state it"


def test_the_verbs_know_a_prepared_directory(layout: PreparedLayout, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_chain.main(["status", str(layout.root)]) == 0
    assert "finished" in capsys.readouterr().out
    assert run_chain.main(["verify", str(layout.root)]) == 0
    ledger.append(layout.ledger, "start")
    (layout.unit("a") / "patches.h5").unlink()
    assert run_chain.main(["verify", str(layout.root)]) == ExitCode.DAMAGED
