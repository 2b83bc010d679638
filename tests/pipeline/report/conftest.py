"""Runs to report on: one on slides and one in CT, drawn once; hostile names in both."""

from pathlib import Path

import pytest

from benchmarks.fake_run import Shape, fake_run
from data.splits.written import LABELLED, TEST, VALIDATION
from pipeline.directory.layout import Layout
from pipeline.report.build import Options, write_report

EVIL = (
    '"><img src=x onerror=alert(1)>',
    "</style></title><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u202egnp.exe\u05d0\u05d1",
    "{{ 7 * 7 }}{% for x in () %}",
    "\x1b[2J\x07&#x3c;b&#x3e;",
    "' onmouseover='alert(1)" + "x" * 150,
)
PARTS = {LABELLED: 60, VALIDATION: 150, TEST: 120}


def name_of(k: int) -> str:
    """A slide's, a patient's or a site's: all but a few attack."""
    return f"{EVIL[k]} {k}" if k < len(EVIL) else f"slide {k}"


@pytest.fixture(scope="session")
def slides_run(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Three rounds on slides; classes, slides, patients and sites with names that attack."""
    classes = (*EVIL[:3], "stroma")
    shape = Shape(500, PARTS, classes, 9, 3, 20, slide_name=name_of, patient_name=name_of, site_name=name_of)
    layout = fake_run(tmp_path_factory.mktemp("report") / "<b>run", shape)
    write_report(layout, options=Options(embed=200))
    return layout


@pytest.fixture(scope="session")
def volume_run(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """One round in CT, two windows."""
    layout = fake_run(
        tmp_path_factory.mktemp("report") / "ct", Shape(200, PARTS, slides=4, rounds=1, size_px=16, volume=True)
    )
    write_report(layout, options=Options(embed=0))
    return layout


@pytest.fixture(scope="session")
def page(slides_run: Layout) -> Path:
    """The page of `slides_run`."""
    return slides_run.root / "report.html"
