"""What a network will weigh and write is known before it is trained."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from data.errors import ChainError, ExitCode
from data.pixels.network_input import NetworkInput
from stages.networks.create import create, network_kwargs
from stages.networks.init.config import Init
from stages.predict.config import Encoder
from stages.predict.embedding import Embeddings, embedding_width
from stages.predict.style import width_of
from stages.train.config import Finetune, StudentConfig, TeacherConfig
from stages.train.preflight import check_encoder, check_network, on_paper, seen_bytes, weight_bytes
from tests.embeddings import write_embeddings

KIND = NetworkInput("rgb8", 32)


def test_files_are_as_large_as_foreseen(tmp_path: Path) -> None:
    section = TeacherConfig(backbone="test_resnet")
    paper = on_paper(section, 3, KIND)
    assert {tensor.device.type for tensor in paper.state_dict().values()} == {"meta"}
    network = create(section.backbone, network_kwargs(section, 3, KIND), "backbone")
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    assert 0 < (tmp_path / "model.safetensors").stat().st_size - weight_bytes(paper) < 20_000  # its table of names
    patches = 500
    for name, networks, width in (("one", [paper], 1), ("ensemble", [paper, paper], 2)):
        values = np.zeros((patches, width * embedding_width(network)), np.float16)
        write_embeddings(tmp_path / name, Embeddings(np.arange(patches, dtype=np.uint64), values))
        assert 0 <= (tmp_path / name).stat().st_size - patches * seen_bytes(networks) < 10_000


def test_an_encoder_with_style_writes_two_files() -> None:
    encoder = Encoder(backbone="test_resnet", init=Init(kind="random"), style=True)
    paper = on_paper(encoder.as_trained(), 3, KIND)
    style = width_of(create("test_resnet", {"num_classes": 3}, "backbone"))
    assert seen_bytes([paper], style=True) == seen_bytes([paper]) + 8 + 2 * style


def test_a_transformer_for_another_size_is_refused_with_what_to_do(tmp_path: Path) -> None:
    fed = NetworkInput("rgb8", 64)
    donor = create("test_vit", network_kwargs(TeacherConfig(backbone="test_vit"), 3, fed), "backbone")
    save_file({name: tensor.contiguous() for name, tensor in donor.state_dict().items()}, tmp_path / "w.safetensors")
    with pytest.raises(ChainError, match="does not fit test_vit") as caught:
        check_encoder(Encoder(backbone="test_vit", init=Init(kind="full", path=tmp_path / "w.safetensors")), 3, KIND)
    assert caught.value.code == ExitCode.MISMATCH
    assert "predict.encoder.size_px" in caught.value.todo


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("size_px", [None, 64])
def test_an_encoder_is_built_for_the_size_it_is_fed(tmp_path: Path, backbone: str, size_px: int | None) -> None:
    # a file of a transformer fits one size, that of its position embeddings: the encoder's, whatever the patches'
    fed = NetworkInput("rgb8", size_px or KIND.size_px)
    donor = create(backbone, network_kwargs(TeacherConfig(backbone=backbone), 3, fed), "backbone")
    save_file({name: tensor.contiguous() for name, tensor in donor.state_dict().items()}, tmp_path / "w.safetensors")
    init = Init(kind="full", path=tmp_path / "w.safetensors")
    line = check_encoder(Encoder(backbone=backbone, init=init, size_px=size_px, style=True), 3, KIND)
    assert f"{embedding_width(donor) + width_of(donor):,} values a patch" in line


@pytest.mark.parametrize(
    ("size_px", "larger", "narrow"), [(24, None, True), (32, None, True), (33, None, False), (24, 64, False)]
)
def test_check_says_where_a_network_sees_a_single_place(size_px: int, larger: int | None, narrow: bool) -> None:
    finetune = None if larger is None else Finetune(size_px=larger)
    section = StudentConfig(backbone="test_resnet", finetune=finetune)  # halves an image five times
    (line,) = check_network(section, 3, NetworkInput("rgb8", size_px))
    assert ("sees a single place" in line) == narrow
