"""A finished run directory without its days of training: drawn patches and scores, real selections and records.

What `report` reads is real in form and size; only the networks have learnt nothing, and the scores are drawn: each
round's teacher knows the truth a little better than the one before. The select stage is run as it is.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from scipy.special import log_softmax

from data.files.atomic import write_bytes, write_json
from data.keys import generator
from data.patches.ids import patch_id
from data.patches.record import Record
from data.pixels.decode import pixel_digest
from data.pixels.network_input import NetworkInput
from data.pixels.windows import windows_of
from data.splits.written import LABELLED, POOL, TEST, VALIDATION, Assignment, write_splits
from data.store.patch_store import PatchStore
from data.store.writer import writing_store
from pipeline.directory.layout import Layout
from pipeline.directory.record import seal
from pipeline.plan import SPLITS, STORE, Step, plan
from stages.job import Job
from stages.measures import quality
from stages.measures.judged import Judged, groups_of, write_judged
from stages.networks import licences
from stages.networks.create import create, save_weights
from stages.networks.model_card import ModelCard
from stages.promote.config import PromoteConfig
from stages.promote.stage import decide
from stages.scores import Scores, write_scores
from stages.select import stage as select

PARTS = {LABELLED: 100, VALIDATION: 400, TEST: 400}
HISTORY = 20  # validations of a training
WINDOWS = ("lung", "soft_tissue")


@dataclass(frozen=True)
class Shape:
    """What the run is like. pool: patches; volume: CT in HU with places in mm, else JPEG with places on slides."""

    pool: int = 600
    parts: dict[int, int] = field(default_factory=lambda: dict(PARTS))
    classes: Sequence[str] = ("adipose", "stroma", "tumour")
    slides: int = 12
    rounds: int = 2
    size_px: int = 24
    volume: bool = False
    seed: int = 0
    rule: dict[str, Any] = field(default_factory=lambda: {"rule": "top_k", "k": 60, "k_step": 30})
    slide_name: Callable[[int], str] = lambda k: f"slide-{k:04d}"
    patient_name: Callable[[int], str] = lambda k: f"patient-{k:04d}"
    site_name: Callable[[int], str] = lambda k: f"site {k % 3}"


def fake_run(root: Path, shape: Shape) -> Layout:
    """Make it. The same shape gives the same run."""
    layout = Layout(root)
    root.mkdir(parents=True)
    config = f"seed: {shape.seed}\nrounds: {shape.rounds}\npromote: {{metric: balanced_accuracy}}\n"
    write_bytes(layout.config, config.encode())
    rng = generator(shape.seed, "fake run")
    split = np.concatenate([np.full(n, code, np.int8) for code, n in {**shape.parts, POOL: shape.pool}.items()])
    truth = rng.integers(0, len(shape.classes), len(split)).astype(np.int16)
    store = _store(layout, shape, rng, truth)
    ids = np.array(store.ids)
    order = np.argsort(ids)
    drawn = Assignment(ids[order], split[order], truth[order], tuple(shape.classes), "slide", ())
    place = _place(layout, SPLITS)
    channels = 2 if shape.volume else 3
    write_splits(place, drawn, [0.5] * channels, [0.25] * channels)
    _seal(layout, SPLITS, "split")
    world = _World(layout, shape, store, drawn)
    before = None
    for step in plan(_Rounds(shape.rounds)):
        if step.kind == "train":
            before = world.train(step)
        elif step.kind == "promote":
            world.promote(step)
        elif step.kind == "predict":
            world.predict(step)
        elif step.kind == "select":
            world.select(step)
    assert before is not None
    return layout


@dataclass(frozen=True)
class _Rounds:
    rounds: int


def _store(layout: Layout, shape: Shape, rng: np.random.Generator, truth: np.ndarray) -> PatchStore:
    path = _place(layout, STORE) / "patches.h5"
    side = shape.size_px
    pictures = [_pictures(rng, shape, code) for code in range(len(shape.classes))]
    per_slide = -(-len(truth) // shape.slides)
    across = int(np.ceil(np.sqrt(per_slide)))
    with writing_store(path, "hu16" if shape.volume else "rgb8", side) as writer:
        for k, code in enumerate(truth):
            slide, at = divmod(k * 7919 % len(truth), per_slide)
            content, digest = pictures[code][k % len(pictures[code])]
            y, x = divmod(at, across)
            numbers = {"x_px": x * 4.0 * side, "y_px": y * 4.0 * side, "side_px": 4.0 * side, "mpp": 1.0}
            if shape.volume:
                z, y = divmod(y, 4)
                numbers = {"x_mm": float(x * side), "y_mm": float(y * side), "z_mm": 5.0 * z, "spacing_mm": 1.0}
            key = f"{slide:04d}/{at:07d}"
            names = (shape.patient_name(slide), shape.slide_name(slide), shape.site_name(slide))
            record = Record(key, "", *names, "", numbers)
            writer.add(patch_id("fake", key), record, "fake", "split", digest, content)
        writer.classes = tuple(shape.classes)
        if shape.volume:
            writer.windows = windows_of(list(WINDOWS))
    _seal(layout, STORE, "ingest")
    return PatchStore(path)


def _pictures(rng: np.random.Generator, shape: Shape, code: int) -> list[tuple[Any, tuple[int, int]]]:
    """A few patches of a class: (content, digest)."""
    found = []
    side = shape.size_px
    for _ in range(16):
        noise = rng.normal(0, 1, (side, side, 1 if shape.volume else 3))
        if shape.volume:
            hu = np.clip(noise * 200 + 300 * code - 700, -1000, 1000).astype(np.int16)
            found.append((hu, pixel_digest(hu, "hu16")))
            continue
        tone = np.array([[200, 120, 190], [230, 170, 200], [150, 90, 160], [120, 160, 200]][code % 4])
        pixels = np.clip(tone + 12 * noise, 0, 255).astype(np.uint8)
        jpeg = simplejpeg.encode_jpeg(pixels, 50, colorspace="RGB")
        decoded = simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
        found.append((jpeg, pixel_digest(decoded, "rgb8")))
    return found


@dataclass(frozen=True)
class _World:
    layout: Layout
    shape: Shape
    store: PatchStore
    drawn: Assignment

    def ids(self, code: int) -> np.ndarray:
        return self.drawn.ids[self.drawn.split == code]

    def log_probs(self, code: int, number: int) -> np.ndarray:
        """What the model after `number` rounds says of a part: the truth, and noise that gets less."""
        truth = self.drawn.label[self.drawn.split == code]
        rng = generator(self.shape.seed, "scores", code, number)
        logits = rng.normal(0, 1.0, (len(truth), len(self.shape.classes))).astype(np.float32)
        logits[np.arange(len(truth)), truth] += 1.2 + 0.5 * number
        logits *= 1.5
        said: np.ndarray = log_softmax(logits, axis=1)
        return said

    def judged(self, number: int) -> Judged:
        ids = self.ids(VALIDATION)
        label = self.drawn.label[self.drawn.split == VALIDATION]
        return Judged(ids, self.log_probs(VALIDATION, number), label, groups_of(self.store.table(), ids))

    def train(self, step: Step) -> Path:
        out, number = _place(self.layout, step.address), step.round + (step.name == "student")
        kind = NetworkInput(self.store.mode, self.store.size_px, self.store.depth, self.store.windows)
        kwargs = {"num_classes": len(self.shape.classes), "in_chans": kind.channels}
        with torch.random.fork_rng():
            torch.manual_seed(self.shape.seed)
            save_weights(create("test_resnet", kwargs, "fake"), out / "model.safetensors")
        windows = [window.model_dump() for window in kind.windows]
        mean = [0.5] * kind.channels
        ModelCard("test_resnet", kwargs, list(self.shape.classes), kind.size_px, kind.mode, mean, mean,
                  "model.safetensors", kind.words(), kind.depth, windows).save(out / "model.json")  # fmt: skip
        write_json(out / "metrics.json", self.metrics(number, step.name == "student"))
        if len(self.ids(VALIDATION)):
            write_judged(out, self.judged(number))
        _seal(self.layout, step.address, step.kind)
        return out

    def metrics(self, number: int, student: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, code in (("validation", VALIDATION), ("test", TEST)):
            label = self.drawn.label[self.drawn.split == code]
            said = self.log_probs(code, number)
            found[name] = quality.evaluate(said, label, self.shape.classes) if len(label) else None
        per_class = dict.fromkeys(self.shape.classes, 0.05)
        found["disagreement"] = {"n": 100, "total": 0.05, "per_class": per_class} if student else None
        found["history"] = [
            {"step": 10 * k, "loss": 3.0 / k, "validation_balanced_accuracy": 1 - 0.6 / k}
            for k in range(1, HISTORY + 1)
        ]
        return found

    def promote(self, step: Step) -> None:
        out = _place(self.layout, step.address)
        trained = "student" in step.inputs  # of a chain without rounds the first teacher is the result
        winner = self.layout.place(step.inputs["student" if trained else "teacher"])
        for path in (winner / name for name in ("model.safetensors", "model.json", "metrics.json", "validation.h5")):
            if path.is_file():
                write_bytes(out / path.name, path.read_bytes())
        judges = len(self.ids(VALIDATION)) > 0
        teacher, student = (self.judged(step.round - 1 + k) if judges else None for k in (0, 1))
        decision = decide(PromoteConfig(), teacher, student, self.shape.seed) if trained else {"winner": "teacher"}
        write_json(out / "promotion.json", decision)
        _seal(self.layout, step.address, step.kind)

    def predict(self, step: Step) -> None:
        out = _place(self.layout, step.address)
        parts = {
            name: Scores(self.ids(code), self.log_probs(code, step.round).astype(np.float16))
            for name, code in (("pool", POOL), ("validation", VALIDATION), ("test", TEST))
        }
        write_scores(out / "scores.h5", parts)
        licences.save([], out)
        _seal(self.layout, step.address, step.kind)

    def select(self, step: Step) -> None:
        out = _place(self.layout, step.address)
        inputs = {role: self.layout.place(address) for role, address in step.inputs.items()}
        where = self.layout.logs / "fake"
        where.mkdir(parents=True, exist_ok=True)
        job = Job(step.address, step.kind, step.round, self.shape.seed, self.shape.rule, inputs, out, where, where)
        select.run(job)
        (out / "stop.json").unlink(missing_ok=True)  # scores that are drawn may keep the same patches
        _seal(self.layout, step.address, step.kind)


def _place(layout: Layout, address: str) -> Path:
    place = layout.place(address)
    place.mkdir(parents=True)
    return place


def _seal(layout: Layout, address: str, kind: str) -> None:
    seal(layout.place(address), address, json.loads(json.dumps({"kind": kind, "version": 0, "inputs": {}})))
