"""`check`: what would go wrong, before hours are spent. Heavy modules are imported here, when they are asked."""

import functools
import importlib
import shutil
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from data.errors import ChainError, ExitCode
from data.patches.ids import patch_id
from pipeline.config.chain import ChainConfig
from pipeline.config.without_validation import refuse_what_needs_validation
from pipeline.directory.disk_need import disk_need
from pipeline.plan import plan
from pipeline.views.text_table import count, size
from stages.train.config import TeacherConfig, TrainConfig

if TYPE_CHECKING:
    from data.ingest import Survey

ROW_BYTES = 200  # of the store's table, a patch


def check(config: ChainConfig) -> Iterator[str]:
    """Lines "ok ..." and "warning ..." as they are found. Raises ChainError at what would stop a run."""
    yield f"ok       configuration: {len(plan(config))} steps, {config.rounds} rounds"
    yield from _versions()
    survey = yield from _data(config)
    scored = yield from _splits(config, survey)
    yield from _networks(config, len(survey.classes))
    store = survey.content_bytes + ROW_BYTES * len(survey.table)
    yield from _disk(config, store, scored, len(survey.classes))


def _versions() -> Iterator[str]:
    torch = _imported("torch")
    _imported("torchvision")
    yield f"ok       torch {torch.__version__}, torchvision, timm"
    if torch.cuda.is_available():
        yield f"ok       device: {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    else:
        yield "warning  device: no GPU is visible, everything runs on the CPU"


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        if "torchvision::" in str(error):
            raise ChainError(
                f"torchvision does not match torch ({error})",
                "they are built in pairs: a CPU build of one beside a CUDA build of the other fails so",
                "install a matching pair from one place: pip install --force-reinstall torch torchvision",
                ExitCode.MISMATCH,
            ) from error
        raise ChainError(
            f"{name} cannot be imported: {error}", "training needs it", "install the project again", ExitCode.MISMATCH
        ) from error


def _data(config: ChainConfig) -> "Generator[str, None, Survey]":
    from data.ingest import survey

    found = survey(config.data)
    lost, made_of = len(found.quarantined), config.data.network_input().shown
    yield (
        f"ok       data: {count(len(found.table))} patches of {config.data.size_px} px ({made_of}) "
        f"from {len(found.sources)} source{'s' * (len(found.sources) > 1)}; classes {', '.join(found.classes)}"
    )
    for bad in found.quarantined[:3]:
        yield f"warning  {bad.source}: {bad.key}: {bad.reason}"
    if lost > 3:
        yield f"warning  and {lost - 3:,} more patches that cannot be used"
    for warning in found.warnings:
        yield f"warning  {warning}"
    return found


def _splits(config: ChainConfig, survey: "Survey") -> Generator[str, None, int]:
    from data.splits.drawing import draw_without_leaks
    from data.splits.written import POOL, SPLITS, TEST, VALIDATION

    @functools.cache  # only a refusal asks, and then for several patches
    def places() -> dict[int, str]:
        return _places(config)

    def place(row: int) -> str:
        return places()[int(survey.table.ids[row])]

    drawn = draw_without_leaks(survey.table, survey.labels, survey.classes, config.splits, place)
    counts = [int((drawn.split == code).sum()) for code in range(len(SPLITS))]
    words = ", ".join(f"{n:,} {name}" for n, name in zip(counts, SPLITS, strict=True))
    yield f"ok       splits by {drawn.unit}: {words}; no known patient, slide or pixels in two of them"
    for warning in drawn.warnings:
        yield f"warning  {warning}"
    if not counts[VALIDATION] or config.splits.folds is not None:
        refuse_what_needs_validation(config)
    return counts[POOL] + counts[VALIDATION] + counts[TEST]


def _places(config: ChainConfig) -> dict[int, str]:
    return {
        patch_id(source.name, record.key): record.key for source in config.data.sources for record in source.records()
    }


def _networks(config: ChainConfig, classes: int) -> Iterator[str]:
    _imported("timm")
    check_network = _imported("stages.train.preflight").check_network
    check_dropout = _imported("stages.predict.mc_dropout").check_dropout
    if config.predict.encoder is not None and config.rounds:
        check_encoder = _imported("stages.train.preflight").check_encoder
        yield f"ok       {check_encoder(config.predict.encoder, classes, config.data.network_input())}"
    seen = []
    for step in plan(config):
        section = config.section_of(step)
        if step.kind == "train" and section not in seen:
            seen.append(section)
            kind = config.data.network_input()
            lines = check_network(section, classes, kind)
            for one in section.each() if isinstance(section, TeacherConfig) and config.rounds else [section]:
                lines += check_dropout(one, config.predict, classes, kind) if config.rounds else []
            for line in dict.fromkeys(lines):
                yield f"ok       {line}"


def _disk(config: ChainConfig, store: int, scored: int, classes: int) -> Iterator[str]:
    """Of the whole chain, begun from nothing; `run` asks again before every step. store: its bytes."""
    ask, kind, encoder = _imported("stages.train.preflight"), config.data.network_input(), config.predict.encoder
    sections: dict[str, Sequence[TrainConfig]] = {"teacher": config.teacher.each(), "student": [config.student]}
    networks = {role: [ask.on_paper(one, classes, kind) for one in each] for role, each in sections.items()}
    weights = {role: max(map(ask.weight_bytes, each)) for role, each in networks.items()}
    writes = config.rounds and config.predict.embeddings
    seen = {role: ask.seen_bytes(each) for role, each in networks.items()} if writes else {}
    if config.rounds and encoder is not None:
        paper = ask.on_paper(encoder.as_trained(), classes, encoder.input_of(kind))
        seen["encoder"] = ask.seen_bytes([paper], encoder.style)
    need = disk_need(config, scored, classes, weights, seen)
    total, free = store + need.total, shutil.disk_usage(Path.cwd()).free
    embeddings = f", embeddings {size(need.embeddings)}" if need.embeddings else ""
    words = (
        f"disk: about {size(total)} (store {size(store)}, scores {size(need.scores)}{embeddings}, "
        f"models {size(need.models)}, checkpoints {size(need.checkpoints)}); {size(free)} free here"
    )
    yield f"{'ok      ' if total < free else 'warning '} {words}"
