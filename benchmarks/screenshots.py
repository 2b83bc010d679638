"""Two pictures of the demo's report for the README: the result at 1280 px, and a gallery at 360 px.

    python -m benchmarks.screenshots [RUN] [--into docs]

Writes the report of RUN (runs/demo) first, then opens it in headless Chromium.
"""

import argparse
from pathlib import Path

from benchmarks.browser import browser
from pipeline.directory.layout import Layout
from pipeline.report.build import write_report

OPEN = "for (const one of document.querySelectorAll('details')) one.open = {};"
GALLERY = """
const found = [...document.querySelectorAll('[id^=round-]')].at(-1);
let one = found.querySelector('.gallery');
while (one = one.parentElement?.closest('details')) one.open = true;
found.querySelector('.gallery').closest('details').scrollIntoView();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/demo"))
    parser.add_argument("--into", type=Path, default=Path("docs"))
    args = parser.parse_args()
    args.into.mkdir(parents=True, exist_ok=True)
    print(write_report(Layout(args.run)))
    page = args.run / "report.html"
    with browser() as tab:
        tab.open(page, 1280, 1500)
        tab.picture(args.into / "report-wide.png")
        tab.open(page, 360, 780, dark=True)
        tab.value(f"{OPEN.format('false')}{GALLERY}")
        tab.picture(args.into / "report-narrow.png")
    for name in ("report-wide.png", "report-narrow.png"):
        path = args.into / name
        print(f"{path}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
