"""Checkpoints and weights: pickles in every place where a training keeps something, and files that lie."""

import json
import os
import pickle
import struct
import zipfile
from typing import Any

import torch

from tests.hostile.arrays import Evil
from tests.hostile.case import Deed, Place, several

TENSORS = {"a.weight": torch.ones(4)}
PICKLED: dict[str, Any] = {
    "state_dict": {"state_dict": {**TENSORS, "x": Evil()}},
    "hyper_parameters": {"state_dict": TENSORS, "hyper_parameters": Evil()},
    "callbacks": {"state_dict": TENSORS, "callbacks": {"x": Evil()}},
    "optimizer": {"state_dict": TENSORS, "optimizer_states": [{"state": {0: {"step": Evil()}}}]},
    "random numbers": {"state_dict": TENSORS, "rng": {"python": (3, Evil())}},
}


def _donor(place: Place, name: str) -> Deed:
    def deed() -> None:
        from stages.networks.init.donor import donor_from_file

        # a user's environment may say so, and must not be able to
        os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        try:
            donor_from_file(place.inside / name, "teacher.init.path")
        finally:
            del os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"]

    return deed


@several(65, "does not hold tensors alone", list(PICKLED))
def pretrained(place: Place, name: str) -> Deed:
    torch.save(PICKLED[name], place.inside / "w.pth")
    return _donor(place, "w.pth")


@several(76, "damaged or not ours", list(PICKLED))
def own_checkpoint(place: Place, name: str) -> Deed:
    """Under the name and with the digest of one of ours."""
    torch.save(PICKLED[name], place.inside / "step-000000001.ckpt")

    def deed() -> None:
        from stages.train.checkpoint import WholeFiles

        os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        try:
            WholeFiles().load_checkpoint(place.inside / "step-000000001.ckpt", weights_only=False)
        finally:
            del os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"]

    return deed


def _safetensors(about: dict[str, Any], body: bytes = b"", length: int | None = None) -> bytes:
    head = json.dumps(about).encode()
    return struct.pack("<Q", len(head) if length is None else length) + head + body


WEIGHTS: dict[str, bytes] = {
    "header of an exabyte": _safetensors({}, length=1 << 60),
    "tensor of a petabyte": _safetensors({"a": {"dtype": "F32", "shape": [1 << 48], "data_offsets": [0, 1 << 50]}}),
    "tensor before its file": _safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, bytes(8)),
    "shape that overflows": _safetensors({"a": {"dtype": "U8", "shape": [1 << 62, 8], "data_offsets": [0, 0]}}),
    "pickle by that name": pickle.dumps(Evil()),
    "old pickle": b"\x80\x02" + pickle.dumps(Evil(), 2)[2:],
}


@several(65, "is not a safetensors file", list(WEIGHTS))
def weights(place: Place, name: str) -> Deed:
    (place.inside / "w.safetensors").write_bytes(WEIGHTS[name])
    return _donor(place, "w.safetensors")


@several(65, "does not hold tensors alone", ["packed", "expanded"])
def archive(place: Place, name: str) -> Deed:
    path = place.inside / "w.pth"
    torch.save({"a": torch.zeros(1).expand(1 << 50)}, path)
    if name == "packed":
        torch.save(TENSORS, path)
        with zipfile.ZipFile(path) as whole:
            entries = {entry: whole.read(entry) for entry in whole.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for entry, content in entries.items():
                packed.writestr(entry, content + bytes(64 << 20))
    return _donor(place, "w.pth")


BACKBONES = ["hf-hub:somebody/something", "hf_hub:somebody/something", "local-dir:.", "https://example.org/w.pth"]


@several(78, "no model", BACKBONES)
def backbone(place: Place, name: str) -> Deed:
    def deed() -> None:
        from stages.networks.create import create

        create(name, {"num_classes": 2, "pretrained": True}, "teacher.backbone")

    return deed
