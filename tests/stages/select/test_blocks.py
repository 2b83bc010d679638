"""A selection in blocks is the selection: every bit of it, whatever the blocks, ties included."""

import dataclasses
import itertools
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import log_softmax

from data.keys import uniform
from stages import blocks
from stages.scores import Scores
from stages.select.alignment import aligned, class_weights
from stages.select.belief import Belief, Believed
from stages.select.evidence import ranked, top_class
from stages.select.negatives import Negatives, read_negatives, read_pieces_of_negatives, write_negatives
from stages.select.rule import surest
from stages.select.rules.balanced import Balanced
from stages.select.rules.top_k import TopK
from stages.select.selection import DTYPES, LAYOUT, Selection, joined, read_pieces, write_pieces
from tests.stages.select.cases import evidence
from tests.stages.select.rules.test_contract import IDS, RULES, columns
from tests.stages.test_scores import scores

SIZES = [7, 97, 10_000]  # none divides the pool


def best_first(confidence, ids):
    """Row numbers by falling confidence, ties by rising patch id."""
    return np.lexsort((ids, -confidence))


def equal(one: Selection, other: Selection) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(columns(one).values(), columns(other).values(), strict=True))


def drawn(digits=None, n=800):
    """Evidence that is computed from scores as it is asked for; few digits: many ties."""
    one = evidence(n, held=600, round=1, chain_seed=5)
    logits = np.random.default_rng(3).normal(0, 3, (n, 5))
    log_probs = log_softmax(logits if digits is None else np.round(logits, digits), axis=1).astype(np.float16)
    return dataclasses.replace(one, believed=Believed(Belief(1.3), Scores(one.ids, log_probs)))


@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_the_selection_does_not_depend_on_the_blocks(monkeypatch, rule, digits):
    wanted = rule.select(dataclasses.replace(drawn(digits), believed=drawn(digits).probs))
    for size in SIZES:
        monkeypatch.setattr(blocks, "BLOCK", size)
        pieces = list(rule.pieces(drawn(digits)))
        assert equal(joined(pieces), wanted)
        assert equal(rule.select(drawn(digits)), wanted)
        ids = [piece.ids for piece in pieces if len(piece)]
        assert all(before[-1] < after[0] for before, after in itertools.pairwise(ids))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize("p", [1, 3])
def test_top_k_is_that_of_sorted_probabilities(monkeypatch, size, digits, p):
    monkeypatch.setattr(blocks, "BLOCK", size)
    one = drawn(digits)
    probs, ids, k = plain_probs(one.believed.scores.log_probs, 1.3), one.ids, 40
    top = np.argsort(-probs, axis=1, kind="stable")[:, :p]
    rows, label = [], []
    for code in range(5):
        candidates = np.flatnonzero((top == code).any(axis=1))
        best = candidates[best_first(probs[candidates, code], ids[candidates])[:k]]
        rows.append(best)
        label.append(np.full(len(best), code, np.int16))
    row, code_of = np.concatenate(rows), np.concatenate(label)
    assert equal(TopK(k=k, p=p).select(one), Selection.of(ids[row], code_of, probs[row, code_of], 1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize("keys", [{}, {"n_per_class": 70}, {"n_from": "mean", "share": 0.4, "share_step": 0.1}])
def test_balanced_is_that_of_sorted_probabilities(monkeypatch, size, digits, keys):
    monkeypatch.setattr(blocks, "BLOCK", size)
    one, rule = drawn(digits), Balanced(**keys)
    probs, ids = plain_probs(one.believed.scores.log_probs, 1.3), one.ids
    label = probs.argmax(axis=1).astype(np.int16)
    confidence = np.take_along_axis(probs, label[:, None].astype(int), axis=1)[:, 0]
    classes = [np.flatnonzero((label == code) & (confidence >= np.float32(rule.min_confidence))) for code in range(5)]
    share = rule.share + rule.share_step
    if share < 1:
        parts = [math.ceil(share * len(own) - 1e-6) for own in classes]
        classes = [own[best_first(confidence[own], ids[own])[:n]] for own, n in zip(classes, parts, strict=True)]
    counts = np.sort([len(own) for own in classes if len(own)])
    middle = counts[(len(counts) - 1) // 2] if rule.n_from == "median" else round(counts.mean())
    n = rule.n_per_class or int(middle)
    best = [own[best_first(confidence[own], ids[own])[:n]] for own in classes]
    row, factor = np.concatenate(best), np.concatenate([np.full(len(own), n / max(1, len(own))) for own in best])
    copies = np.floor(factor) + (uniform(ids[row], "balanced", 5, 1) < factor - np.floor(factor))
    assert equal(rule.select(one), Selection.of(ids[row], label[row], confidence[row], 1, copies=copies))


@pytest.mark.parametrize("classes", [1, 2, 7, 8, 9, 16, 17, 130, 300])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 1.37, 20.0])
def test_probabilities_are_the_plain_formula_to_the_last_bit(monkeypatch, classes, temperature):
    monkeypatch.setattr(blocks, "BLOCK", 97)
    one = scores(500, classes)
    wanted = plain_probs(one.log_probs, temperature)
    assert one.probs(temperature).tobytes() == wanted.tobytes()
    believed = Believed(Belief(temperature), one)
    assert np.array_equal(believed[3:90], wanted[3:90])
    label, confidence = top_class(believed)
    assert np.array_equal(label, wanted.argmax(axis=1))
    assert np.array_equal(confidence, wanted.max(axis=1))


def plain_probs(log_probs, temperature):
    logits = log_probs.astype(np.float32) / np.float32(temperature)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def test_ranks_are_a_stable_sort():
    probs = np.round(scores(500).probs(), 1)
    order = np.argsort(-probs, axis=1, kind="stable")
    for block in (probs, np.asfortranarray(probs)):  # the latter is not copied to be looked at
        before = block.tobytes()
        ranks = list(ranked(block))
        assert block.tobytes() == before
        assert np.array_equal(np.stack([label for label, _ in ranks], axis=1), order)
        assert np.array_equal(np.stack([sure for _, sure in ranks], axis=1), np.take_along_axis(probs, order, axis=1))
    assert np.array_equal(top_class(probs)[0], order[:, 0])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("n", [0, 1, 800, 100_003])
def test_a_sum_does_not_depend_on_the_blocks(monkeypatch, size, n):
    monkeypatch.setattr(blocks, "BLOCK", size)
    values = np.random.default_rng(n).normal(0, 1, n) ** 3
    assert blocks.added(n, lambda rows: values[rows]) == values.sum()


@pytest.mark.parametrize("count", [0, 1, 97, 5000])
def test_what_blocks_make_comes_in_order(monkeypatch, count):
    monkeypatch.setattr(blocks, "BLOCK", 97)
    made = list(blocks.of_blocks(count, lambda rows: np.arange(rows.start, rows.stop)))
    assert np.concatenate([np.empty(0, int), *made]).tolist() == list(range(count))


@pytest.mark.parametrize("seed", range(20))
def test_the_surest_are_the_first_of_a_sort(seed):
    rng = np.random.default_rng(seed)
    confidence = np.round(rng.random(200), int(rng.integers(0, 3))).astype(np.float32)
    ids, among = rng.permutation(200).astype(np.uint64), rng.random(200) < rng.random()
    most = int(rng.integers(0, 220))
    rows = np.flatnonzero(among)
    wanted = rows[best_first(confidence[rows], ids[rows])[:most]]
    assert np.array_equal(np.flatnonzero(surest(confidence, ids, among, most)), np.sort(wanted))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("steps", [1, 30])
def test_alignment_does_not_depend_on_the_blocks(monkeypatch, size, steps):
    monkeypatch.setattr(blocks, "BLOCK", size)
    one, target = scores(800), np.array([0.3, 0.3, 0.2, 0.1, 0.1])
    found = class_weights(Believed(Belief(1.3), one), target, steps)
    monkeypatch.undo()
    assert np.array_equal(found, class_weights(one.probs(1.3), target, steps))
    if steps == 1:
        mean = aligned(one.probs(1.3), np.ones(5)).mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(found, target / mean / (target / mean).max(), rtol=1e-8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize("precision", [0.5, 0.8, 0.93, 0.999])
def test_what_is_believed_enough_is_that_of_a_sort(monkeypatch, size, digits, precision):
    monkeypatch.setattr(blocks, "BLOCK", size)
    one, rule = drawn(digits), Balanced(share=0.3, precision=precision, n_per_class=10_000)
    label, confidence = one.best
    classes = [np.flatnonzero((label == code) & (confidence >= np.float32(0.3))) for code in range(5)]
    classes = [own[best_first(confidence[own], one.ids[own])] for own in classes]
    for share in np.linspace(1, 0.3, 41):
        rows = np.concatenate([own[: math.ceil(share * len(own) - 1e-6)] for own in classes])
        if confidence[rows].mean(dtype=np.float64) >= precision:
            break
    assert rule.select(one).ids.tolist() == sorted(one.ids[rows].tolist())


@pytest.mark.parametrize("n", [0, 1, (1 << 20) + 5])
def test_negatives_in_pieces_are_written_as_one_table_is(tmp_path, n):
    rng = np.random.default_rng(n)
    whole = Negatives.of(rng.integers(0, max(n // 2, 1), n).astype(np.uint64), rng.integers(0, 9, n))
    pq.write_table(pa.table({"id": whole.ids, "label": whole.label}), tmp_path / "table")
    cuts = np.searchsorted(whole.ids, [0, *sorted(rng.integers(0, max(n // 2, 1), 5).tolist()), n + 1])  # between ids
    write_negatives(tmp_path, (Negatives(whole.ids[a:b], whole.label[a:b]) for a, b in itertools.pairwise(cuts)))
    assert (tmp_path / "negative.parquet").read_bytes() == (tmp_path / "table").read_bytes()
    found = read_negatives(tmp_path)
    assert np.array_equal(found.ids, whole.ids)
    assert np.array_equal(found.label, whole.label)
    assert sum(map(len, read_pieces_of_negatives(tmp_path))) == n


@pytest.mark.parametrize("n", [0, 1, 1 << 20, (1 << 20) + 5])
def test_pieces_are_written_as_one_table_is(tmp_path, n):
    rng = np.random.default_rng(n)
    ids = np.arange(n, dtype=np.uint64) * np.uint64(2**40) + rng.integers(0, 2**40, n, np.uint64)
    whole = Selection.of(ids, rng.integers(0, 9, n), rng.random(n), 3, copies=rng.integers(0, 3, n))
    named = {"id" if name == "ids" else name: getattr(whole, name) for name in DTYPES}
    pq.write_table(pa.table(named), tmp_path / "table", **LAYOUT)
    write_pieces(tmp_path / "whole", [whole])
    cuts = [0, *sorted(rng.integers(0, n + 1, 5).tolist()), n]
    write_pieces(tmp_path / "cut", (whole.take(slice(*ends)) for ends in itertools.pairwise(cuts)))
    wanted = (tmp_path / "table").read_bytes()
    assert (tmp_path / "whole").read_bytes() == wanted
    assert (tmp_path / "cut").read_bytes() == wanted
    assert equal(joined(list(read_pieces(tmp_path / "cut"))), whole)


def test_pieces_out_of_order_are_our_own_mistake(tmp_path):
    one = evidence(20)
    halves = [Selection.of(one.ids[own], np.zeros(10), np.ones(10), 0) for own in (slice(10, 20), slice(0, 10))]
    with pytest.raises(AssertionError, match="rising id"):
        write_pieces(tmp_path / "selection.parquet", halves)
    assert list(tmp_path.iterdir()) == []
