from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.verify.degenerate import MIN_TOKENS, degenerate, non_finite

ROOT = Path(__file__).parents[2]
IDS = st.integers(0, 49151)


def distinct(count: int) -> list[int]:
    return list(range(1000, 1000 + count))


@given(token=IDS, length=st.integers(MIN_TOKENS, 300))
def test_one_token_all_the_way_is_degenerate(token, length):
    assert f"token {token} repeats" in degenerate([token] * length)


@given(phrase=st.lists(IDS, min_size=2, max_size=20, unique=True), repeats=st.integers(6, 12))
def test_a_phrase_over_and_over_is_degenerate(phrase, repeats):
    assert degenerate(phrase * repeats) is not None


@given(start=st.integers(1, 20), phrase=st.lists(IDS, min_size=3, max_size=8, unique=True))
def test_a_text_that_falls_into_a_loop_is_degenerate(start, phrase):
    assert degenerate(distinct(start) + phrase * 12) is not None


@given(seed=st.integers(0, 10**6), length=st.integers(0, 400), vocabulary=st.integers(64, 50000))
def test_random_ids_are_not_degenerate(seed, length, vocabulary):
    ids = np.random.default_rng(seed).integers(0, vocabulary, length)
    assert degenerate(ids.tolist()) is None


@given(ids=st.lists(IDS, max_size=MIN_TOKENS - 1))
def test_short_texts_are_not_judged(ids):
    assert degenerate(ids) is None


@given(ids=st.lists(st.integers(0, 30), max_size=200), shift=st.integers(1, 1000))
def test_the_verdict_does_not_depend_on_which_ids_they_are(ids, shift):
    shifted = [token + shift for token in ids]
    assert (degenerate(ids) is None) == (degenerate(shifted) is None)


def test_the_reason_names_token_and_count():
    assert degenerate(distinct(10) + [7] * 20) == "token 7 repeats 20 times in a row"


def test_the_reason_names_the_length_of_the_phrase():
    assert degenerate([1, 2, 3] * 10) == "a phrase of 3 tokens repeats 10 times"


def test_three_tokens_in_disorder_are_too_few():
    ids = np.random.default_rng(5).integers(0, 3, 64).tolist()
    assert degenerate(ids) == "only 3 different tokens in 64"


def test_a_phrase_said_three_times_in_a_long_text_is_not_degenerate():
    assert degenerate(distinct(40) + [1, 2, 3, 4, 5] * 3 + list(range(2000, 2040))) is None


def test_a_text_with_nan_logits_is_degenerate_however_short():
    logits = np.array([[0.0, np.nan], [np.inf, 1.0]])
    assert degenerate([1], logits=logits) == "2 of 4 values are NaN or infinite"


def test_finite_values_have_no_fault():
    assert non_finite(np.zeros(3)) is None


def test_plain_english_is_not_degenerate_by_words_or_by_characters():
    text = (
        "In the beginning God created the heaven and the earth. And the earth was without "
        "form, and void; and darkness was upon the face of the deep. And the Spirit of God "
        "moved upon the face of the waters. And God said, Let there be light: and there was light."
    )
    words: dict[str, int] = {}
    assert degenerate([words.setdefault(word, len(words)) for word in text.split()]) is None
    assert degenerate([ord(letter) for letter in text]) is None


def held_out_text() -> str:
    found = sorted((ROOT / "fixtures").rglob("*kjv*held*.txt")) if ROOT.exists() else []
    if not found:
        pytest.skip("the held-out text is not in fixtures/")
    return found[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("length", [16, 64, 256])
def test_no_stretch_of_the_king_james_text_is_degenerate(length):
    words: dict[str, int] = {}
    ids = [words.setdefault(word, len(words)) for word in held_out_text().split()][:40_000]
    flagged = [i for i in range(0, len(ids) - length, length) if degenerate(ids[i : i + length])]
    assert flagged == []
