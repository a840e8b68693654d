from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slmdeploy.errors import UnknownNameError
from slmdeploy.verify.comparators.base import as_rows
from slmdeploy.verify.comparators.registry import COMPARATORS, compare_all, get_comparator
from slmdeploy.verify.comparators.snr_db import SNR_CAP_DB

PERFECT = {
    "max_abs_error": 0.0,
    "snr_db": SNR_CAP_DB,
    "cosine": 1.0,
    "kl": 0.0,
    "top1_agreement": 1.0,
}
ROWS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.floats(-100, 100, allow_subnormal=False),
)


def noisy(seed: int = 0, scale: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    reference = generator.normal(size=(6, 32))
    return reference, reference + scale * generator.normal(size=reference.shape)


@given(rows=ROWS)
def test_identical_arrays_are_perfect_by_every_measure(rows):
    metrics = compare_all(rows, rows)
    for name, value in PERFECT.items():
        assert metrics[name] == pytest.approx(value), name
    assert metrics["greedy_match_length"] == rows.shape[0]


@settings(max_examples=50)
@given(rows=ROWS, other=st.data())
def test_every_measure_is_finite_on_finite_arrays(rows, other):
    test = other.draw(hnp.arrays(np.float64, rows.shape, elements=st.floats(-1e300, 1e300)))
    for name, value in compare_all(rows, test).items():
        assert value is not None, name
        assert math.isfinite(value), name


@given(seed=st.integers(0, 1000))
def test_no_measure_depends_on_the_order_of_the_classes(seed):
    reference, test = noisy(seed)
    order = np.random.default_rng(seed + 1).permutation(reference.shape[1])
    straight, permuted = (
        compare_all(reference, test),
        compare_all(reference[:, order], test[:, order]),
    )
    assert permuted == pytest.approx(straight)


@given(seed=st.integers(0, 1000))
def test_only_the_greedy_match_depends_on_the_order_of_the_rows(seed):
    reference, test = noisy(seed, scale=1.0)
    order = np.random.default_rng(seed + 1).permutation(reference.shape[0])
    straight, permuted = compare_all(reference, test), compare_all(reference[order], test[order])
    for name in PERFECT:
        assert permuted[name] == pytest.approx(straight[name])


@given(scale=st.floats(1e-3, 1e3))
def test_snr_and_cosine_do_not_change_when_both_outputs_are_scaled(scale):
    reference, test = noisy()
    straight, scaled = compare_all(reference, test), compare_all(reference * scale, test * scale)
    assert scaled["snr_db"] == pytest.approx(straight["snr_db"])
    assert scaled["cosine"] == pytest.approx(straight["cosine"])
    assert scaled["max_abs_error"] == pytest.approx(scale * straight["max_abs_error"])


def test_a_dropped_scale_is_seen_by_snr_though_top1_and_cosine_are_perfect():
    reference, _ = noisy()
    metrics = compare_all(reference, reference * 2040)
    assert metrics["top1_agreement"] == 1.0
    assert metrics["cosine"] == pytest.approx(1.0)
    assert metrics["snr_db"] == pytest.approx(-20 * math.log10(2039))


def test_snr_of_a_tenth_of_noise_in_amplitude_is_20_db():
    reference = np.array([[3.0, 4.0]])
    assert compare_all(reference, reference * 1.1)["snr_db"] == pytest.approx(20.0)


def test_snr_of_huge_values_does_not_overflow():
    reference = np.full((2, 2), 1e200)
    assert compare_all(reference, reference * 1.01)["snr_db"] == pytest.approx(40.0)


def test_snr_of_noise_on_silence_is_the_lower_cap():
    zeros = np.zeros((2, 3))
    assert compare_all(zeros, zeros + 1.0)["snr_db"] == -SNR_CAP_DB
    assert compare_all(zeros, zeros + 1.0)["cosine"] == 0.0


def test_kl_of_known_distributions():
    p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert compare_all(np.log(p), np.log(q))["kl"] == pytest.approx(expected)


def test_kl_is_the_mean_over_rows_and_does_not_see_a_shift_of_a_row():
    reference = np.array([[0.0, 1.0], [2.0, 0.0]])
    assert compare_all(reference, reference + np.array([[5.0], [-7.0]]))["kl"] == pytest.approx(0.0)


def test_kl_of_large_logits_does_not_overflow():
    reference = np.array([[0.0, 1e4]])
    assert compare_all(reference, reference[:, ::-1])["kl"] == pytest.approx(1e4)


def test_top1_counts_rows_and_the_greedy_match_stops_at_the_first_difference():
    reference = np.eye(4)
    test = np.eye(4)[[0, 1, 3, 3]]
    metrics = compare_all(reference, test)
    assert metrics["top1_agreement"] == 0.75
    assert metrics["greedy_match_length"] == 2


def test_any_of_the_references_equal_largest_values_counts_as_its_choice():
    metrics = compare_all(np.array([[1.0, 1.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]))
    assert metrics["top1_agreement"] == 1.0


def test_leading_dimensions_become_rows_and_a_vector_is_one_row():
    assert as_rows(np.zeros((2, 3, 5), np.float32)).shape == (6, 5)
    assert as_rows(np.zeros(5, np.float32)).shape == (1, 5)
    assert as_rows(np.float32(1.0)).shape == (1, 1)


def test_an_unknown_comparator_lists_those_that_exist():
    with pytest.raises(UnknownNameError, match="Did you mean 'snr_db'"):
        get_comparator("snr")
    assert set(PERFECT) < set(COMPARATORS)
