"""Laws of a prepared directory: what is skipped, made again, adopted, left over, refused; whatever strikes it."""

import errno
import fcntl
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from data.errors import ChainError, ExitCode
from data.patches.deid import key_name, read_id_key
from data.prepared import key_of, read_index
from data.readers.prepared import Prepared
from pipeline.directory import ledger
from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare import session
from pipeline.prepare.prepdir import PrepDir, changed
from pipeline.prepare.session import Options, prepare
from tests.fake_preparation import FakePreparation, ImmediatePool, KeyedPreparation, committed, inputs
from tests.fake_stages import everything
from tests.pipeline.test_kills import FAILED, STRUCK, UNREACHED, in_child
from tests.small_process import in_small_process

OK = {"a": "ok 3", "b": "ok 2", "c": "ok 4"}


def make_immediate(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(session, "Pool", ImmediatePool)
    # asked of every installed package at every start, a hundred times in a sweep; the ledger takes any
    patched.setattr(ledger, "versions", lambda: {})


@pytest.fixture(autouse=True)
def _immediate(monkeypatch: pytest.MonkeyPatch) -> None:
    make_immediate(monkeypatch)


def run(root: Path, source: Path, **settings: Any) -> str:
    return prepare(PreparedLayout(root), FakePreparation(path=source, **settings), Options(1))


def refused(do: Any) -> ChainError:
    with pytest.raises(ChainError) as caught:
        do()
    return caught.value


def trashed(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".trash").glob("*"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return inputs(tmp_path / "in", **OK)


@pytest.fixture
def done(tmp_path: Path, source: Path) -> Path:
    run(tmp_path / "out", source)
    return tmp_path / "out"


def test_a_finished_directory_lists_every_unit_in_the_order_of_the_input(done: Path) -> None:
    assert [(unit.name, unit.patches) for unit in read_index(done)] == [("a", 3), ("b", 2), ("c", 4)]
    names = {path.name for path in (done / "units" / "a").iterdir()}
    assert names == {"patches.h5", "quarantine.csv", "thumbnail.jpg", "facts.json", "stage.json"}
    assert (done / "table.csv").read_text().count("\n") == 4
    assert (done / "overview.html").read_text().count("data:image/jpeg;base64,") == 3
    assert list((done / ".staging").iterdir()) == []


def test_the_summary_counts_units_patches_and_what_was_skipped(tmp_path: Path, source: Path, done: Path) -> None:
    inputs(source, d="ok 1")
    summary = run(done, source)
    assert summary.startswith("4 slides, 3 skipped; 10 patches of 8 px at 0.5 um/px; ")
    assert summary.endswith(" patches/s")
    assert run(done, source) == "4 slides, 4 skipped; 10 patches of 8 px at 0.5 um/px"


def test_a_unit_without_a_patch_is_done_named_and_passed_over(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    inputs(source, b="empty")
    summary = run(tmp_path / "out", source)
    assert summary.startswith("3 slides, 1 without a patch; 7 patches")
    assert "b.txt has no patch: no patch has enough tissue" in caplog.text
    assert "b.txt,b,done,0,0" in (tmp_path / "out" / "table.csv").read_text()
    assert [(unit.name, unit.patches) for unit in read_index(tmp_path / "out")] == [("a", 3), ("b", 0), ("c", 4)]
    records = list(Prepared(path=tmp_path / "out").records())
    assert sorted({record.key.split("/")[0] for record in records}) == ["a", "c"]
    assert ", 3 skipped" in run(tmp_path / "out", source)


def test_of_many_failures_the_first_are_said_and_the_table_names_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = inputs(tmp_path / "in", good="ok 1", **{f"bad{i:03d}": "no mpp" for i in range(50)})
    run(tmp_path / "out", source, failure_limit=1.0)
    assert caplog.text.count("has no mpp") == session.SHOWN
    assert caplog.text.count("all are named at the end in") == 1
    assert (tmp_path / "out" / "table.csv").read_text().count("it is not stated") == 50


def test_not_one_patch_in_all_is_refused(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", a="empty", b="empty")
    error = refused(lambda: run(tmp_path / "out", source))
    assert error.code == ExitCode.BAD_DATA
    assert error.what == "not one patch was found in 2 slides"
    assert error.why.startswith("a.txt: no patch has enough tissue; b.txt")
    assert not (tmp_path / "out" / "prepared.json").exists()


def test_the_same_command_again_makes_nothing_and_changes_nothing(
    done: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = committed(done)
    monkeypatch.setattr(session, "Pool", None)  # nobody may be asked
    for path in [*source.iterdir(), *done.rglob("*")]:
        os.utime(path, (0, 0))
    run(done, source)
    assert committed(done) == before


def test_a_moved_directory_and_a_moved_input_raise_no_alarm(done: Path, source: Path, tmp_path: Path) -> None:
    before = committed(done)
    del before["prepare.yaml"]
    shutil.move(source, tmp_path / "elsewhere")
    shutil.move(done, tmp_path / "moved")
    assert ", 3 skipped" in run(tmp_path / "moved", tmp_path / "elsewhere")
    assert before.items() <= committed(tmp_path / "moved").items()


def test_changed_settings_make_every_unit_again_and_set_the_old_aside(
    done: Path, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run(done, source, tint=7)
    assert "a.txt (prepare.tint: 0 -> 7)" in caplog.text
    assert trashed(done) == ["units-a", "units-b", "units-c"]
    run(tmp_path / "fresh", source, tint=7)
    assert committed(done) == committed(tmp_path / "fresh")


@pytest.mark.parametrize("settings", [{"failure_limit": 0.5}, {"quarantine_limit": 0.5}, {"pattern": "?.txt"}])
def test_settings_that_change_no_unit_make_none_again(done: Path, source: Path, settings: dict[str, Any]) -> None:
    assert ", 3 skipped" in run(done, source, **settings)
    assert trashed(done) == []


def test_a_changed_input_makes_that_unit_again_and_no_other(
    done: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    inputs(source, b="ok 5")
    assert ", 2 skipped" in run(done, source)
    assert trashed(done) == ["units-b"]
    assert "b.txt (its input, or what its settings mean for it, has changed)" in caplog.text
    assert [unit.patches for unit in read_index(done)] == [3, 5, 4]


def test_of_a_setting_that_also_changes_the_fingerprint_the_setting_is_named() -> None:
    before = {"kind": "slides", "version": 1, "section": {"encoding": "jpeg"}, "inputs": {"input": "sha256:a"}}
    after = {**before, "section": {"encoding": "reference"}, "inputs": {"input": "sha256:b"}}
    assert changed(before, after) == "prepare.encoding: jpeg -> reference"
    assert (
        changed(before, {**before, "inputs": {"input": "sha256:b"}})
        == "its input, or what its settings mean for it, has changed"
    )


DAMAGE = {
    "file cut": lambda unit: (unit / "patches.h5").write_bytes(b"half"),
    "file gone": lambda unit: (unit / "thumbnail.jpg").unlink(),
    "record gone": lambda unit: (unit / "stage.json").unlink(),
    "record damaged": lambda unit: (unit / "stage.json").write_text("{"),
    "empty": lambda unit: shutil.rmtree(unit) or unit.mkdir(),
    "facts": lambda unit: (unit / "facts.json").write_bytes(b"x" * (unit / "facts.json").stat().st_size),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_unit_that_is_not_whole_is_never_accepted(done: Path, source: Path, name: str) -> None:
    before = committed(done)
    DAMAGE[name](done / "units" / "b")
    assert ", 2 skipped" in run(done, source)
    assert trashed(done) == ["units-b"]
    assert committed(done) == before


def test_a_unit_over_a_lowered_quarantine_limit_is_made_again_and_fails(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", a="ok 3", b="bad 9")
    run(tmp_path / "out", source, quarantine_limit=0.5)
    error = refused(lambda: run(tmp_path / "out", source, quarantine_limit=0.01))
    assert "b.txt: 1 of 10 patches" in error.why
    assert "x1_y1" in (tmp_path / "out" / "logs" / "b.quarantine.csv").read_text()
    assert "'=damaged" in (tmp_path / "out" / "logs" / "b.quarantine.csv").read_text()


def test_what_is_no_longer_in_the_input_is_named_left_and_not_listed(
    done: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (source / "b.txt").unlink()
    run(done, source)
    assert "no longer in the input, left standing and not listed: b" in caplog.text
    assert [unit.name for unit in read_index(done)] == ["a", "c"]
    assert (done / "units" / "b" / "stage.json").is_file()


def test_failures_end_with_65_after_everything_else_was_prepared(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inputs(source, d="refused", e="no mpp")
    error = refused(lambda: run(tmp_path / "out", source))
    assert error.code == ExitCode.BAD_DATA
    assert error.what.startswith("2 of 5 slides could not be prepared")
    assert error.why == "d.txt: it is damaged; e.txt: has no mpp: it is not stated"
    assert "the other 3 stand" in error.todo
    assert not (tmp_path / "out" / "prepared.json").exists()
    assert "d.txt: it is damaged; copy it again" in caplog.text
    assert "5 slides, 2 failed" not in error.what
    run(tmp_path / "out", source, failure_limit=0.4)
    assert [unit.name for unit in read_index(tmp_path / "out")] == ["a", "b", "c"]
    (source / "d.txt").unlink()
    inputs(source, e="ok 1")
    assert "4 slides, 3 skipped; " in run(tmp_path / "out", source)


def test_a_label_that_settings_name_and_no_patch_has_is_named(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FakePreparation, "named_labels", lambda self: ["nodule"])
    run(tmp_path / "out", source)
    assert "prepare.labels names nodule, and no patch has this class" in caplog.text


def test_an_index_is_gone_from_the_first_change_until_all_is_well_again(done: Path, source: Path) -> None:
    inputs(source, d="refused")
    refused(lambda: run(done, source))
    assert not (done / "prepared.json").exists()
    (source / "d.txt").unlink()
    run(done, source)
    assert (done / "prepared.json").exists()


def test_when_nothing_could_be_prepared_no_limit_helps(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", a="refused")
    error = refused(lambda: run(tmp_path / "out", source, failure_limit=1.0))
    assert error.code == ExitCode.BAD_DATA
    assert error.what == "1 of 1 slide could not be prepared; none is left"
    assert "failure_limit" not in error.todo
    assert refused(lambda: run(tmp_path / "out", source)).what.endswith("prepare.failure_limit is 0")


def test_a_refused_first_start_leaves_nothing(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in")
    error = refused(lambda: run(tmp_path / "deep" / "out", source))
    assert error.code == ExitCode.MISSING
    assert not (tmp_path / "deep" / "out").exists()
    (tmp_path / "empty").mkdir()
    refused(lambda: run(tmp_path / "empty", source))
    assert everything(tmp_path / "empty") == {}


def test_a_directory_that_holds_something_else_is_refused_untouched(tmp_path: Path, source: Path, done: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("rounds: 1")
    before = everything(tmp_path)
    assert refused(lambda: run(tmp_path / "run", source)).code == ExitCode.MISMATCH
    assert refused(lambda: run(source / "a.txt", source)).code == ExitCode.MISMATCH
    other = KeyedPreparation(path=source)
    error = refused(lambda: prepare(PreparedLayout(done), other, Options(1)))
    assert "holds prepared fake, not keyed" in error.what
    assert everything(tmp_path) == before


def test_a_second_start_beside_the_first_is_69_and_changes_nothing(done: Path, source: Path) -> None:
    before = everything(done)
    with (done / "chain.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refused(lambda: run(done, source, tint=3)).code == ExitCode.IN_USE
    assert everything(done) == before


def test_a_sealed_orphan_is_adopted_and_an_unsealed_one_is_not(
    done: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = committed(done)
    for name in "abc":
        (done / "units" / name).rename(done / ".staging" / name)
    (done / ".staging" / "b" / "stage.json").unlink()
    flipped = done / ".staging" / "c" / "patches.h5"
    flipped.write_bytes(flipped.read_bytes()[:-1] + b"?")
    assert ", 1 skipped" in run(done, source)
    assert "a was finished by an earlier start" in caplog.text
    assert committed(done) == before


def test_an_orphan_made_by_other_settings_is_not_adopted(done: Path, source: Path) -> None:
    shutil.move(done / "units" / "a", done / ".staging" / "a")
    run(done, source, tint=1)
    assert "skipped" not in run(done, source, tint=2)


def sweep(tmp_path: Path, begin: Any, do: Any, error: int | None) -> int:
    """Strike the orchestrator at every write once, do the same again, compare. Returns the number of points."""
    begin(tmp_path / "plain")
    do(tmp_path / "plain")
    truth = committed(tmp_path / "plain")
    point, code, struck = 0, STRUCK, tmp_path / "struck"
    while code != UNREACHED:
        point += 1
        begin(struck)
        code = in_child(lambda: do(struck), point, error)
        assert code != FAILED, f"point {point}"
        do(struck)
        assert committed(struck) == truth, f"point {point}"
        assert not [part for part in struck.rglob("*.part") if ".trash" not in part.parts], f"point {point}"
        assert not list((struck / ".staging").iterdir()), f"point {point}"
        shutil.rmtree(struck)
    return point - 1


def sweep_of_a_first_start(tmp_path: str, error: int | None) -> int:
    source = inputs(Path(tmp_path, "in"), a="ok 1", b="ok 2")
    with pytest.MonkeyPatch.context() as patched:
        make_immediate(patched)
        return sweep(Path(tmp_path), lambda root: None, lambda root: run(root, source), error)


def sweep_of_other_settings(tmp_path: str) -> int:
    source, before = inputs(Path(tmp_path, "in"), a="ok 1"), Path(tmp_path, "before")
    with pytest.MonkeyPatch.context() as patched:
        make_immediate(patched)
        run(before, source)
        return sweep(
            Path(tmp_path), lambda root: shutil.copytree(before, root), lambda root: run(root, source, tint=9), None
        )


@pytest.mark.parametrize("error", [None, errno.ENOSPC], ids=["killed", "disk full"])
def test_struck_between_any_two_writes_ends_with_the_same_bytes(tmp_path: Path, error: int | None) -> None:
    assert in_small_process(sweep_of_a_first_start, str(tmp_path), error) > 40


def test_struck_while_units_are_made_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    assert in_small_process(sweep_of_other_settings, str(tmp_path)) > 25


def test_of_inputs_that_may_name_people_no_path_is_kept(tmp_path: Path) -> None:
    source = inputs(tmp_path / "CANARY_folder", CANARY_name="ok 2", other="refused")
    out = tmp_path / "out"
    prepare(PreparedLayout(out), KeyedPreparation(path=source, failure_limit=1.0), Options(1))
    kept = [path for path in out.rglob("*") if path.is_file() and ".trash" not in path.parts]
    assert len(kept) > 8
    # the fake writes patient and slide as it was told; that is the preparation's own duty
    ours = [path for path in kept if path.name != "patches.h5"]
    assert not [path for path in ours if b"CANARY" in path.read_bytes() or "CANARY" in path.name]
    assert (out / "id_key").stat().st_mode & 0o777 == 0o600
    assert key_of(out) == key_name(read_id_key(out / "id_key")), "the index says which key it is"
    assert json.loads((out / "prepared.json").read_bytes())["key"] == key_of(out)


def test_the_listing_of_a_keyed_preparation_tells_no_more_than_the_kind_of_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, key: bytes) -> None:
        raise RuntimeError("of CANARY")

    monkeypatch.setattr(FakePreparation, "units", broken)
    error = refused(lambda: prepare(PreparedLayout(tmp_path / "out"), KeyedPreparation(path=tmp_path), Options(1)))
    assert error.code == ExitCode.INTERNAL
    assert "CANARY" not in "".join(error.lines())
    with pytest.raises(RuntimeError):
        run(tmp_path / "out", tmp_path)


def test_facts_and_recipes_hold_no_times_hosts_or_paths(done: Path, tmp_path: Path) -> None:
    for name in ("facts.json", "stage.json"):
        assert str(tmp_path) not in (done / "units" / "a" / name).read_text()
    recipe = json.loads((done / "units" / "a" / "stage.json").read_text())["recipe"]
    assert recipe["section"] == {"kind": "fake", "size_px": 8, "tint": 0}
    assert PrepDir(PreparedLayout(done), FakePreparation(path=tmp_path)).record("a").recipe == recipe
