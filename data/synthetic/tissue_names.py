"""The tissues that can be drawn. Read without what draws them."""

from typing import Literal, get_args

Tissue = Literal["tumour", "gland", "stroma", "lymphocytes", "necrosis"]
TISSUES: tuple[Tissue, ...] = get_args(Tissue)
