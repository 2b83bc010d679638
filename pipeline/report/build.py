"""The page of a run, and the files beside it: `write_report` is what the verb `report` does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes
from data.printable import shortened
from pipeline.directory.layout import Layout, command
from pipeline.directory.reviews import reviews
from pipeline.plan import FINAL
from pipeline.report.advice import advice, alarms_of, meaning
from pipeline.report.cards import Cards, said
from pipeline.report.charts import rounds_chart
from pipeline.report.facts import fact, pointer, resolved, shown
from pipeline.report.likeness import Likeness, likeness
from pipeline.report.map_view import MapView, map_view
from pipeline.report.palette import colour_class, css
from pipeline.report.places import Places, places
from pipeline.report.round_view import RoundView, round_view
from pipeline.report.run import Round, Run
from pipeline.report.series import series
from pipeline.report.slide_view import SlidesView, slides_view
from pipeline.report.suspect_view import SuspectsView, suspects_view
from pipeline.report.suspects import Suspects, suspects
from pipeline.report.tables import write_tables
from pipeline.report.verdict import Model, Verdict, verdict
from pipeline.views.inspection import SHARES, findings
from pipeline.views.status import rounds_of
from pipeline.views.text_table import count, percent, size
from pipeline.views.web_page import file_bytes, rendered
from stages.select.wording import licences_said

HERE = Path(__file__).parent
PAGE = "report.html"
MOST_ALARMS = 20  # at the top; each round has its own
# the page holds the first round and the last ones: with their galleries, and with their charts alone
MOST_GALLERIES, MOST_ROUNDS = 8, 20
GALLERY, FAR, DOUBTED = 12, 24, 24  # patches
# heading, path in a class's figures, kind, whether it is an audit
COLUMNS = (
    ("predicted", "/predicted", "count", False),
    ("kept", "/kept", "count", False),
    *((heading, f"/{field}", "percent", False) for heading, field in SHARES.items()),
)
AUDIT = (
    ("precision", "/audit/precision", "percent", True),
    ("recall", "/audit/recall", "percent", True),
)


@dataclass(frozen=True)
class Options:
    """embed: patches on the map, 0 for no map; seconds: for their embeddings, about; all_labels: a run to compare."""

    embed: int = 2000
    seconds: float = 45.0
    all_labels: Path | None = None


@dataclass(frozen=True)
class Findings:
    """All that page and tables are made of."""

    run: Run
    verdict: Verdict
    likeness: Likeness | None
    suspects: list[Suspects]
    places: Places | None
    last: Round | None


def write_report(layout: Layout, page: Path | None = None, options: Options | None = None) -> str:
    """Write the page (RUN/report.html unless said otherwise) and, beside it, a folder of its name with the tables.

    Returns a line for people. Reads committed files only, so it may be asked for while the chain runs. Raises
    ChainError: 66 where there is no run directory, 76 where a committed file cannot be read, 73 for a place that
    cannot be written, or a link in the run directory that leads out of it.
    """
    if page is None:
        layout.refuse_ways_out()
    target = page or layout.root / PAGE
    if target.is_dir() or not target.suffix:
        name = target / PAGE if target.is_dir() else f"{target}.html"
        raise ChainError(
            f"--out {shortened(str(target))} {'is a directory' if target.is_dir() else 'has no ending'}",
            "the page is a file, and its tables are written into a folder of its name without the ending",
            f"name the page, for instance {shortened(str(name))}",
            ExitCode.USAGE,
        )
    folder = target.with_suffix("")
    found = gathered(layout, options or Options())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ChainError(
            f"{folder} cannot be made: {error.strerror}",
            "the tables of the report are written there",
            "name another page with --out",
            ExitCode.NOT_WRITABLE,
        ) from error
    shown = sorted(_chosen(found.run.numbers, MOST_ROUNDS))
    files = write_tables(
        found.run, found.verdict, found.likeness, found.suspects, found.places, found.last, shown, folder
    )
    html = file_bytes(page_of(found, files, folder.name))
    write_bytes(target, html)
    return f"{target}: {size(len(html))}; its tables: {folder}"


def log_to(layout: Layout, asked: tuple[str, ...]) -> str:
    """Give the figures by round to loggers: tensorboard (with CSV, always), wandb, mlflow. Returns a line for people.

    Raises ChainError: 2 for one whose package is not installed, 73 for a link that leads out of the run directory.
    """
    layout.refuse_ways_out()
    from stages.round_log import log_rounds

    log = layout.logs / "rounds-log"
    log.mkdir(parents=True, exist_ok=True)
    log_rounds(log, series(findings(layout)), tuple(name for name in asked if name != "tensorboard"))
    return f"figures by round: {log}"


def build_page(layout: Layout, options: Options | None = None) -> str:
    """The page alone, as HTML, without writing anything: for who serves it. Raises what `write_report` raises."""
    return page_of(gathered(layout, options or Options()), [], "")


def gathered(layout: Layout, options: Options) -> Findings:
    """Read, and look once at the patches that the map is made of."""
    run = Run.open(layout)
    top = _finished(Layout(options.all_labels)) if options.all_labels else None
    if not run.drawn:
        return Findings(
            run, Verdict("", [], "none", "Nothing to show yet: no patch is stored.", {}), None, [], None, None
        )
    judged = verdict(run, top)
    seen = likeness(run, options.embed, options.seconds)
    last = run.round(run.numbers[-1]) if run.numbers else None
    return Findings(run, judged, seen, suspects(run, seen), places(run.store, run.table), last)


def _finished(layout: Layout) -> Layout:
    rounds_of(layout)
    if not layout.stands(FINAL):
        raise ChainError(
            f"--all-labels {layout.root}: this run is not finished",
            "its final model is what this one is compared with, and it has none yet",
            f"finish it first: {command('resume', layout.root)}",
            ExitCode.MISSING,
        )
    return layout


def page_of(found: Findings, files: list[tuple[str, str]], folder: str) -> str:
    """The page as HTML. files: (name, what it holds) in the folder beside it."""
    run = found.run
    cards = Cards(run.store, run.table, run.classes) if run.drawn else None
    rounds: list[RoundView] = []
    first: Round | None = None
    before: Round | None = None
    if cards is not None:
        detailed = _chosen(run.numbers, MOST_ROUNDS)
        pictured = _chosen(run.numbers, MOST_GALLERIES)
        for now in run.rounds():
            first = first or now
            if now.number in detailed:
                earlier = None if before is None else before.at(now.pool.ids)
                rounds.append(round_view(run, now, earlier, cards, GALLERY if now.number in pictured else 0))
            before = now
    slides: SlidesView | None = None
    if found.places is not None and first is not None and found.last is not None:
        slides = slides_view(run, found.places, first, found.last)
    map_: MapView | None = None
    doubted: list[SuspectsView] = []
    if cards is not None:
        map_ = map_view(run, found.likeness, found.last, cards, FAR) if found.likeness is not None else None
        doubted = [suspects_view(run, one, cards, DOUBTED) for one in found.suspects]
    return rendered(
        f"Report of {said(run.layout.root.absolute().name)}",
        (HERE / "report.css").read_text(encoding="utf-8") + css(),
        (HERE / "report.html").read_text(encoding="utf-8"),
        **_words(found),
        **_helpers(found),
        rounds=rounds,
        left_out=_left_out(run, rounds),
        rounds_chart=rounds_chart(found.verdict),
        slides=slides,
        map=map_,
        suspects=doubted,
        files=files,
        folder=said(folder),
    )


def _words(found: Findings) -> dict[str, Any]:
    run = found.run
    names = [said(name, 40) for name in run.classes] if run.drawn else []
    stop = run.found["stop"]
    truth = any(one["quality"]["total"].get("audit") for one in run.found["rounds"])
    alarms = alarms_of([(one["round"], one["quality"].get("alarms", [])) for one in run.found["rounds"]])
    unit = next((one["quality"]["unit"] for one in run.found["rounds"] if one["quality"].get("unit")), "place")
    key = [("v", "validation"), ("t", "test")]
    if found.verdict.ceiling:
        key.append(("soft", "dotted: all labels"))
    return {
        "name": f"What {said(run.layout.root.absolute().name)} believes",
        "about": _about(run),
        "verdict": found.verdict,
        "metric": found.verdict.metric.replace("_", " ").capitalize(),
        "model_key": [*key, ("soft", "dashed: labels only")],
        "stop": meaning(stop["reason"]) or " " if stop else "",
        "alarms": [(rounds, said(what, 300), advice(what)) for rounds, what in alarms[-MOST_ALARMS:]],
        "truth": truth,
        "unit": unit,
        "raw_classes": list(run.classes) if run.drawn else [],
        "class_names": names,
        "columns": COLUMNS + (AUDIT if truth else ()),
        "overlay_key": [
            *((colour_class(code), name) for code, name in enumerate(names)),
            ("sure", "filled: at least 90 % sure"),
            ("unsure", "pale: less sure"),
            ("changed", "other class than in the first round"),
        ],
        "reviews": [
            (
                review.address,
                review.holds_from,
                said("; ".join(f"{k}: {v}" for k, v in sorted(review.about.items())), 300),
            )
            for review in reviews(run.layout)
        ],
    }


def _about(run: Run) -> str:
    if not run.drawn:
        return ""
    splits = run.given
    parts = [
        f"{count(len(splits.labelled))} labelled patches of {len(run.classes)} classes",
        f"{count(len(splits.pool))} in the pool",
        f"{count(len(splits.validation))} validation, {count(len(splits.test))} test",
    ]
    for owner in (run.patients, run.slides):
        known = len(set(owner.code[owner.code >= 0].tolist()))
        if known:
            parts.append(f"{count(known)} {owner.kind}s")
    rounds = run.found["rounds"]
    licences = rounds[-1]["quality"].get("licences") if rounds else None
    behind = f" Licences of the weights the labels come from: {said(licences_said(licences), 400)}." if licences else ""
    return "; ".join(parts) + "." + behind


def _helpers(found: Findings) -> dict[str, Any]:
    document = found.run.found

    def model_fact(model: Model, split: str, metric: str, kind: str = "percent") -> Any:
        path = _path_of(found.run, model.address)
        if path is not None:
            return fact(document, f"{path}/{split}/{metric}", kind)
        return shown((model.metrics.get(split) or {}).get(metric), kind)

    return {
        "fact": lambda path, kind: fact(document, path, kind),
        "has": lambda path: resolved(document, path) is not None,
        "model_fact": model_fact,
        "pointer": pointer,
        "percent": percent,
        "count": count,
        "colour": colour_class,
    }


def _path_of(run: Run, address: str) -> str | None:
    """Where `inspect --json` has the figures of a model."""
    if address == "final":
        return "/final"
    _, number, name = address.split("/")
    return f"/rounds/{run.numbers.index(int(number))}/{name}" if int(number) in run.numbers else None


def _chosen(numbers: list[int], most: int) -> set[int]:
    return set(numbers if len(numbers) <= most else [numbers[0], *numbers[-(most - 1) :]])


def _left_out(run: Run, rounds: list[RoundView]) -> str:
    words = []
    if len(rounds) < len(run.numbers):
        words.append(f"The first and the last {MOST_ROUNDS - 1} of {len(run.numbers)} rounds are shown")
    if len(rounds) > MOST_GALLERIES:
        words.append(f"galleries are drawn for the first and the last {MOST_GALLERIES - 1}")
    return "; ".join(words) + f"; all figures: {said(command('inspect', run.layout.root), 300)}" if words else ""
