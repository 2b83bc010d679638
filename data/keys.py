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


def uniform(ids: np.ndarray, *keys: int | str) -> np.ndarray:
    """One number in [0, 1) for every patch id, (N,) uint64 -> (N,) float64: a function of the id and `keys` alone.

    A patch keeps its number whatever other patches there are and in whatever order they stand.
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is the point (SplitMix64)
        mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed_of(*keys))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
