"""The native sampler against the rules of docs/runner-protocol.md, written down in numpy."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from slmdeploy.runtime.protocol import Sampling
from tests.runtime.conftest import Run, score
from tests.runtime.programs import Programs

MASK = (1 << 64) - 1
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
COUNT = 24


class Xoshiro:
    """xoshiro256** seeded by splitmix64."""

    def __init__(self, seed: int) -> None:
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            self.s.append(z ^ (z >> 31))

    def uniform(self) -> float:
        s = self.s
        turned = (s[1] * 5) & MASK
        result = ((((turned << 7) | (turned >> 57)) & MASK) * 9) & MASK
        shifted = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = ((s[3] << 45) | (s[3] >> 19)) & MASK
        return (result >> 11) * 2.0**-53


def pick(logits: np.ndarray, seen: set[int], how: Sampling, random: Xoshiro) -> int:
    z = logits.astype(np.float64)
    ids = sorted(seen)
    z[ids] = np.where(z[ids] > 0, z[ids] / how.repetition_penalty, z[ids] * how.repetition_penalty)
    if how.temperature == 0:
        return int(z.argmax())
    order = np.lexsort((np.arange(len(z)), -z))
    kept = order[: how.top_k] if how.top_k else order
    weights = np.exp((z - z.max()) / how.temperature)
    if how.top_p < 1:
        sums = np.cumsum(weights[kept])
        kept = kept[: int(np.searchsorted(sums, how.top_p * sums[-1])) + 1]
    kept = np.sort(kept[weights[kept] >= how.min_p * weights[kept].max()])
    mark = random.uniform() * weights[kept].sum()
    return int(kept[np.searchsorted(np.cumsum(weights[kept]), mark, side="right")])


def flags(how: Sampling) -> list[str]:
    names = ("temperature", "top-k", "top-p", "min-p", "repetition-penalty", "seed")
    pairs = zip(names, astuple(how), strict=True)
    return [word for name, value in pairs for word in (f"--{name}", repr(value))]


def sampled(run: Run, programs: Programs, how: Sampling) -> list[int]:
    argv = ["--max-new", str(COUNT), *flags(how)]
    ran = run(programs.llm, "generate", *argv, tokens=PROMPT)
    assert ran.code == 0, ran.events[-1]
    return [event["id"] for event in ran.of("token")]


@pytest.mark.parametrize(
    "how",
    [
        Sampling(repetition_penalty=1.7),
        Sampling(temperature=1.0, seed=1),
        Sampling(temperature=0.7, seed=2**63 - 1),
        Sampling(temperature=2.5, top_k=5, seed=3),
        Sampling(temperature=1.5, top_p=0.8, seed=4),
        Sampling(temperature=1.5, min_p=0.2, seed=5),
        Sampling(temperature=1.3, top_k=20, top_p=0.9, min_p=0.05, repetition_penalty=1.2, seed=6),
    ],
)
def test_samples_are_those_of_the_written_rules(
    run: Run, programs: Programs, how: Sampling, tmp_path: Path
) -> None:
    ids = sampled(run, programs, how)
    rows = score(run, programs.llm, PROMPT + ids, len(PROMPT), tmp_path)
    random, seen, wanted = Xoshiro(how.seed), set(PROMPT), []
    for row in rows[:COUNT]:
        wanted.append(pick(row, seen, how, random))
        seen.add(wanted[-1])
    assert ids == wanted


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others(
    run: Run, programs: Programs
) -> None:
    one = sampled(run, programs, Sampling(temperature=2.0, seed=11))
    assert one == sampled(run, programs, Sampling(temperature=2.0, seed=11))
    assert one != sampled(run, programs, Sampling(temperature=2.0, seed=12))


@pytest.mark.parametrize(
    "how",
    [
        Sampling(temperature=1.0, top_k=1),
        Sampling(temperature=1.0, top_p=0.0),
        Sampling(temperature=1.0, min_p=1.0),
        Sampling(temperature=1e-3),
    ],
)
def test_limits_that_leave_one_token_are_greedy(
    run: Run, programs: Programs, how: Sampling
) -> None:
    assert sampled(run, programs, how) == sampled(run, programs, Sampling())


def test_a_strong_penalty_leaves_no_token_twice(run: Run, programs: Programs) -> None:
    ids = sampled(run, programs, Sampling(repetition_penalty=1000.0))
    fresh = [i for i in ids if i not in PROMPT]
    assert len(set(fresh)) == len(fresh)
