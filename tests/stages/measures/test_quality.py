"""Measures against independent implementations."""

import math

import numpy as np
import pytest
from sklearn import metrics

from stages.measures import quality
from tests.stages.test_scores import scores


@pytest.fixture(params=[0, 1, 2])
def case(request):
    rng = np.random.default_rng(request.param)
    n = 400
    label = rng.choice(5, n, p=[0.5, 0.3, 0.1, 0.1, 0] if request.param else [0.2] * 5)
    predicted = np.where(rng.random(n) < 0.6, label, rng.integers(0, 5, n))
    return label, predicted


def test_confusion_and_its_figures_are_those_of_scikit_learn(case):
    label, predicted = case
    counts = quality.confusion(label, predicted, 5)
    assert np.array_equal(counts, metrics.confusion_matrix(label, predicted, labels=range(5)))
    assert quality.accuracy(counts) == pytest.approx(metrics.accuracy_score(label, predicted))
    assert quality.balanced_accuracy(counts) == pytest.approx(metrics.balanced_accuracy_score(label, predicted))
    assert quality.macro_f1(counts) == pytest.approx(metrics.f1_score(label, predicted, average="macro"))


def test_nll_is_that_of_scikit_learn(case):
    label, _ = case
    one = scores(400)
    probs = one.probs().astype(np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    assert quality.nll(np.log(probs), label) == pytest.approx(metrics.log_loss(label, probs, labels=range(5)))


def test_calibration_error_is_that_of_torchmetrics(case):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("torchmetrics.functional.classification").multiclass_calibration_error
    label, _ = case
    probs = scores(400).probs()
    expected = reference(torch.from_numpy(probs), torch.from_numpy(label), 5, n_bins=15, norm="l1").item()
    found = quality.expected_calibration_error(probs.max(axis=1), probs.argmax(axis=1) == label)
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_perfectly_calibrated_and_a_perfectly_wrong_model():
    right = np.tile([True, True, True, False], 100)
    assert quality.expected_calibration_error(np.full(400, 0.75), right) == pytest.approx(0)
    assert quality.expected_calibration_error(np.ones(400), np.zeros(400, bool)) == pytest.approx(1)


def test_churn_counts_changed_minds():
    assert quality.churn(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 0])) == 0.5
    assert math.isnan(quality.churn(np.empty(0), np.empty(0)))


def test_kept_churn_is_one_minus_jaccard():
    assert quality.kept_churn(np.array([1, 2, 3]), np.array([2, 3, 4])) == 0.5
    assert quality.kept_churn(np.array([1, 2]), np.array([1, 2])) == 0
    assert quality.kept_churn(np.array([1]), np.array([2])) == 1
    assert quality.kept_churn(np.empty(0), np.empty(0)) == 0


def test_top5_share_counts_kept_patches_of_known_places():
    codes = np.repeat(np.arange(10), 10)
    assert quality.top5_share(codes, np.ones(100, bool)) == 0.5
    assert quality.top5_share(codes, codes < 3) == 1.0
    kept = np.ones(100, bool)
    kept[:45] = False  # places 4 (half), 5 to 9
    assert quality.top5_share(codes, kept) == pytest.approx(50 / 55)
    assert math.isnan(quality.top5_share(np.full(10, -1), np.ones(10, bool)))


def test_precision_and_recall_are_those_of_scikit_learn(case):
    label, predicted = case
    kept = np.random.default_rng(0).random(400) < 0.4
    precision, recall = quality.precision_recall((label == predicted)[kept], 400)
    said = np.where(kept, predicted, -1)
    options = {"labels": range(5), "average": "micro"}
    assert precision == pytest.approx(metrics.precision_score(label, said, **options))
    assert recall == pytest.approx(metrics.recall_score(label, said, **options))


def test_evaluate_gives_every_figure_of_metrics_json(case):
    label, _ = case
    one = scores(400)
    found = quality.evaluate(one.log_probs, label, ("a", "b", "c", "d", "e"))
    predicted = one.log_probs.argmax(axis=1)
    assert found["n"] == 400
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(label, predicted), abs=1e-6)
    recall = metrics.recall_score(label, predicted, average=None, labels=range(5), zero_division=math.nan)
    for name, value in zip("abcde", recall, strict=True):
        assert found["recall"][name] == (None if math.isnan(value) else pytest.approx(value, abs=1e-6))
    areas = {"auroc", "class_auroc"}
    assert set(found) == {"n", "accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "recall"} | areas


def test_auroc_is_that_of_scikit_learn_with_ties_and_missing_classes():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 500)
    label[label == 2] = 3  # no patch of class 2
    scored = np.log(rng.dirichlet(np.ones(5), 500)).astype(np.float16)
    scored[:, 1] = scored[:, 1].round()  # many equal ones
    found = quality.auroc(scored, label)
    assert np.isnan(found[[2, 4]]).all()
    for k in (0, 1, 3):
        assert found[k] == pytest.approx(metrics.roc_auc_score(label == k, scored[:, k].astype(float)), abs=1e-12)
    likely = np.log(rng.dirichlet(np.ones(5), 500))
    said = quality.evaluate(likely, label, ("a", "b", "c", "d", "e"))
    assert said["auroc"] == pytest.approx(np.nanmean(quality.auroc(likely, label)), abs=1e-6)
    assert said["class_auroc"]["c"] is None


def test_auroc_is_a_chance_whatever_the_scale_and_the_order():
    rng = np.random.default_rng(1)
    label, score = np.repeat([0, 1], [30, 50]), rng.normal(size=80) + np.repeat([0, 1], [30, 50])
    pairs = score[label == 1][:, None] - score[label == 0][None]
    both = np.stack([-score, score], 1)
    assert quality.auroc(both, label) == pytest.approx([(pairs > 0).mean()] * 2, abs=1e-12)
    order = rng.permutation(80)
    assert np.array_equal(quality.auroc(np.exp(both)[order], label[order]), quality.auroc(both, label))
    assert quality.auroc(np.zeros((80, 2)), label) == pytest.approx(0.5)
    assert np.isnan(quality.auroc(both, np.zeros(80, int))).all()


def test_what_is_not_defined_is_null_in_json():
    assert quality.plain(math.nan) is None
    assert quality.plain(1 / 3) == 0.333333
