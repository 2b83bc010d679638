"""patchchain: multi-round teacher-student self-training on a few labelled and many unlabelled patches.

python run_chain.py run configs/demo.yaml runs/demo
python run_chain.py status runs/demo
"""

import argparse
import contextlib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ChainError, ExitCode
from data.printable import printable
from pipeline.command_line import command_line
from pipeline.directory.crossval import CrossLayout
from pipeline.directory.layout import PROGRAM, Layout
from pipeline.directory.prepared import PreparedLayout
from pipeline.directory.workspace import Workspace
from pipeline.failures import ERROR_LOG, explained, internal, log_traceback
from pipeline.garbage import none_collected
from pipeline.screen import log_to_screen, open_streams
from stages.process.signals import Ended, ending_at_once, watched

if TYPE_CHECKING:
    from pipeline.directory.record import Stop
    from pipeline.session import Session
    from stages.job import Hardware

LOG = logging.getLogger("patchchain")
SAME_COMMAND = re.compile("run the same command( again)?( to go on)?")


def example(args: argparse.Namespace) -> None:
    """Draw generated inputs, slides or CT, to try everything on."""
    from pipeline.example import draw_example
    from pipeline.example import example as chosen

    with watched():
        _show([draw_example(chosen(args.kind, args.seed, args.patients), args.directory)])


def check(args: argparse.Namespace) -> None:
    """Find what would stop a run or `prepare`, before hours are spent."""
    from pipeline.check import check as of_chain
    from pipeline.config.chain import ChainConfig
    from pipeline.config.reading import load_either
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
    from pipeline.config.reading import load_preparation
    from pipeline.prepare.session import Options
    from pipeline.prepare.session import prepare as into

    preparation = load_preparation(args.config, args.set)
    with watched():
        summary = into(PreparedLayout(args.out), preparation, Options(args.workers, args.stall))
    if not args.quiet:
        _show([summary])


def plan(args: argparse.Namespace) -> None:
    """Show every step, and whether it would run."""
    with none_collected():
        from pipeline.config.reading import load_config
        from pipeline.views.plan import plan_view

    _show(plan_view(load_config(args.config, args.set), Layout(args.run) if args.run else None))


def run(args: argparse.Namespace) -> None:
    """Run a chain into RUN, or go on with it."""
    from pipeline.config.reading import load_config

    config = load_config(args.config, args.set)  # also by a rank that only follows: what cannot run ends all of them
    _session(args, lambda session: session.run(config))


def resume(args: argparse.Namespace) -> None:
    """Go on with RUN."""
    _session(args, lambda session: session.resume())


def crossval(args: argparse.Namespace) -> None:
    """Find how many rounds are worth it, each fold of the labels judging once, then run a chain on all labels."""
    from pipeline.config.reading import load_config
    from pipeline.crossval.session import CrossValidation
    from pipeline.hardware import refuse_absent
    from pipeline.launchers.choose import launcher, resolved
    from pipeline.session import Session
    from pipeline.views.status import rounds_of
    from pipeline.views.summary import summary

    hardware = _hardware(args)
    if (name := resolved(args.launcher, hardware, os.environ)) == "external":
        raise ChainError(
            "--launcher external does not go with crossval",
            "ranks that others start follow one run directory, and a cross-validation is several",
            "use --launcher torchrun or slurm",
            ExitCode.USAGE,
        )
    refuse_absent(hardware, name)
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
    from pipeline.views.status import status as lines

    _show(lines(Layout(args.run)))


def inspect(args: argparse.Namespace) -> None:
    """The quality of the pseudo-labels, by round and class."""
    from pipeline.views.inspection import findings, text

    found = findings(Layout(args.run), args.round)
    _show(json.dumps(found, indent=1).splitlines() if args.json else text(found))


def report(args: argparse.Namespace) -> None:
    """Write what RUN believes as one HTML page, with tables beside it."""
    from pipeline.report.build import Options, log_to, write_report
    from stages.process.absent import refuse_absent_logger

    layout = Layout(args.run)
    for name in args.logger:
        if name != "tensorboard":  # always there
            refuse_absent_logger(name)
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
    from pipeline.directory.kind import refuse_no_run
    from pipeline.directory.lock import unlock as take

    layout = Layout(args.run)
    if not (os.path.lexists(layout.lock) or PreparedLayout(args.run).begun):
        refuse_no_run(layout)  # a lock made there would be a file of ours in what may be another's
    print(take(layout.lock, args.force))


def schema(args: argparse.Namespace) -> None:
    """Print the JSON schema of a configuration, for editors."""
    from pipeline.config.reading import schema as document

    _show(json.dumps(document(), indent=1).splitlines())


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, do, and turn every outcome into an exit code and at most three lines on stderr."""
    open_streams()
    args = _parser().parse_args(argv)
    log_to_screen(getattr(args, "quiet", False))
    root = _workspace(args)
    try:
        with ending_at_once() if args.verb in (run, resume, rerun, crossval, prepare) else contextlib.nullcontext():
            args.verb(args)
        sys.stdout.flush()
    except ChainError as error:
        return _refuse(error, root)
    except Ended as ended:
        return _refuse(_ended(ended.code, ended.at, ended.saved), root, ended)
    except KeyboardInterrupt as ended:
        return _refuse(_ended(ExitCode.INTERRUPTED, ""), root, ended)
    except BrokenPipeError:  # the reader of our output has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 the outermost one: whatever is left becomes three lines and a log
        log = root.logs / ERROR_LOG if root and _begun(root) else None
        known = explained(error, args.name, _written(args), _elsewhere(args))
        return _refuse(known or internal(error, args.name, log), root, error)
    return ExitCode.DONE


def _session(args: argparse.Namespace, verb: "Callable[[Session], Stop]") -> None:
    from pipeline.hardware import refuse_absent
    from pipeline.launchers.choose import launcher, resolved
    from pipeline.launchers.external import place
    from pipeline.launchers.following import follow
    from pipeline.session import Session
    from pipeline.views.status import rounds_of
    from pipeline.views.summary import summary

    layout, hardware = Layout(args.run), _hardware(args)
    name = resolved(args.launcher, hardware, os.environ)
    if name == "external" and (rank := place(os.environ)[0]) > 0:
        with watched(args.grace):
            follow(layout.root, rank)
        return
    with watched(args.grace) as watch, launcher(name, hardware, layout.root) as chosen:
        refuse_absent(hardware, name)  # here, so that ranks which follow are told
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


def _begun(root: Workspace) -> bool:
    with contextlib.suppress(OSError):  # one that may not be looked into, which is what is being said
        return root.begun
    return False


def _written(args: argparse.Namespace) -> Path | None:
    """Where a verb writes: `--out`, OUT, DIR or RUN; None for those that only print, wherever that goes."""
    if args.name in ("check", "plan", "status", "inspect", "verify", "schema"):
        return None
    places = (getattr(args, name, None) for name in ("out", "directory", "run"))
    return next((place for place in places if place is not None), None)


def _elsewhere(args: argparse.Namespace) -> str:
    """What helps where nothing may be written: a run that is only looked at may be another's, or on such a disk."""
    return "write elsewhere: --out PLACE" if "run" in args and "out" in args else "use another run directory"


def _refuse(error: ChainError, root: Workspace | None, cause: BaseException | None = None) -> int:
    # of a verb that would begin anew; libraries put notes of their own on errors
    notes = getattr(cause or error, "__notes__", [])
    if instead := next((note for note in notes if note.startswith(f"{PROGRAM} ")), None):
        error.todo = SAME_COMMAND.sub(lambda _: f"go on with: {instead}", error.todo)
    if error.code == ExitCode.INTERNAL and root is not None and _begun(root):
        log_traceback(cause or error, root)
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


def _parser() -> argparse.ArgumentParser:
    verbs = (
        example, check, prepare, plan, run, crossval, resume, status, inspect, report, rerun, verify, review, unlock,
        serve, schema,
    )  # fmt: skip
    return command_line((__doc__ or "").partition("\n")[0], {verb.__name__: verb for verb in verbs})


if __name__ == "__main__":
    sys.exit(main())
