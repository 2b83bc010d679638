"""Bounds against scipy's exact test and against drawing clustered labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from stages.select.bounds import design_effects, fewest, fewest_at, intraclass_correlation, lower_bound, upper_bound


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.001, 0.0125, 0.05, 0.3]))
def test_lower_bound_is_that_of_the_exact_binomial_test(n, share, alpha):
    right = round(share * n)
    found = lower_bound(np.array([float(right)]), np.array([float(n)]), alpha)[0]
    exact = binomtest(right, n, alternative="greater").proportion_ci(1 - alpha, method="exact").low
    assert found == pytest.approx(exact, abs=1e-9)


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.001, 0.05, 0.3]))
def test_upper_bound_is_that_of_the_exact_binomial_test(n, share, alpha):
    right = round(share * n)
    exact = binomtest(right, n, alternative="less").proportion_ci(1 - alpha, method="exact").high
    assert upper_bound(float(right), float(n), alpha) == pytest.approx(exact, abs=1e-9)


@given(st.integers(0, 8), st.sampled_from([0.05, 0.025, 0.00625]), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_fewest_is_the_first_that_passes(errors, alpha, target):
    n = fewest(errors, alpha, target)
    assert beta.ppf(alpha, n - errors, errors + 1) >= target
    assert n == errors + 1 or beta.ppf(alpha, n - 1 - errors, errors + 1) < target


def test_the_well_known_59():
    assert fewest(0, 0.05, 0.95) == 59


@pytest.mark.parametrize(("share", "target"), [(1.0, 0.95), (0.98, 0.95), (0.97, 0.95), (0.9, 0.8)])
def test_so_many_labels_would_do(share, target):
    n = fewest_at(share, 0.05, target)
    errors = round(n * (1 - share))
    assert beta.ppf(0.05, n - errors, errors + 1) >= target


def test_no_number_of_labels_proves_what_is_not_so():
    assert fewest_at(0.94, 0.05, 0.95) is None
    assert fewest_at(0.95, 0.05, 0.95) is None


def clustered(groups, size, correlation, share, rng):
    """Labels right with this share whose correlation within a group is as told (beta-binomial)."""
    a = share * (1 - correlation) / correlation
    b = (1 - share) * (1 - correlation) / correlation
    p = np.repeat(rng.beta(a, b, groups), size)
    return rng.random(groups * size) < p, np.repeat(np.arange(groups), size)


@pytest.mark.parametrize("correlation", [0.05, 0.2, 0.5])
def test_the_correlation_within_groups_is_found(correlation):
    rng = np.random.default_rng(0)
    right, group = clustered(3000, 10, correlation, 0.8, rng)
    found = intraclass_correlation(right, group, np.zeros(len(right), int))
    assert found == pytest.approx(correlation, abs=0.03)


@pytest.mark.parametrize(("groups", "size"), [(3, 8), (6, 5), (20, 2)])
def test_of_few_groups_of_one_size_it_is_the_textbooks_correlation(groups, size):
    """ICC(1) of Shrout and Fleiss 1979: mean squares between and within."""
    rng = np.random.default_rng(groups)
    right, group = clustered(groups, size, 0.4, 0.6, rng)
    table = right.reshape(groups, size)
    between, within = size * table.mean(axis=1).var(ddof=1), table.var(axis=1, ddof=1).mean()
    wanted = max(0.0, (between - within) / (between + (size - 1) * within))
    assert intraclass_correlation(right, group, np.zeros(len(right), int)) == pytest.approx(wanted)
    assert wanted > 0


def test_where_patches_are_alone_or_all_in_one_group():
    right = np.array([True, False, True, True])
    none = np.zeros(4, int)
    assert intraclass_correlation(right, np.arange(4), none) == 0
    assert intraclass_correlation(right, none, none) == 1
    assert intraclass_correlation(np.ones(4, bool), np.array([0, 0, 1, 1]), none) == 0
    # a class that is always right and one that is always wrong say nothing of their patients
    assert intraclass_correlation(np.array([True, False] * 2), np.array([0, 0, 1, 1]), np.array([0, 1] * 2)) == 0


def test_design_effects_by_hand():
    group = np.array([7, 7, 3, 7, 3])
    sizes = [[1], [2], [2, 1], [3, 1], [3, 2]]
    wanted = [1 + 0.3 * (sum(k * k for k in each) / sum(each) - 1) for each in sizes]
    assert design_effects(group, 0.3) == pytest.approx(wanted)
    assert design_effects(np.empty(0, int), 0.3).shape == (0,)
    assert (design_effects(np.arange(9), 0.7) == 1).all()


def test_effective_sizes_keep_the_level_where_plain_ones_break_it():
    """20 patients of 30 patches, alike by 0.1: how often is the lower 95 % bound above the truth?"""
    rng = np.random.default_rng(1)
    above = {"plain": 0, "effective": 0}
    for _ in range(400):
        right, group = clustered(20, 30, 0.1, 0.9, rng)
        found = intraclass_correlation(right, group, np.zeros(600, int))
        effect = design_effects(group, found)[-1]
        for name, by in (("plain", 1.0), ("effective", effect)):
            bound = lower_bound(np.array([right.sum() / by]), np.array([600 / by]), 0.05)[0]
            above[name] += bound > 0.9
    assert above["plain"] > 60  # more than 15 %
    assert above["effective"] <= 32  # about 5 %
