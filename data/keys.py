"""Random numbers keyed by what they are for, never by worker, process or order of calls."""

import hashlib

import numpy as np


def seed_of(*keys: int | str) -> int:
    """A 63-bit seed from keys such as (seed, address, stream position, patch id)."""
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*keys: int | str) -> np.random.Generator:
    """A NumPy generator that is a function of `keys` alone."""
    return np.random.Generator(np.random.PCG64(seed_of(*keys)))
