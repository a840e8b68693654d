"""Each family against transformers' eager logits: prefill, then 32 steps through the cache."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.families.cases import CASES, LIMIT, TOTAL, configurations, error, fixed
from tests.model.reference import reference


@pytest.mark.parametrize("family", CASES)
def test_its_own_configuration_gives_the_logits_of_transformers(family, measured):
    model = fixed(family)
    assert measured(family, "eager", error(model)) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("family", CASES)
@pytest.mark.parametrize("near_the_end", [False, True], ids=["at 0", "near the end"])
def test_so_does_any_configuration(family, near_the_end, measured):
    errors = []

    @settings(
        deadline=None,
        max_examples=10,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(changes=configurations(family), seed=st.integers(0, 1000))
    def hold(changes, seed):
        model = reference(family, seed, **changes)
        start = max(0, model.config.context - TOTAL) if near_the_end else 0
        errors.append(error(model, start=start, seed=seed))
        assert errors[-1] <= LIMIT

    hold()
    measured(family, "drawn", max(errors), examples=len(errors))
