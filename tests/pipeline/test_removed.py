"""Every file that a run refers to, removed in turn: it is listed, and nothing is built without it."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.verify import verify
from tests.fake_stages import CONFIG, FakeLauncher, committed, config_in, session


def test_each_committed_file_that_is_removed_is_named_with_the_step_to_make_again(tmp_path: Path) -> None:
    run, aside = tmp_path / "run", tmp_path / "aside"
    config = config_in(tmp_path, CONFIG)
    session(run).run(config)
    truth = committed(run)
    shutil.rmtree(run / "final")  # something is left to do
    names = [name for name in truth if not name.startswith(("final", "config.yaml"))]
    assert len(names) > 15
    for name in names:
        (run / name).rename(aside)
        address = next(address for address in Layout(run).standing() if name.startswith(f"{address}/"))
        launcher = FakeLauncher()
        again = session(run, launcher)
        for look in (again.resume, partial(again.run, config), lambda: list(verify(Layout(run)))):
            with pytest.raises(ChainError) as caught:
                look()
            assert caught.value.code == ExitCode.DAMAGED, name
            assert f"{name} is missing" in caught.value.what
            assert address in caught.value.todo
        assert launcher.launched == []
        aside.rename(run / name)
    session(run).resume()
    assert committed(run) == truth


def test_a_removed_step_is_named_and_the_command_that_is_named_mends_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    session(run).run(config_in(tmp_path, CONFIG))
    truth = committed(run)
    for address in Layout(run).standing()[:-1]:
        shutil.rmtree(run / address)
        with pytest.raises(ChainError, match=address) as caught:
            session(run).resume()
        assert caught.value.code == ExitCode.MISMATCH
        at = caught.value.todo.split("--from ")[1].split()[0]
        session(run).rerun(at, [])
        assert committed(run) == truth


def test_weights_that_the_configuration_names_and_that_are_gone_stop_the_run_before_it_begins(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(json.dumps({}).encode())
    config = config_in(tmp_path, CONFIG + f"teacher: {{init: {{kind: full, path: {weights}}}}}")
    weights.unlink()
    with pytest.raises(ChainError, match=r"w\.safetensors is missing") as caught:
        session(tmp_path / "run").run(config)
    assert caught.value.code == ExitCode.MISSING
    assert not (tmp_path / "run").exists()
