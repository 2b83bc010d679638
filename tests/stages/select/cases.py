"""Evidence for tests of rules: a pool, held-out labels of the same kind, deviations, a second opinion."""

import numpy as np

from stages.select.evidence import Evidence, HeldOut
from tests.stages.test_scores import scores


def evidence(n=800, c=5, seed=0, digits=None, held=0, round=0, chain_seed=0, opinions=1, scale=4.0):
    """A pool of n patches whose probabilities are right, and `held` labelled ones drawn from the same."""
    rng = np.random.default_rng(seed + 1000)
    one = scores(n, c, seed, scale)
    probs = one.probs() if digits is None else np.round(one.probs(), digits)
    return Evidence(
        ids=one.ids,
        believed=probs,
        round=round,
        seed=chain_seed,
        labelled=np.arange(c, 0, -1) * 10,
        held_out=held_out(held, c, seed, scale),
        deviation=(rng.random((n, c)) * 0.08).astype(np.float16).astype(np.float32),
        opinions=tuple(scores(n, c, seed + 1 + k, scale).probs() for k in range(opinions)),
        classes=tuple("abcdefghijk"[:c]),
    )


def held_out(n, c=5, seed=0, scale=4.0, per_group=1):
    """n patches whose labels are drawn from their probabilities."""
    rng = np.random.default_rng(seed + 2000)
    probs = scores(max(n, 1), c, seed + 500, scale).probs()[:n]
    drawn = (rng.random((n, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    return HeldOut(probs, np.minimum(drawn, c - 1).astype(np.int16), np.arange(n) // per_group)


def permuted(one, seed=1):
    """The same evidence in another order of rows."""
    order = np.random.default_rng(seed).permutation(len(one))
    return Evidence(
        one.ids[order],
        one.probs[order],
        one.round,
        one.seed,
        one.labelled,
        one.held_out,
        None if one.deviation is None else one.deviation[order],
        tuple(opinion[order] for opinion in one.opinions),
        one.classes,
    )
