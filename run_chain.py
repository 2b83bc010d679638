"""patchchain: multi-round teacher-student self-training on a few labelled and many unlabelled patches.

python run_chain.py run configs/demo.yaml runs/demo
python run_chain.py status runs/demo
"""

import argparse
import contextlib
import json
import logging
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ChainError, ExitCode
from data.printable import printable, printable_lines
from pipeline.crossval.layout import CrossLayout
from pipeline.failures import explained, internal
from pipeline.layout import Layout
from pipeline.prepare.layout import PreparedLayout
from pipeline.screen import log_to_screen
from pipeline.workspace import Workspace
from stages.signals import Ended, watched

if TYPE_CHECKING:
    from pipeline.record import Stop
    from pipeline.session import Session
    from stages.job import Hardware

LOG = logging.getLogger("patchchain")
LAUNCHERS = ["auto", "in_process", "torchrun", "slurm", "external"]
HANG_WORDS = "a process that comes no further for S seconds has hung (1800; 0: never)"
NOISE_WORDS = "where training patches are disturbed: by the loader, or, the same draws, where the network computes"
GRACE_WORDS = "after a signal, seconds for the batch to end and a checkpoint to be written (60)"
STALL_WORDS = "an input whose process is silent for S seconds has failed"


def example(args: argparse.Namespace) -> None:
    """Draw generated inputs, slides or CT, to try everything on."""
    from pipeline.example import draw_example
    from pipeline.example import example as chosen

    with watched():
        _show([draw_example(chosen(args.kind, args.seed, args.patients), args.directory)])


def check(args: argparse.Namespace) -> None:
    """Find what would stop a run or `prepare`, before hours are spent."""
    from pipeline.chain_config import ChainConfig
    from pipeline.check import check as of_chain
    from pipeline.config import load_either
    from pipeline.prepare.check import check as of_inputs

    config = load_either(args.config, args.set)
    if config.prepare is not None:
        for line in of_inputs(config.prepare):
            _show([line])
    if isinstance(config, ChainConfig):
        for line in of_chain(config):
            _show([line])


def prepare(args: argparse.Namespace) -> None:
    """Cut slides or CT volumes into patches, into OUT, or go on with it."""
    from pipeline.config import load_preparation
    from pipeline.prepare.session import Options
    from pipeline.prepare.session import prepare as into

    preparation = load_preparation(args.config, args.set)
    with watched():
        summary = into(PreparedLayout(args.out), preparation, Options(args.workers, args.stall))
    if not args.quiet:
        _show([summary])


def plan(args: argparse.Namespace) -> None:
    """Show every step, and whether it would run."""
    from pipeline.config import load_config
    from pipeline.plan_view import plan_view

    _show(plan_view(load_config(args.config, args.set), Layout(args.run) if args.run else None))


def run(args: argparse.Namespace) -> None:
    """Run a chain into RUN, or go on with it."""
    from pipeline.config import load_config

    _session(args, lambda session: session.run(load_config(args.config, args.set)))


def resume(args: argparse.Namespace) -> None:
    """Go on with RUN."""
    _session(args, lambda session: session.resume())


def crossval(args: argparse.Namespace) -> None:
    """Find how many rounds are worth it, each fold of the labels judging once, then run a chain on all labels."""
    from pipeline.config import load_config
    from pipeline.crossval.session import CrossValidation
    from pipeline.launchers.choose import launcher, resolved
    from pipeline.session import Session
    from pipeline.status import rounds_of
    from pipeline.summary import summary

    hardware = _hardware(args)
    if (name := resolved(args.launcher, hardware, os.environ)) == "external":
        raise ChainError(
            "--launcher external does not go with crossval",
            "ranks that others start follow one run directory, and a cross-validation is several",
            "use --launcher torchrun or slurm",
            ExitCode.USAGE,
        )
    layout = CrossLayout(args.out)
    with watched(args.grace) as watch:

        @contextlib.contextmanager
        def opened(run: Layout) -> "Iterator[Session]":
            with launcher(name, hardware, run.root) as chosen:
                yield Session(run, chosen, hardware, watch)

        say = _silent if args.quiet else _show
        stop = CrossValidation(layout, opened, say).run(load_config(args.config, args.set), args.folds)
    if not args.quiet:
        _show(summary(layout.chain, rounds_of(layout.chain).rounds, stop))


def rerun(args: argparse.Namespace) -> None:
    """Make a step and everything after it again."""
    _session(args, lambda session: session.rerun(args.start, args.set))


def status(args: argparse.Namespace) -> None:
    """Where a run, or a prepared directory, stands."""
    prepared = PreparedLayout(args.run)
    if prepared.begun:
        from pipeline.prepare.views import status as of_prepared

        _show(of_prepared(prepared))
        return
    from pipeline.status import status as lines

    _show(lines(Layout(args.run)))


def inspect(args: argparse.Namespace) -> None:
    """The quality of the pseudo-labels, by round and class."""
    from pipeline.inspect_run import findings, text

    found = findings(Layout(args.run), args.round)
    _show(json.dumps(found, indent=1).splitlines() if args.json else text(found))


def report(args: argparse.Namespace) -> None:
    """Write what RUN believes as one HTML page, with tables beside it."""
    from pipeline.report.build import Options, log_to, write_report

    layout = Layout(args.run)
    _show([write_report(layout, args.out, Options(embed=args.embed, all_labels=args.all_labels))])
    if args.logger:
        _show([log_to(layout, tuple(args.logger))])


def verify(args: argparse.Namespace) -> None:
    """Check every committed byte of a run or of a prepared directory."""
    prepared = PreparedLayout(args.run)
    if prepared.begun:
        from pipeline.prepare.views import verify as of_prepared

        found = of_prepared(prepared)
    else:
        from pipeline.verify import verify as lines

        found = lines(Layout(args.run))
    for line in found:
        _show([line])


def review(args: argparse.Namespace) -> None:
    """Export patches of RUN for people to label, or import what they said."""
    layout = Layout(args.run)
    if args.action == "export":
        from pipeline.review.exporting import export, said

        _show(said(export(layout, args.round, args.n, args.out, args.pick), layout))
        return
    from pipeline.review.importing import import_review

    _show(import_review(layout, args.file, args.by, args.revise, args.dry_run))


def serve(args: argparse.Namespace) -> None:
    """The report of RUN, live, and a page to label patches by keyboard, on this computer alone."""
    from pipeline.review.web.server import serve as on

    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    on(Layout(args.run), args.port, args.round, args.n, args.pick, args.by, lambda line: print(line, flush=True))


def unlock(args: argparse.Namespace) -> None:
    """Take RUN from a process that hangs or cannot be seen; it will commit nothing more."""
    from pipeline.lock import unlock as take

    if not args.run.is_dir():
        raise ChainError(
            f"{args.run} is no directory", "there is nothing to unlock", "check the path", ExitCode.MISSING
        )
    print(take(Layout(args.run).lock, args.force))


def schema(args: argparse.Namespace) -> None:
    """Print the JSON schema of a configuration, for editors."""
    from pipeline.config import schema as document

    _show(json.dumps(document(), indent=1).splitlines())


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, do, and turn every outcome into an exit code and at most three lines on stderr."""
    args = _parser().parse_args(argv)
    log_to_screen(getattr(args, "quiet", False))
    root = _workspace(args)
    try:
        args.verb(args)
        sys.stdout.flush()
    except ChainError as error:
        return _refuse(error, root)
    except Ended as ended:
        return _refuse(_ended(ended.code, ended.at, ended.saved), root)
    except KeyboardInterrupt:
        return _refuse(_ended(ExitCode.INTERRUPTED, ""), root)
    except BrokenPipeError:  # the reader of our output has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 the outermost one: whatever is left becomes three lines and a log
        log = root.logs / "error.log" if root and root.begun else None
        return _refuse(explained(error, args.name) or internal(error, args.name, log), root, error)
    return ExitCode.DONE


def _session(args: argparse.Namespace, verb: "Callable[[Session], Stop]") -> None:
    from pipeline.launchers.choose import launcher, resolved
    from pipeline.launchers.external import follow, place
    from pipeline.session import Session
    from pipeline.status import rounds_of
    from pipeline.summary import summary

    layout, hardware = Layout(args.run), _hardware(args)
    name = resolved(args.launcher, hardware, os.environ)
    if name == "external" and (rank := place(os.environ)[0]) > 0:
        with watched(args.grace):
            follow(layout.root, rank)
        return
    with watched(args.grace) as watch, launcher(name, hardware, layout.root) as chosen:
        stop = verb(Session(layout, chosen, hardware, watch))
    if not args.quiet:
        _show(summary(layout, rounds_of(layout).rounds, stop))


def _hardware(args: argparse.Namespace) -> "Hardware":
    from stages.job import Hardware

    # the look-up of newer versions on import would reach for a network
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    return Hardware(
        args.device,
        args.precision,
        args.workers,
        args.threads,
        tuple(args.logger),
        args.devices,
        args.nodes,
        args.strategy,
        0 if args.batch_size else args.accumulate,
        args.hang_timeout,
        args.noise_on,
    )


def _silent(lines: Sequence[str]) -> None:
    """For --quiet."""


def _show(lines: Sequence[str]) -> None:
    # names of files and classes are strangers': nothing in them commands the terminal
    print("\n".join(map(printable, lines)), flush=True)


def _workspace(args: argparse.Namespace) -> Workspace | None:
    if getattr(args, "run", None):
        return Layout(args.run)
    if args.verb is crossval:
        return CrossLayout(args.out)
    return PreparedLayout(args.out) if getattr(args, "out", None) else None


def _refuse(error: ChainError, root: Workspace | None, unexpected: Exception | None = None) -> int:
    if error.code == ExitCode.INTERNAL and root is not None and root.begun:
        with contextlib.suppress(OSError, ChainError):
            root.make()  # not through a link that leads out of it
            root.logs.mkdir(exist_ok=True)
            with (root.logs / "error.log").open("a", encoding="utf-8") as log:
                log.write(printable_lines("".join(traceback.format_exception(unexpected or error))) + "\n")
    print("\n".join(error.lines()), file=sys.stderr)
    return error.code


def _ended(code: ExitCode, at: str, saved: str = "") -> ChainError:
    what = "interrupted" if code == ExitCode.INTERRUPTED else "pre-empted"
    return ChainError(
        (f"{what} at {at}" if at else what) + (f": {saved}" if saved else ""),
        "a signal ended the run; everything committed and the last checkpoint are whole",
        "run the same command to go on",
        code,
    )


def _version() -> str:
    import importlib.metadata  # a tenth of a second, which no other verb needs

    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("patchchain")
    import tomllib

    about = tomllib.loads((Path(__file__).resolve().parent / "pyproject.toml").read_text(encoding="utf-8"))
    return str(about["project"]["version"])


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"patchchain {_version()}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("run_chain.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    verbs = parser.add_subparsers(dest="name", required=True, metavar="VERB")
    config, optional, directory = ("config", "CONFIG"), ("run", "[RUN]"), ("run", "RUN")
    out = ("out", "OUT")
    for verb, places in (
        (example, [("directory", "DIR")]),
        (check, [config]),
        (prepare, [config, out]),
        (plan, [config, optional]),
        (run, [config, directory]),
        (crossval, [config, out]),
        (resume, [directory]),
        (status, [directory]),
        (inspect, [directory]),
        (report, [directory]),
        (rerun, [directory]),
        (verify, [directory]),
        (unlock, [directory]),
        (serve, [directory]),
        (schema, []),
    ):
        words = (verb.__doc__ or "").partition("\n")[0]
        sub = verbs.add_parser(verb.__name__, help=words, description=words)
        sub.set_defaults(verb=verb)
        if verb is example:
            sub.add_argument("kind", choices=["slides", "ct"], help="what to draw")
            sub.add_argument("--patients", type=_some, metavar="N", help="how many; one slide or series each")
            sub.add_argument("--seed", type=_whole, default=0, help="another seed is another set of patients")
        for name, shown in places:
            sub.add_argument(name, type=Path, metavar=shown.strip("[]"), nargs="?" if "[" in shown else None)
        if verb in (check, prepare, plan, run, crossval, rerun):
            sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="student.steps=300")
        if verb in (run, crossval, resume, rerun):
            _add_hardware(sub)
    _add_review(verbs)
    at_verb = verbs.choices
    _add_asked(at_verb["serve"])
    at_verb["serve"].add_argument("--port", type=_whole, default=0, metavar="P", help="0: any that is free")
    at_verb["serve"].add_argument("--by", default="", metavar="NAME", help="who labels; the page asks otherwise")
    _add_workers(at_verb["prepare"])
    at_verb["rerun"].add_argument("--from", dest="start", required=True, metavar="ADDRESS", help="rounds/00/select")
    at_verb["crossval"].add_argument("--folds", type=_folds, default=5, metavar="K", help="parts of the labels (5)")
    at_verb["unlock"].add_argument("--force", action="store_true", help="even if it may be alive")
    at_verb["inspect"].add_argument("--round", type=int, metavar="K", help="only this round, from 0")
    at_verb["inspect"].add_argument("--json", action="store_true", help="one JSON document")
    _add_report(at_verb["report"])
    return parser


def _add_review(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    words = (review.__doc__ or "").partition("\n")[0]
    actions = verbs.add_parser("review", help=words, description=words).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    out = actions.add_parser("export", help="the patches that tell most, as pictures and a sheet to fill in")
    back = actions.add_parser("import", help="take the labels of a filled-in sheet, all of them or none")
    for sub in (out, back):
        sub.set_defaults(verb=review)
        sub.add_argument("run", type=Path, metavar="RUN")
    _add_asked(out)
    out.add_argument("--out", type=Path, metavar="DIR", help="a new folder; otherwise one in RUN/exports")
    back.add_argument("file", type=Path, metavar="FILE", help="review.csv of an export")
    back.add_argument("--by", required=True, metavar="NAME", help="who labelled")
    back.add_argument("--revise", action="store_true", help="labels of earlier reviews may be changed")
    back.add_argument("--dry-run", action="store_true", help="check everything, say what it would do, write nothing")


def _add_asked(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--round", type=int, metavar="R", help="from 0; otherwise the newest with a selection")
    sub.add_argument("--n", type=_some, default=200, metavar="N", help="how many patches (200)")
    picks, what = ["informative", "random", "suspects"], "what tells most of the pool, an even draw, doubted labels"
    sub.add_argument("--pick", choices=picks, default=picks[0], help=what)


def _add_report(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (RUN/report.html); tables in a folder beside it"
    )
    sub.add_argument("--embed", type=_whole, default=2000, metavar="N", help="patches on the map (2000; 0: no map)")
    sub.add_argument("--all-labels", type=Path, metavar="RUN", help="a finished run on all labels, drawn as a line")
    loggers = ["tensorboard", "wandb", "mlflow"]
    sub.add_argument("--logger", action="append", default=[], choices=loggers, help="also log figures by round")


def _add_hardware(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("hardware (changes no recipe)")
    group.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    group.add_argument("--precision", choices=["32", "bf16"], default="32")
    group.add_argument("--noise-on", choices=["loader", "device"], default="loader", help=NOISE_WORDS)
    group.add_argument("--workers", type=_whole, default=0, help="loader processes")
    group.add_argument("--threads", type=_whole, default=0, help="CPU threads; 0: as torch finds them")
    group.add_argument("--devices", type=_some, default=1, metavar="N", help="processes a machine, one a device")
    group.add_argument("--nodes", type=_some, default=1, metavar="N", help="machines, in an allocation of SLURM")
    group.add_argument("--launcher", choices=LAUNCHERS, default="auto", help="who starts them; see docs/cluster.md")
    group.add_argument("--strategy", choices=["ddp", "fsdp"], default="ddp", help="fsdp: for what does not fit on one")
    group.add_argument("--batch-size", choices=["auto"], help="take each step in as few pieces as fit into memory")
    group.add_argument("--accumulate", type=_some, default=1, metavar="N", help="pieces that a step is taken in")
    group.add_argument("--hang-timeout", type=_seconds, default=1800.0, metavar="S", help=HANG_WORDS)
    group.add_argument("--grace", type=_seconds, default=60.0, metavar="S", help=GRACE_WORDS)
    sub.add_argument(
        "--logger", action="append", default=[], choices=["wandb", "mlflow"], help="beside CSV and TensorBoard"
    )
    sub.add_argument("--quiet", action="store_true", help="only warnings and errors")


def _add_workers(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--workers", type=_whole, default=0, metavar="N", help="processes; 0: one a core")
    sub.add_argument("--stall", type=_seconds, default=120.0, metavar="S", help=f"{STALL_WORDS} (120; 0: never)")
    sub.add_argument("--quiet", action="store_true", help="only warnings and errors")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(seconds := float(text)) and seconds >= 0:
            return seconds
    raise argparse.ArgumentTypeError(f"expected seconds of at least 0, given {text!r}")


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, given {text!r}")
    return int(text)


def _folds(text: str) -> int:
    if not 2 <= _whole(text) <= 100:
        raise argparse.ArgumentTypeError("expected 2 to 100")
    return int(text)


def _some(text: str) -> int:
    if not _whole(text):
        raise argparse.ArgumentTypeError("expected at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
