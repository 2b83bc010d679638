"""The page of a chain on real colon tissue, through the command line and in a browser."""

import shutil
from pathlib import Path

import pytest

import run_chain
from benchmarks.browser import browser, chromium
from tests.pipeline.report.test_in_browser import MISSING
from tests.tiny import CHAIN

CRC5 = Path(__file__).resolve().parents[4] / "shared" / "data" / "crc5"
EACH = 30  # patches a class

pytestmark = pytest.mark.real


@pytest.mark.skipif(not CRC5.is_dir(), reason=f"{CRC5} is not here")
@pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH (Debian: apt-get install chromium)")
def test_crc5_has_a_page_with_every_picture_and_nothing_to_complain_of(tmp_path: Path) -> None:
    for folder in sorted(path for path in CRC5.iterdir() if path.is_dir()):
        (tmp_path / "patches" / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:EACH]:
            shutil.copy(path, tmp_path / "patches" / folder.name)
    config = tmp_path / "chain.yaml"
    source = "{kind: synthetic, patients: 10, patches_per_patient: 30, size_px: 24}"
    text = CHAIN.replace(source, "{kind: folder, path: patches}").replace("size_px: 24", "size_px: 96")
    config.write_text(text.replace("rounds: 2", "rounds: 1").replace("count: 4", "count: 3"))
    run = tmp_path / "run"
    assert run_chain.main(["run", str(config), str(run), "--threads", "1", "--quiet"]) == 0
    assert run_chain.main(["report", str(run), "--embed", "100"]) == 0
    with browser() as tab:
        for width in (360, 1280):
            tab.open(run / "report.html", width)
            tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert tab.value("document.images.length") > 40
            assert tab.value(MISSING) == 0
            assert tab.console == []
            assert tab.value("document.documentElement.scrollWidth") <= width
