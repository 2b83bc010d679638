"""The words of the command line: every verb, its places and its flags. What a verb does stands in run_chain.py."""

import argparse
import contextlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path

LAUNCHERS = ["auto", "in_process", "torchrun", "slurm", "external"]
HANG_WORDS = "a process that comes no further for S seconds has hung (1800; 0: never)"
NOISE_WORDS = "where training patches are disturbed: by the loader, or, the same draws, where the network computes"
GRACE_WORDS = "after a signal, seconds for the batch to end and a checkpoint to be written (60)"
STALL_WORDS = "an input whose process is silent for S seconds has failed"
Verb = Callable[[argparse.Namespace], None]


def command_line(description: str, verbs: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """A parser whose `args.verb` is the function to call; the first line of that function's docstring is its help."""
    parser = argparse.ArgumentParser("run_chain.py", description=description)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subs = parser.add_subparsers(dest="name", required=True, metavar="VERB")
    config, optional, directory = ("config", "CONFIG"), ("run", "[RUN]"), ("run", "RUN")
    out = ("out", "OUT")
    for verb, places in (
        ("example", [("directory", "DIR")]),
        ("check", [config]),
        ("prepare", [config, out]),
        ("plan", [config, optional]),
        ("run", [config, directory]),
        ("crossval", [config, out]),
        ("resume", [directory]),
        ("status", [directory]),
        ("inspect", [directory]),
        ("report", [directory]),
        ("rerun", [directory]),
        ("verify", [directory]),
        ("unlock", [directory]),
        ("serve", [directory]),
        ("schema", []),
    ):
        sub = _described(subs, verb, verbs[verb])
        sub.set_defaults(verb=verbs[verb])
        if verb == "example":
            sub.add_argument("kind", choices=["slides", "ct"], help="what to draw")
            sub.add_argument("--patients", type=_some, metavar="N", help="how many; one slide or series each")
            sub.add_argument("--seed", type=_whole, default=0, help="another seed is another set of patients")
        for name, shown in places:
            sub.add_argument(name, type=_path, metavar=shown.strip("[]"), nargs="?" if "[" in shown else None)
        if verb in ("check", "prepare", "plan", "run", "crossval", "rerun"):
            sub.add_argument(
                "--set", type=_text, action="append", default=[], metavar="KEY=VALUE", help="student.steps=300"
            )
        if verb in ("run", "crossval", "resume", "rerun"):
            _add_hardware(sub)
    _add_review(_described(subs, "review", verbs["review"]), verbs["review"])
    at_verb = subs.choices
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


def _described(
    subs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, verb: Verb
) -> argparse.ArgumentParser:
    words = (verb.__doc__ or "").partition("\n")[0]
    return subs.add_parser(name, help=words, description=words)


def _add_review(sub: argparse.ArgumentParser, verb: Verb) -> None:
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    out = actions.add_parser("export", help="the patches that tell most, as pictures and a sheet to fill in")
    back = actions.add_parser("import", help="take the labels of a filled-in sheet, all of them or none")
    for one in (out, back):
        one.set_defaults(verb=verb)
        one.add_argument("run", type=_path, metavar="RUN")
    _add_asked(out)
    out.add_argument("--out", type=_path, metavar="DIR", help="a new folder; otherwise one in RUN/exports")
    back.add_argument("file", type=_path, metavar="FILE", help="review.csv of an export")
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
        "--out", type=_path, metavar="FILE", help="the page (RUN/report.html); tables in a folder beside it"
    )
    sub.add_argument("--embed", type=_whole, default=2000, metavar="N", help="patches on the map (2000; 0: no map)")
    sub.add_argument("--all-labels", type=_path, metavar="RUN", help="a finished run on all labels, drawn as a line")
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


def _text(words: str) -> str:
    try:
        words.encode()
    except UnicodeEncodeError:  # a byte that is none, which the libraries that write files refuse, steps later
        raise argparse.ArgumentTypeError(f"expected UTF-8, given {words!r} (to a path, make a link)") from None
    return words


def _path(words: str) -> Path:
    if not words:  # of an unset variable of a shell; it would be the folder where the user stands
        raise argparse.ArgumentTypeError("expected a path, given nothing")
    return Path(_text(words))


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


def _version() -> str:
    import importlib.metadata  # a tenth of a second, which no other verb needs

    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("patchchain")
    import tomllib

    about = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    return str(about["project"]["version"])


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever reads it has what they wanted
            print(f"patchchain {_version()}", flush=True)
        parser.exit()
