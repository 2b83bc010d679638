"""Ids of patches: what they are made of, and how people see them."""

import hashlib

import numpy as np


def patch_id(source: str, key: str) -> int:
    """A patch's id, a function of its place alone: the first 8 bytes of SHA-256(source, NUL, key)."""
    return int.from_bytes(hashlib.sha256(f"{source}\0{key}".encode()).digest()[:8])


def id_text(patch_id: int | np.integer) -> str:
    """A patch id as people see it: 16 hex digits."""
    return f"{int(patch_id):016x}"
