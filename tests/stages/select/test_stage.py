"""The select stage on files: decides, tells, stops by name, and never looks at the hidden truth."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_softmax

from data.errors import ChainError, ExitCode
from data.patches.labels import AuditLabels
from data.patches.table import Column, PatchTable
from data.splits.written import SPLITS, VALIDATION, Assignment, load_audit, load_splits, write_splits
from stages.job import Job
from stages.networks import licences
from stages.predict.embedding import OF_ENCODER, OF_STYLE, OF_TEACHER, Embeddings, read_embeddings
from stages.scores import Scores, read_scores, write_scores
from stages.select import graph, hearing, stage
from stages.select.belief import Belief
from stages.select.believed_scores import believed_scores
from stages.select.calibrate import Told
from stages.select.graph import Graph
from stages.select.propagate import Propagate
from stages.select.rules import members
from stages.select.selection import read_selection
from stages.select.wording import UNTOLD, percent
from tests.embeddings import write_embeddings

N, CLASSES = 900, ("adi", "str", "tum")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Splits of 900 patches on 30 slides. The store is a table alone: the stage asks it for nothing else."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, N).astype(np.int16)
    ids = np.arange(N, dtype=np.uint64) * 11 + 5
    split = rng.choice(5, N, p=[0.1, 0.6, 0.15, 0.1, 0.05]).astype(np.int8)
    directory = tmp_path / "splits"
    directory.mkdir()
    drawn = Assignment(ids, split, truth, CLASSES, "slide", ())
    write_splits(directory, drawn, [0.5], [0.1])
    table = PatchTable(
        ids,
        np.zeros((N, 2), np.uint64),
        *(Column.of(texts) for texts in (["main"] * N, [""] * N, [f"s{k % 30}" for k in range(N)], [""] * N)),
    )
    monkeypatch.setattr(hearing, "PatchStore", lambda path: SimpleNamespace(table=lambda: table))
    return SimpleNamespace(root=tmp_path, splits=directory, drawn=drawn, truth=truth)


def predict(world, name, seed=0, right=2.0, sharp=3.0, mc=False, earlier=0):
    """Scores of a teacher that leans towards the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (N, 3))
    logits[np.arange(N), world.truth] += right
    log_probs = log_softmax(logits * sharp, axis=1).astype(np.float16)
    out = world.root / name
    out.mkdir()
    parts = {}
    for part in ("pool", "validation", "test"):
        rows = world.drawn.split == SPLITS.index(part)
        more = {"deviation": rng.random((int(rows.sum()), 3)) * 0.1} if mc else {}
        more |= {"opinions": np.stack([log_probs[rows]] * earlier)} if earlier else {}
        parts[part] = Scores(world.drawn.ids[rows], log_probs[rows], **more)
    write_scores(out / "scores.h5", parts)
    licences.save([], out)
    return out


def job(world, predicted, name, round=0, previous=None, previous_predict=None, splits=None, **section):
    out = world.root / name
    out.mkdir()
    inputs = {"predict": predicted, "splits": splits or world.splits, "store": world.root}
    inputs |= {"previous": previous} if previous else {}
    inputs |= {"previous_predict": previous_predict} if previous_predict else {}
    return Job(
        f"rounds/{round:02}/select", "select", round, 7, section or {"rule": "top_k", "k": 60}, inputs, out, out, out
    )


def quality(directory):
    return json.loads((directory / "quality.json").read_text())


def test_first_round_decides_and_tells(world):
    one = job(world, predict(world, "predict"), "select")
    summary = stage.run(one)
    found, kept = quality(one.out), read_selection(one.out / "selection.parquet")
    splits = load_splits(world.splits)
    assert len(kept) == found["total"]["kept"] == 180
    assert np.isin(kept.ids, splits.pool).all()
    assert [entry["class"] for entry in found["per_class"]] == list(CLASSES)
    assert (found["round"], found["rule"], found["unit"], found["pool"]) == (0, "top_k", "slide", len(splits.pool))
    assert found["temperature"] > 1.5  # the teacher was made three times too sure
    assert found["calibration"]["n"] == len(splits.validation)
    assert found["calibration"]["nll_after"] < found["calibration"]["nll_before"]
    assert found["calibration"]["ece_after"] < found["calibration"]["ece_before"]
    assert found["total"]["churn"] is None
    assert 0.9 < found["total"]["audit"]["precision"] <= 1
    assert found["total"]["top5_share"] < 0.5
    assert not (one.out / "stop.json").exists()
    precision = 100 * found["total"]["audit"]["precision"]
    share = 100 * 180 / len(splits.pool)
    assert summary == (
        f"kept 180 of {len(splits.pool):,} ({share:.1f} %), T {found['temperature']:.2f}, "
        f"audited precision {precision:.1f} %"
    )


def test_same_inputs_same_bytes(world):
    predicted = predict(world, "predict")
    jobs = [job(world, predicted, name) for name in ("one", "two")]
    for one in jobs:
        stage.run(one)
    for name in ("selection.parquet", "quality.json"):
        assert (jobs[0].out / name).read_bytes() == (jobs[1].out / name).read_bytes()


@pytest.mark.parametrize("rule", members())
def test_audit_labels_do_not_change_selection(world, rule):
    predicted = predict(world, "predict", mc=True, right=4.0)
    liar = world.root / "liar"
    liar.mkdir()
    hidden = world.drawn.split == SPLITS.index("pool")
    label = np.where(hidden, np.random.default_rng(3).permutation(world.truth), world.truth).astype(np.int16)
    write_splits(liar, Assignment(world.drawn.ids, world.drawn.split, label, CLASSES, "slide", ()), [0.5], [0.1])
    assert not np.array_equal(load_audit(liar).label, load_audit(world.splits).label)
    keys = {"precision": 0.8} if rule == "risk" else {}
    one = job(world, predicted, "one", rule=rule, **keys)
    other = job(world, predicted, "other", splits=liar, rule=rule, **keys)
    stage.run(one)
    stage.run(other)
    assert (one.out / "selection.parquet").read_bytes() == (other.out / "selection.parquet").read_bytes()
    told, lied = quality(one.out), quality(other.out)
    assert told["total"].pop("audit") != lied["total"].pop("audit")
    for entry in told["per_class"] + lied["per_class"]:
        entry.pop("audit")
    assert told == lied


def test_hidden_truth_is_joined_by_id_also_where_some_of_it_has_left_the_pool():
    ids = np.arange(5, 25, 2, dtype=np.uint64)
    pool = Scores(ids[[1, 4, 7, 9]], np.zeros((4, 3), np.float16))
    known = np.array([0, 1, 3, 4, 9])  # of one pool patch nothing is known
    found = stage._truth(AuditLabels(ids[known], (known % 3).astype(np.int16)), pool)
    assert found.tolist() == [1, 1, -1, 0]


def test_given_labels_never_change(world):
    before = (world.splits / "splits.parquet").read_bytes()
    given = load_splits(world.splits)
    one = job(world, predict(world, "predict", right=-3), "select", rule="threshold", tau=0.01)
    stage.run(one)
    kept = read_selection(one.out / "selection.parquet")
    for labels in (given.labelled, given.validation, given.test):
        assert not np.isin(labels.ids, kept.ids).any()
    assert (world.splits / "splits.parquet").read_bytes() == before


def test_second_round_remembers_and_compares(world):
    p0, p1 = predict(world, "p0"), predict(world, "p1", seed=1)
    first = job(world, p0, "s0")
    stage.run(first)
    second = job(world, p1, "s1", round=1, previous=first.out, previous_predict=p0)
    stage.run(second)
    old, new = (read_selection(one.out / "selection.parquet") for one in (first, second))
    known = {(patch, code) for patch, code in zip(old.ids.tolist(), old.label.tolist(), strict=True)}
    wanted = [0 if pair in known else 1 for pair in zip(new.ids.tolist(), new.label.tolist(), strict=True)]
    assert new.first_round.tolist() == wanted
    assert {0, 1} == set(wanted)
    total = quality(second.out)["total"]
    assert 0 < total["churn"] < 0.5
    assert total["kept_churn"] == pytest.approx(1 - wanted.count(0) / (360 - wanted.count(0)), abs=1e-6)


@pytest.mark.parametrize(
    ("right", "sharp", "limit", "says"),
    [
        (20.0, 0.01, 0.05, "is right far more often than"),
        (-4.0, 3.0, 20.0, "confidence has little to do with being right"),
    ],
    ids=["modest", "wrong"],
)
def test_a_temperature_at_its_limit_says_which_way_confidence_is_wrong(world, right, sharp, limit, says):
    one = job(world, predict(world, "predict", right=right, sharp=sharp), "select")
    stage.run(one)
    found = quality(one.out)
    assert found["temperature"] == limit
    (said,) = [alarm for alarm in found["alarms"] if alarm.startswith("the temperature is")]
    assert f"{limit:g}: validation says that this teacher" in said
    assert says in said


def test_uncalibrated_means_temperature_one(world):
    one = job(world, predict(world, "predict"), "select", rule="threshold", calibrate=False)
    stage.run(one)
    found = quality(one.out)
    assert found["temperature"] == 1
    assert found["calibration"]["nll_before"] == found["calibration"]["nll_after"]


def stop(directory):
    return json.loads((directory / "stop.json").read_text())["reason"]


def test_stops_when_nothing_is_kept(world):
    one = job(world, predict(world, "predict", right=0, sharp=0.1), "select", rule="threshold", tau=1.0)
    said = stage.run(one)
    assert stop(one.out) == "nothing_selected"
    # how far the threshold is from what is believed: three classes, of a teacher that hardly tells them apart
    surest = float(said.partition("the surest is believed at ")[2].split(" %")[0])
    assert 33 < surest < 100
    assert quality(one.out)["total"]["kept"] == 0


def test_stops_when_nothing_changed(world):
    p0 = predict(world, "p0")
    first = job(world, p0, "s0")
    stage.run(first)
    second = job(world, p0, "s1", round=1, previous=first.out, previous_predict=p0)
    stage.run(second)
    assert stop(second.out) == "no_change"
    assert quality(second.out)["total"]["churn"] == 0


def test_stops_when_the_whole_pool_was_kept_twice(world):
    p0, p1 = predict(world, "p0"), predict(world, "p1", seed=1)
    whole = {"rule": "curriculum", "step": 1.0}
    first = job(world, p0, "s0", **whole)
    stage.run(first)
    assert not (first.out / "stop.json").exists()
    second = job(world, p1, "s1", round=1, previous=first.out, previous_predict=p0, **whole)
    stage.run(second)
    assert stop(second.out) == "pool_exhausted"


@pytest.mark.parametrize("judged", [False, True])
def test_one_class_ends_a_chain_that_no_label_judges(world, judged):
    directory = world.root / "drawn"
    directory.mkdir()
    split = np.where((world.drawn.split == VALIDATION) & (not judged), SPLITS.index("pool"), world.drawn.split)
    world.drawn = Assignment(world.drawn.ids, split.astype(np.int8), world.truth, CLASSES, "slide", ())
    write_splits(directory, world.drawn, [0.5], [0.1])
    world.truth = np.full_like(world.truth, 2)  # the teacher leans towards one class, whatever a patch is
    one = job(world, predict(world, "predict", right=30), "select", splits=directory, rule="curriculum")
    stage.run(one)
    assert {entry["class"] for entry in quality(one.out)["per_class"] if entry["kept"]} == {"tum"}
    assert (one.out / "stop.json").exists() is not judged
    if not judged:
        assert stop(one.out) == "one_class"


@pytest.mark.parametrize("part", ["pool", "validation"])
def test_never_decides_on_scores_that_are_not_finite(world, part):
    predicted = predict(world, "predict")
    rows = world.drawn.split == SPLITS.index(part)
    bad = np.zeros((int(rows.sum()), 3), np.float16)
    bad[4, 1] = np.nan
    from stages.scores import read_scores

    parts = {name: read_scores(predicted / "scores.h5", name) for name in ("pool", "validation", "test")}
    write_scores(predicted / "scores.h5", parts | {part: Scores(world.drawn.ids[rows], bad)})
    one = job(world, predicted, "select")
    with pytest.raises(ChainError) as refusal:
        stage.run(one)
    assert refusal.value.code == ExitCode.DIVERGED
    assert f"1 {part} patches" in refusal.value.what
    assert list(one.out.iterdir()) == []


def test_scores_of_other_patches_are_refused(world):
    predicted = predict(world, "predict")
    from stages.scores import read_scores

    parts = {name: read_scores(predicted / "scores.h5", name) for name in ("pool", "validation", "test")}
    short = Scores(parts["pool"].ids[1:], parts["pool"].log_probs[1:])
    write_scores(predicted / "scores.h5", parts | {"pool": short})
    with pytest.raises(ChainError) as refusal:
        stage.run(job(world, predicted, "select"))
    assert refusal.value.code == ExitCode.MISMATCH


def without_validation(world, rarer=None):
    """Splits of the same patches whose validation is left out, and of the class `rarer` six patches of seven."""
    splits = world.root / "bare"
    splits.mkdir()
    out = (world.drawn.split == SPLITS.index("validation")) | ((world.truth == rarer) & (np.arange(N) % 7 > 0))
    split = np.where(out, SPLITS.index("unused"), world.drawn.split)
    bare = Assignment(world.drawn.ids, split.astype(np.int8), world.truth, CLASSES, "slide", ())
    write_splits(splits, bare, [0.5], [0.1])
    world.drawn = bare
    return splits


def test_works_without_validation(world):
    splits = without_validation(world)
    one = job(world, predict(world, "predict"), "select", splits=splits)
    stage.run(one)
    found = quality(one.out)
    assert (found["temperature"], found["calibration"], found["total"]["calibration_error"]) == (1, None, None)
    assert found["temperatures"] is None


def test_where_nothing_validates_labels_say_how_often_each_class_is_right(world):
    """The rarer class is told too often, and believed no more than it deserves."""
    splits = without_validation(world, rarer=2)
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_ENCODER, right=0.5)
    one = job(world, predicted, "select", splits=splits, rule="threshold", tau=0.01, propagate={})
    summary = stage.run(one)
    each = quality(one.out)["temperatures"]
    assert len(each) == len(CLASSES)
    assert f"T {min(each):.2f} to {max(each):.2f} by class" in summary
    told = quality(one.out)["told"]
    assert told["labels"] == len(load_splits(splits).labelled)
    assert sum(row["told"] for row in told["per_class"]) == pytest.approx(told["labels"], abs=1e-3)
    kept = read_selection(one.out / "selection.parquet")
    right = kept.label == world.truth[np.searchsorted(world.drawn.ids, kept.ids)]
    found = [(kept.confidence[kept.label == k].mean(), right[kept.label == k].mean()) for k in range(len(CLASSES))]
    for believed, so in found:
        assert believed == pytest.approx(so, abs=0.12)


def test_alignment_comes_after_the_temperature_and_is_recorded(world):
    from stages.select.belief import Belief

    predicted = predict(world, "predict")
    plain = job(world, predicted, "plain", rule="threshold", tau=0.5)
    turned = job(world, predicted, "turned", rule="threshold", tau=0.5, align="uniform", align_steps=200)
    stage.run(plain)
    stage.run(turned)
    assert quality(plain.out)["alignment"] is None
    found = quality(turned.out)["alignment"]
    assert (found["target"], found["exponent"], len(found["weights"])) == ("uniform", 1.0, 3)
    assert quality(turned.out)["temperature"] == quality(plain.out)["temperature"]
    from stages.scores import read_scores

    pool = read_scores(predicted / "scores.h5", "pool")
    believed = Belief.load(turned.out).of(pool)
    np.testing.assert_allclose(believed.mean(axis=0), 1 / 3, atol=1e-3)
    kept = read_selection(turned.out / "selection.parquet")
    rows = np.searchsorted(pool.ids, kept.ids)
    assert np.array_equal(kept.confidence, believed[rows, kept.label])  # what a student learns is what was chosen by


def test_the_exponent_of_rebalancing_falls_by_rounds(world):
    predicted = predict(world, "predict")
    first = job(world, predicted, "s0", rule="rebalance")
    stage.run(first)
    second = job(world, predicted, "s1", round=1, previous=first.out, previous_predict=predicted, rule="rebalance")
    stage.run(second)
    assert [quality(one.out)["alignment"]["exponent"] for one in (first, second)] == [1.0, 0.75]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_belief_is_drawn_to_the_labelled_shares_raised_to_the_exponent(world, exponent):
    predicted = predict(world, "predict")
    keys = {"rule": "threshold", "align": "labelled", "align_exponent": exponent, "align_steps": 500}
    one = job(world, predicted, "select", **keys)
    stage.run(one)
    wanted = np.bincount(load_splits(world.splits).labelled.label, minlength=3) ** exponent
    believed = Belief.load(one.out).of(read_scores(predicted / "scores.h5", "pool"))
    np.testing.assert_allclose(believed.mean(axis=0), wanted / wanted.sum(), atol=1e-4)


def test_risk_control_keeps_its_promise_on_hidden_truth_and_tells_its_thresholds(world):
    one = job(world, predict(world, "predict", right=4.0), "select", rule="risk", precision=0.8)
    stage.run(one)
    found = quality(one.out)
    assert found["total"]["audit"]["precision"] >= 0.8
    reached = [entry["threshold"] for entry in found["per_class"]]
    assert any(reached)
    for entry, name in zip(found["per_class"], CLASSES, strict=True):
        told = any(name in alarm and "no threshold" in alarm for alarm in found["alarms"])
        assert told == (entry["threshold"] is None)


def test_a_rule_draws_by_the_seed_of_the_chain(world):
    predicted, copies = predict(world, "predict"), []
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        one = replace(job(world, predicted, name, rule="balanced", n_per_class=250), seed=seed)
        stage.run(one)
        copies.append(read_selection(one.out / "selection.parquet").copies)
    assert np.array_equal(copies[0], copies[1])
    assert not np.array_equal(copies[0], copies[2])


def test_what_a_rule_needs_is_asked_for_by_name(world):
    for section, sentence in (
        ({"rule": "uncertainty"}, "predict.mc_passes"),
        ({"rule": "risk", "precision": 0.999}, "label more"),
    ):
        one = job(world, predict(world, f"p-{section['rule']}"), section["rule"], **section)
        with pytest.raises(ChainError) as refusal:
            stage.run(one)
        assert refusal.value.code == ExitCode.MISMATCH
        assert sentence in refusal.value.todo
        assert list(one.out.iterdir()) == []


def test_negative_labels_are_a_table_of_their_own_and_audited(world, monkeypatch):
    from stages.select import tables
    from stages.select.negatives import read_negatives

    predicted = predict(world, "predict", mc=True)
    section = {"rule": "uncertainty", "max_deviation": 0.2, "negative_deviation": 0.05}
    plain, negative = job(world, predicted, "a", **section), job(world, predicted, "b", negative=True, **section)
    stage.run(plain)
    stage.run(negative)
    assert read_negatives(plain.out) is None
    found = read_negatives(negative.out)
    told = quality(negative.out)["negatives"]
    assert told["labels"] == len(found) > 0
    assert 0.9 < told["audit"]["precision"] <= 1
    assert told["patches"] == len(set(found.ids.tolist())) < len(found)
    assert (plain.out / "selection.parquet").read_bytes() == (negative.out / "selection.parquet").read_bytes()
    monkeypatch.setattr(tables, "GROUP", 1)  # what a patch is not then stands in several
    cut = job(world, predicted, "c", negative=True, **section)
    stage.run(cut)
    assert quality(cut.out)["negatives"] == told


def test_agreement_hears_the_round_before_and_earlier_states(world):
    p0, p1 = predict(world, "p0", earlier=2), predict(world, "p1", seed=1)
    first = job(world, p0, "s0", rule="agreement")
    stage.run(first)
    assert not any("no second opinion" in alarm for alarm in quality(first.out)["alarms"])
    second = job(world, p1, "s1", round=1, previous=first.out, previous_predict=p0, rule="agreement", min_confidence=0)
    stage.run(second)
    from stages.scores import read_scores

    pools = [read_scores(p / "scores.h5", "pool") for p in (p0, p1)]
    same = pools[0].log_probs.argmax(axis=1) == pools[1].log_probs.argmax(axis=1)
    assert np.array_equal(read_selection(second.out / "selection.parquet").ids, pools[1].ids[same])


def test_a_rule_that_keeps_all_with_weights_has_not_run_out_of_pool(world):
    p0, p1 = predict(world, "p0"), predict(world, "p1", seed=1)
    first = job(world, p0, "s0", rule="soft")
    stage.run(first)
    second = job(world, p1, "s1", round=1, previous=first.out, previous_predict=p0, rule="soft")
    stage.run(second)
    assert not (second.out / "stop.json").exists()
    third = job(world, p1, "s2", round=2, previous=second.out, previous_predict=p1, rule="soft")
    stage.run(third)
    assert stop(third.out) == "no_change"


def test_guard_rails_are_in_the_record_of_every_round(world):
    p0, p1 = predict(world, "p0"), predict(world, "p1", seed=1)
    first = job(world, p0, "s0")
    stage.run(first)
    second = job(world, p1, "s1", round=1, previous=first.out, previous_predict=p0)
    stage.run(second)
    found = quality(second.out)
    assert quality(first.out)["guards"]["agreement"] is None
    assert found["guards"]["agreement"] == pytest.approx(1 - found["total"]["churn"], abs=1e-5)


def embeddings(world, directory, name, seed=0, right=1.0):
    """Points of every patch: of the teacher's directory `name`, leaning towards the truth by `right`."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N, 16)) + right * 4 * np.eye(16)[world.truth]
    write_embeddings(directory / name, Embeddings(world.drawn.ids, values.astype(np.float16)))


def test_propagated_labels_are_what_the_rule_and_the_student_believe(world):
    predicted = predict(world, "predict", right=0.3)
    embeddings(world, predicted, OF_TEACHER)
    embeddings(world, predicted, OF_ENCODER, seed=1, right=0.6)
    keys = {"rule": "balanced", "share": 0.5, "min_confidence": 0}
    plain, spread = (
        job(world, predicted, name, **keys, **more) for name, more in (("plain", {}), ("spread", {"propagate": {}}))
    )
    for one in (plain, spread):
        stage.run(one)
    precision = [quality(one.out)["total"]["audit"]["precision"] for one in (plain, spread)]
    assert precision[0] < 0.6
    assert precision[1] > 0.95
    splits = load_splits(world.splits)
    pool = believed_scores(spread.out, predicted, "pool")
    assert np.array_equal(pool.ids, splits.pool)
    assert believed_scores(plain.out, predicted, "pool").log_probs.tobytes() != pool.log_probs.tobytes()
    kept = read_selection(spread.out / "selection.parquet")
    belief = Belief.load(spread.out)
    rows = np.searchsorted(pool.ids, kept.ids)
    np.testing.assert_array_equal(belief.of(pool)[rows].argmax(1), kept.label)
    # what a later round compares itself with
    later = job(
        world, predicted, "later", round=1, previous=spread.out, previous_predict=predicted, **keys, propagate={}
    )
    stage.run(later)
    assert quality(later.out)["total"]["churn"] == 0


def test_patients_and_slides_are_joined_by_id_wherever_a_patch_stands_in_the_store(world, monkeypatch):
    """A store has patches in the order of its sources."""
    predicted = predict(world, "predict", right=3.0)
    order, found = np.random.default_rng(3).permutation(N), []
    for rows in (np.arange(N), order):
        texts = [["main"] * N, [f"p{k % 30 // 3}" for k in rows], [f"s{k % 30}" for k in rows], [""] * N]
        table = PatchTable(world.drawn.ids[rows], np.zeros((N, 2), np.uint64), *map(Column.of, texts))
        monkeypatch.setattr(hearing, "PatchStore", lambda path, table=table: SimpleNamespace(table=lambda: table))
        one = job(world, predicted, f"s{len(found)}", rule="risk", precision=0.6)
        stage.run(one)
        found.append([(one.out / name).read_bytes() for name in ("quality.json", "selection.parquet")])
    assert found[0] == found[1]


def test_style_tells_what_the_last_layer_overlooks(world):
    """And each of its channels counts alike, whatever its unit."""
    predicted, precision = predict(world, "predict"), []
    embeddings(world, predicted, OF_ENCODER, right=0.1)
    keys = {"rule": "balanced", "share": 0.5, "min_confidence": 0, "propagate": {}}
    for name in ("without", "with"):
        if name == "with":
            embeddings(world, predicted, OF_STYLE, seed=2, right=0.6)
            seen = read_embeddings(predicted / OF_STYLE)
            # as deep as a network goes, channels differ by orders of magnitude
            scaled = seen.values * np.r_[np.ones(8), np.full(8, 100)]
            write_embeddings(predicted / OF_STYLE, Embeddings(seen.ids, scaled.astype(np.float16)))
        one = job(world, predicted, name, **keys)
        stage.run(one)
        precision.append(quality(one.out)["total"]["audit"]["precision"])
    assert precision[0] < 0.7
    assert precision[1] > precision[0] + 0.2


def test_labels_say_how_often_the_pool_is_told_right(world):
    """Told by other folds along what knows no label, as often as the pool is: near its hidden truth."""
    predicted = predict(world, "predict")
    for right in (0.2, 1.0):
        embeddings(world, predicted, OF_ENCODER, right=right)
        splits = load_splits(world.splits)
        one = job(world, predicted, f"s{right}", rule="top_k", propagate={})
        alone = 2 * np.arange(len(splits.labelled)), 2 * np.arange(len(splits.pool)) + 1
        graph = Graph(one, Propagate(), splits, splits.pool, alone)
        said = graph.scores(splits.pool).log_probs.argmax(1)
        truth = world.truth[np.searchsorted(world.drawn.ids, splits.pool)]
        found = graph.told().accuracy
        assert found == pytest.approx((said == truth).mean(), abs=0.12)


@pytest.mark.parametrize(("near", "by_validation"), [(True, 0.0), (False, 1.0), (None, 0.5)])
def test_validation_says_how_often_the_pool_of_other_slides_is_told_right(world, monkeypatch, near, by_validation):
    """And nothing of patches whose slides have labels, as it is never from these: here it is told by chance."""
    part = np.array(SPLITS)[world.drawn.split]
    of_pool = {True: "l", False: "p"}.get(near, np.where(np.arange(N) % 2, "l", "p"))
    slide = np.where(part == "labelled", "l", np.where(part == "pool", of_pool, "v"))
    texts = [["main"] * N, [""] * N, [f"{slide[k]}{k % 10 // 2}" for k in range(N)], [""] * N]
    table = PatchTable(world.drawn.ids, np.zeros((N, 2), np.uint64), *map(Column.of, texts))
    monkeypatch.setattr(hearing, "PatchStore", lambda path: SimpleNamespace(table=lambda: table))
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_ENCODER)
    seen = read_embeddings(predicted / OF_ENCODER)
    values = seen.values.copy()
    rows = np.flatnonzero(part == "validation")
    values[rows] = values[np.random.default_rng(0).permutation(rows)]
    write_embeddings(predicted / OF_ENCODER, Embeddings(seen.ids, values))
    one = job(world, predicted, "one", rule="balanced", share=1.0, min_confidence=0, propagate={})
    stage.run(one)
    found = quality(one.out)
    told, total = found["told"], found["total"]
    assert told["validation"] == (found["calibration"]["n"] if by_validation else 0)
    # how far it is known is said by those who say it
    few, all_ = sorted((told["labels"], found["calibration"]["n"])), told["labels"] + found["calibration"]["n"]
    known = {0: (told["labels"],) * 2, 1: (told["validation"],) * 2}.get(by_validation, (few[0], all_))
    assert known[0] <= told["cases"] <= known[1]
    expected = total["audit"]["precision"] * (1 - by_validation) + by_validation / 3
    assert told["accuracy"] == pytest.approx(expected, abs=0.08)
    assert total["confidence_mean"] == pytest.approx(told["accuracy"], abs=0.05)


def test_validation_that_is_told_as_the_labels_are_counts_with_them(world):
    """All lie on the same slides here: nothing says that validation is another matter."""
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_ENCODER)
    one = job(world, predicted, "one", rule="balanced", share=1.0, min_confidence=0, propagate={})
    stage.run(one)
    found, splits = quality(one.out), load_splits(world.splits)
    told, (teach, judge) = found["told"], (len(splits.labelled), len(splits.validation))
    assert (told["labels"], told["validation"], told["cases"]) == (teach, judge, pytest.approx(teach + judge, rel=0.01))
    assert told["accuracy"] == pytest.approx(found["total"]["audit"]["precision"], abs=0.05)


@pytest.mark.parametrize("near", [1.0, 0.5])
@pytest.mark.parametrize(("weights", "right"), [(None, 0.8), (np.array([1.25, 0.625]), 0.8375)])
def test_what_labels_say_of_their_own_patients_counts_for_the_share_of_the_pool_in_these(near, weights, right):
    """Beside validation, by how many there are of either; for the rest of the pool only validation speaks."""

    def of_labels(ways, by=None, whole=False, weights=None):
        each = by if weights is None else weights
        return np.array([[54, 6], [14, 26]]) * (1 if each is None else each[:, None])  # 100 labels

    left_out = SimpleNamespace(near=near, of_pool=of_labels, told=of_labels)
    heard = SimpleNamespace(_left_out=left_out, _seen=SimpleNamespace(ways=[()]), _weights=weights)
    found = Graph.told(heard, Told(np.array([150.0, 150.0]), np.array([114.0, 114.0])))  # 76 of 100
    part = near * 100 / 400
    assert found.accuracy == pytest.approx(part * right + (1 - part) * 0.76)
    assert found.cases == pytest.approx(1 / (part**2 / 100 + (1 - part) ** 2 / 300))
    assert (found.labels, found.validation) == (100, 300)
    assert Graph.told(heard).accuracy == pytest.approx(right)  # without validation


@pytest.mark.parametrize(("knows", "kappa", "weight"), [(0.0, 0.0, 0.0), (0.25, 0.3, 0.5), (1.0, 1.0, 1.0)])
def test_an_encoder_counts_as_far_as_labels_tell_each_other_along_it(world, knows, kappa, weight):
    predicted, believed = predict(world, "predict"), {}
    embeddings(world, predicted, OF_TEACHER, right=0.5)
    keys = {"rule": "balanced", "share": 0.5, "min_confidence": 0, "propagate": {}}
    for name in ("teacher alone", "both"):
        if name == "both":
            embeddings(world, predicted, OF_ENCODER, seed=1, right=knows)
        one = job(world, predicted, name, **keys)
        stage.run(one)
        believed[name] = believed_scores(one.out, predicted, "pool").log_probs.argmax(1)
    said = quality(one.out)["encoder"]
    assert said["kappa"] == pytest.approx(kappa, abs=0.15)
    assert said["weight"] == pytest.approx(weight, abs=0.25)
    assert said["weight"] == pytest.approx(min(1, max(0, said["kappa"] / 0.6)), abs=1e-3)
    truth = world.truth[world.drawn.split == SPLITS.index("pool")]
    right = {name: (label == truth).mean() for name, label in believed.items()}
    assert right["both"] > right["teacher alone"] - 0.02  # who knows nothing spoils nothing
    assert (right["both"] > right["teacher alone"]) or knows < 1


def rare_in_the_pool(world, code, every=20):
    """Splits without validation: of the pool's patches of a class one in so many, of the labels all."""
    splits = world.root / "rare"
    splits.mkdir()
    of_pool = world.drawn.split == SPLITS.index("pool")
    out = (world.drawn.split == SPLITS.index("validation")) | (
        of_pool & (world.truth == code) & (np.arange(N) % every > 0)
    )
    split = np.where(out, SPLITS.index("unused"), world.drawn.split)
    world.drawn = Assignment(world.drawn.ids, split.astype(np.int8), world.truth, CLASSES, "slide", ())
    write_splits(splits, world.drawn, [0.5], [0.1])
    return splits


def test_a_class_that_is_rare_in_the_pool_and_not_among_the_labels_is_told_and_believed_less(world, monkeypatch):
    splits = rare_in_the_pool(world, code=2)
    predicted = predict(world, "predict")
    for name in (OF_TEACHER, OF_ENCODER):
        embeddings(world, predicted, name, seed=len(name), right=0.4)
    keys = {"rule": "balanced", "share": 0.6, "min_confidence": 0, "propagate": {}}
    one = job(world, predicted, "one", splits=splits, **keys)
    stage.run(one)
    monkeypatch.setattr(graph, "unlike", lambda *seen: False)
    other = job(world, predicted, "other", splits=splits, **keys)
    stage.run(other)
    found, plain = quality(one.out), quality(other.out)
    drawn = load_splits(splits)
    truth = world.truth[np.searchsorted(world.drawn.ids, drawn.pool)]
    among = np.bincount(drawn.labelled.label, minlength=3) / len(drawn.labelled)
    in_pool = np.bincount(truth, minlength=3) / len(truth)
    assert np.abs(np.array(found["shares"]) - in_pool).sum() < 0.6 * np.abs(among - in_pool).sum()
    assert plain["shares"] is None
    rare, before = (each["per_class"][2] for each in (found, plain))
    assert rare["audit"]["precision"] > before["audit"]["precision"]
    off = [abs(each["confidence_mean"] - each["audit"]["precision"]) for each in (rare, before)]
    assert off[0] < off[1]
    assert found["total"]["audit"]["precision"] > plain["total"]["audit"]["precision"]
    said = [alarm for alarm in found["alarms"] if "does not hold the classes as the labels do" in alarm]
    assert len(said) == 1
    assert said[0].endswith(f"tum {percent(found['shares'][2])} (of the labels {percent(among[2])})")


def test_labels_and_the_pool_are_compared_by_what_one_graph_tells_of_either(world, monkeypatch):
    """Labels stand in the graph beside the pool: chosen by hand, they do not count as part of it."""
    predicted, asked, drawn = predict(world, "predict"), [], load_splits(world.splits)
    for name in (OF_TEACHER, OF_ENCODER):
        embeddings(world, predicted, name, seed=len(name), right=0.3)
    monkeypatch.setattr(graph, "unlike", lambda confusion, told: asked.append((confusion, told)))
    one = job(world, predicted, "one", rule="top_k", propagate={})
    groups = np.arange(len(drawn.labelled)), np.arange(len(drawn.pool))
    whole = Graph(one, Propagate(), drawn, drawn.pool, groups)
    assert whole.shares is None
    ((confusion, told),) = asked
    assert told.sum() == len(drawn.pool)
    by_all, by_encoder = (whole._left_out.of_pool([way]) for way in whole._seen.ways)
    assert np.array_equal(confusion, by_all)
    assert not np.array_equal(by_all, by_encoder)


def test_the_first_round_says_for_all_which_shares_the_pool_holds(world, monkeypatch):
    """Later teachers have been taught what the labels were spread to: what they see is no evidence of its own."""
    splits = rare_in_the_pool(world, code=2)
    predicted, later = predict(world, "predict"), predict(world, "later", seed=1)
    for place in (predicted, later):
        embeddings(world, place, OF_ENCODER, right=0.4)
    embeddings(world, later, OF_TEACHER, seed=2, right=0.6)
    keys = {"rule": "balanced", "share": 0.6, "min_confidence": 0, "propagate": {}, "splits": splits}
    for first in (True, False):
        monkeypatch.setattr(graph, "unlike", lambda *seen, first=first: first)
        one = job(world, predicted, f"first-{first}", **keys)
        stage.run(one)
        monkeypatch.setattr(graph, "unlike", lambda *seen, first=first: not first)
        other = job(world, later, f"second-{first}", round=1, previous=one.out, previous_predict=predicted, **keys)
        stage.run(other)
        assert [quality(each.out)["shares"] is not None for each in (one, other)] == [first, first]
        assert quality(other.out)["shares"] == quality(one.out)["shares"]
        assert quality(other.out)["told"] != quality(one.out)["told"]


def test_a_graph_that_is_too_sure_does_not_make_shares_count_for_more_than_they_are(world, monkeypatch):
    splits = rare_in_the_pool(world, code=2)
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_ENCODER, right=0.4)
    one, drawn = job(world, predicted, "one", splits=splits, rule="top_k", propagate={}), load_splits(splits)
    said = {}
    for temperature in (0.5, 1.0, 4.0):
        monkeypatch.setattr(graph, "matched_temperature", lambda *_, found=temperature: found)
        groups = np.arange(len(drawn.labelled)), np.arange(len(drawn.pool))
        said[temperature] = Graph(one, Propagate(), drawn, drawn.pool, groups).scores(drawn.pool).log_probs
    assert np.array_equal(said[4.0], said[1.0])
    assert not np.array_equal(said[0.5], said[1.0])


@pytest.mark.parametrize("calibrate", [True, False])
def test_one_label_a_class_says_that_nothing_tells_how_often_it_is_right(world, calibrate):
    splits = world.root / "single"
    splits.mkdir()
    split, labelled = world.drawn.split.copy(), SPLITS.index("labelled")
    first = [np.flatnonzero((split == labelled) & (world.truth == code))[0] for code in range(3)]
    split[(split == labelled) | (split == SPLITS.index("validation"))] = SPLITS.index("unused")
    split[first] = labelled
    world.drawn = Assignment(world.drawn.ids, split, world.truth, CLASSES, "slide", ())
    write_splits(splits, world.drawn, [0.5], [0.1])
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_TEACHER)
    one = job(world, predicted, "one", splits=splits, rule="top_k", propagate={}, calibrate=calibrate)
    stage.run(one)
    found = quality(one.out)
    assert found["told"] is None
    assert (UNTOLD in found["alarms"]) == calibrate


@pytest.mark.parametrize("judges", [True, False])
def test_a_pool_of_nothing_is_told_nothing(world, judges):
    split, splits = world.drawn.split.copy(), world.root / "empty"
    splits.mkdir()
    split[split == SPLITS.index("pool")] = SPLITS.index("unused")
    split[(split == SPLITS.index("validation")) & (not judges)] = SPLITS.index("unused")
    world.drawn = Assignment(world.drawn.ids, split, world.truth, CLASSES, "slide", ())
    write_splits(splits, world.drawn, [0.5], [0.1])
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_TEACHER)
    one = job(world, predicted, "one", splits=splits, rule="balanced", propagate={})
    stage.run(one)
    found = quality(one.out)
    assert (found["total"]["kept"], found["told"]) == (0, None)
    assert UNTOLD not in found["alarms"]
    assert json.loads((one.out / "stop.json").read_text())["reason"] == "nothing_selected"


def of_few_slides(world, judges):
    """Splits with labels of two slides alone, with validation or without."""
    splits = world.root / "few"
    splits.mkdir()
    split = world.drawn.split
    out = (split == SPLITS.index("labelled")) & (np.arange(N) % 30 > 1)
    out |= (split == SPLITS.index("validation")) & (not judges)
    few = np.where(out, SPLITS.index("unused"), split).astype(np.int8)
    world.drawn = Assignment(world.drawn.ids, few, world.truth, CLASSES, "slide", ())
    write_splits(splits, world.drawn, [0.5], [0.1])
    return splits


@pytest.mark.parametrize("judges", [True, False])
def test_labels_of_a_few_slides_say_that_they_cannot_tell_of_others_unless_validation_can(world, judges):
    splits = of_few_slides(world, judges)
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_TEACHER)
    one = job(world, predicted, "one", splits=splits, rule="top_k", propagate={})
    stage.run(one)
    said = [alarm for alarm in quality(one.out)["alarms"] if "cannot say" in alarm]
    assert len(said) == (not judges)
    assert judges or said[0].startswith("labels are of 2 slides, and ")


def test_a_pool_that_is_shared_as_the_labels_are_is_taken_so(world):
    splits = without_validation(world)
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_ENCODER, right=0.4)
    one = job(world, predicted, "one", splits=splits, rule="top_k", propagate={})
    stage.run(one)
    assert quality(one.out)["shares"] is None
    assert not [alarm for alarm in quality(one.out)["alarms"] if "as the labels do" in alarm]


def test_what_is_judged_tells_nobody(world):
    """Neither the labels of validation nor its patches change what the pool is believed to be."""
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_TEACHER)
    one = job(world, predicted, "one", rule="top_k", k=60, propagate={})
    stage.run(one)
    elsewhere = predict(world, "elsewhere")
    embeddings(world, elsewhere, OF_TEACHER)
    seen = read_embeddings(elsewhere / OF_TEACHER)
    values = seen.values.copy()
    values[world.drawn.split == SPLITS.index("validation")] = values[0]
    write_embeddings(elsewhere / OF_TEACHER, Embeddings(seen.ids, values))
    two = job(world, elsewhere, "two", rule="top_k", k=60, propagate={})
    stage.run(two)
    believed = [believed_scores(j.out, predicted, "pool").log_probs for j in (one, two)]
    np.testing.assert_array_equal(*believed)
    ids = load_splits(world.splits).validation.ids
    assert len(read_scores(one.out / "believed.h5", "validation").ids) == len(ids)


def test_a_pool_beyond_the_graph_is_told_in_blocks_as_all_at_once(world, monkeypatch):
    """Of a large pool only the graph is in memory; each other patch is told by its nearest ones there, once."""
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_TEACHER)
    keys = {"rule": "top_k", "k": 60, "propagate": {"most": 100}}
    found = {}
    for rows in (7, 10**6):
        monkeypatch.setattr(graph, "BLOCK", rows)
        one = job(world, predicted, f"by-{rows}", **keys)
        stage.run(one)
        found[rows] = believed_scores(one.out, predicted, "pool")
    pool = load_splits(world.splits).pool
    assert len(pool) > 200
    assert np.array_equal(found[7].ids, pool)
    np.testing.assert_allclose(found[7].log_probs, found[10**6].log_probs, atol=5e-3)
    right = found[7].log_probs.argmax(1) == world.truth[np.isin(world.drawn.ids, pool)]
    assert right.mean() > 0.8
    assert json.loads((one.work / "progress.json").read_text())["unit"] == "patches"


def test_without_embeddings_propagation_is_refused_by_name(world):
    with pytest.raises(ChainError, match="nothing to tell alike patches by") as told:
        stage.run(job(world, predict(world, "predict"), "select", rule="top_k", k=60, propagate={}))
    assert told.value.code == ExitCode.MISMATCH


def test_given_labels_calibrate_each_other_where_there_is_no_validation(world):
    split = np.where(world.drawn.split == SPLITS.index("validation"), SPLITS.index("unused"), world.drawn.split)
    bare = world.root / "bare"
    bare.mkdir()
    label = world.truth.astype(np.int16)
    write_splits(bare, Assignment(world.drawn.ids, split.astype(np.int8), label, CLASSES, "slide", ()), [0.5], [0.1])
    world.drawn = Assignment(world.drawn.ids, split.astype(np.int8), label, CLASSES, "slide", ())
    predicted = predict(world, "predict")
    embeddings(world, predicted, OF_ENCODER, right=0.5)
    one = job(world, predicted, "one", splits=bare, rule="top_k", k=60, propagate={})
    stage.run(one)
    found = quality(one.out)
    assert found["temperature"] != 1
    assert found["calibration"] is None  # nothing was held out to say so


@pytest.mark.parametrize("rule", [{"rule": "threshold", "tau": 0.8}, {"rule": "top_k", "k": 60, "align": "labelled"}])
def test_a_fold_has_no_part_in_what_is_selected(world, rule):
    predicted, chosen = predict(world, "predict"), []
    held = world.drawn.split == VALIDATION
    for name, fold, label in (
        ("open", None, world.truth),
        ("fold", (0, 5), world.truth),
        ("turned", (0, 5), np.where(held, (world.truth + 1) % 3, world.truth).astype(np.int16)),
    ):
        splits = world.root / f"splits-{name}"
        splits.mkdir()
        drawn = Assignment(world.drawn.ids, world.drawn.split, label, CLASSES, "slide", (), fold)
        write_splits(splits, drawn, [0.5], [0.1])
        one = job(world, predicted, name, splits=splits, **rule)
        stage.run(one)
        chosen.append((one.out / "selection.parquet").read_bytes())
        assert (quality(one.out)["temperature"] == 1) == (fold is not None)
        assert quality(one.out)["calibration"]["n"] == held.sum()  # it is judged all the same
    assert chosen[0] != chosen[1]
    assert chosen[1] == chosen[2]
    with pytest.raises(ChainError, match="needs labelled validation patches"):
        stage.run(job(world, predicted, "risk", splits=world.root / "splits-fold", rule="risk", precision=0.5))
