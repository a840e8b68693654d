"""The Python sampler against the rules, and its sums against plain Python's, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.runtime.litert_board.sampler import Random, Sampler, portable_exp
from slmdeploy.runtime.litert_board.saying import Failure
from slmdeploy.runtime.protocol import Sampling
from tests.runtime.test_sampler import Xoshiro

SETTINGS = [
    Sampling(repetition_penalty=1.7),
    Sampling(temperature=1.0, seed=1),
    Sampling(temperature=0.7, seed=2**63 - 1),
    Sampling(temperature=2.5, top_k=5, seed=3),
    Sampling(temperature=1.5, top_p=0.8, seed=4),
    Sampling(temperature=1.5, min_p=0.2, seed=5),
    Sampling(temperature=1.3, top_k=20, top_p=0.9, min_p=0.05, repetition_penalty=1.2, seed=6),
]


def exp_in_steps(x: float) -> float:
    """``portable_exp`` as the native runner's source has it."""
    if x < -700:
        return 0.0
    k = math.floor(x * 1.4426950408889634 + 0.5)
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
    total = 1.0
    for power in range(13, 0, -1):
        total = 1 + total * r / power
    return math.ldexp(total, k)


class Plain:
    """The native sampler, loop by loop."""

    def __init__(self, how: Sampling, vocabulary: int) -> None:
        self.how, self.seen, self.random = how, [False] * vocabulary, Xoshiro(how.seed)

    def pick(self, logits) -> int:
        how, values = self.how, []
        for value, seen in zip(map(float, logits), self.seen, strict=True):
            worse = value / how.repetition_penalty if value > 0 else value * how.repetition_penalty
            values.append(worse if seen else value)
        best = max(range(len(values)), key=lambda i: (values[i], -i))
        if how.temperature == 0:
            return best
        kept = sorted(range(len(values)), key=lambda i: (-values[i], i))
        kept = sorted(kept[: how.top_k] if how.top_k else kept)
        shares = {i: exp_in_steps((values[i] - values[best]) / how.temperature) for i in kept}
        if how.top_p < 1:
            total = 0.0
            for i in kept:
                total += shares[i]
            order, chosen, running = sorted(kept, key=lambda i: (-shares[i], i)), [], 0.0
            for i in order:
                if chosen and running >= how.top_p * total:
                    break
                running += shares[i]
                chosen.append(i)
            kept = sorted(chosen)
        most = max(shares[i] for i in kept)
        kept = [i for i in kept if shares[i] >= how.min_p * most]
        total = 0.0
        for i in kept:
            total += shares[i]
        mark, running = self.random.uniform() * total, 0.0
        for i in kept:
            running += shares[i]
            if running > mark:
                return i
        return kept[-1]


@pytest.mark.parametrize("how", SETTINGS)
def test_choices_are_those_of_the_native_runner(how):
    generator = np.random.default_rng(8)
    sampler, plain = Sampler(how, 500), Plain(how, 500)
    for _ in range(40):
        logits = (generator.standard_normal(500) * 3).astype(np.float32)
        token = plain.pick(logits)
        assert sampler.pick(logits) == token
        sampler.saw(token)
        plain.seen[token] = True


@given(st.floats(-720, 0))
def test_the_exponential_is_the_same_to_the_last_bit(x):
    assert float(portable_exp(np.array([x]))[0]) == exp_in_steps(x)


def test_numbers_of_the_generator_are_the_published_ones():
    ours, rule = Random(0), Xoshiro(0)
    assert [ours.uniform() for _ in range(20)] == [rule.uniform() for _ in range(20)]
    assert Random(0).next() == 11091344671253066420  # of seed 0, as published with the code


def test_of_equals_the_smallest_id_wins():
    assert Sampler(Sampling(), 4).pick(np.array([1, 3, 3, 2], np.float32)) == 1


def test_a_token_that_cannot_be_is_never_drawn():
    logits = np.full(10, -np.inf, np.float32)
    logits[[2, 7]] = 0
    sampler = Sampler(Sampling(temperature=1.0, seed=3), 10)
    assert {sampler.pick(logits) for _ in range(50)} == {2, 7}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_logit_that_is_no_number_is_named(bad):
    logits = np.zeros(10, np.float32)
    logits[4] = bad
    with pytest.raises(Failure) as caught:
        Sampler(Sampling(), 10).pick(logits)
    assert (caught.value.exit_code, caught.value.event["cause"]) == (4, "bad_logits")
    assert "token 4" in caught.value.event["message"]
