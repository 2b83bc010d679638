"""Labelling and training by two ranks under torchrun, within a real chain, against the same chain on one device.

Tolerances: scores of a labelling and the selection made from them byte for byte; of the trained student every
log-probability within 1e-2, and no predicted class another (see tests/stages/train/test_ranks.py).
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import run_chain
from stages.measures.judged import read_judged
from tests.tiny import CHAIN

CPU = ["--device", "cpu", "--threads", "1"]


@pytest.mark.slow
def test_a_chain_on_two_devices_is_the_chain_on_one(tmp_path: Path) -> None:
    config, one, two = tmp_path / "tiny.yaml", tmp_path / "one", tmp_path / "two"
    config.write_text(CHAIN.replace("rounds: 2", "rounds: 1"))
    assert run_chain.main(["run", str(config), str(one), *CPU]) == 0
    shutil.copytree(one, two)
    assert run_chain.main(["rerun", str(two), "--from", "rounds/00/predict", *CPU, "--devices", "2"]) == 0
    for name in ("predict/scores.h5", "select/selection.parquet"):
        assert (two / "rounds/00" / name).read_bytes() == (one / "rounds/00" / name).read_bytes()
    expected, found = (read_judged(run / "rounds/00/student") for run in (one, two))
    assert expected is not None
    assert found is not None
    assert np.array_equal(found.predicted, expected.predicted)
    assert np.abs(found.log_probs - expected.log_probs).max() < 1e-2
    # how it was run enters no recipe
    recipes = [json.loads((run / "rounds/00/predict/stage.json").read_text())["recipe"] for run in (one, two)]
    assert recipes[0] == recipes[1]
    assert run_chain.main(["verify", str(two)]) == 0
    assert run_chain.main(["resume", str(two), *CPU]) == 0
    logs = [path.name for path in (two / "logs/rounds/00/student").iterdir()]
    assert {"stage.log", "rank-1.log", "rank-0.out", "rank-1.out", "launcher.log"} <= {*logs}
