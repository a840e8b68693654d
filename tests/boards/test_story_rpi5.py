"""The story of an emulated Raspberry Pi 5: from adding it to figures and equal logits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.boards import story as the
from tests.faults.exports import exported

pytestmark = pytest.mark.board
SENSORS = {
    ("temperature_c", "cpu-thermal"),
    ("clock_mhz", "policy0"),
    ("power_pmic_w", "sum of rails"),
    ("power_rail_w", "VDD_CORE"),
    ("throttle_now", "under-voltage"),
    ("throttle_since_boot", "throttled"),
    ("process_anon_bytes", ""),
}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[the.Story]:
    """A project that has just added the board."""
    yield from the.begun("rpi5", "rpi5", tmp_path_factory.mktemp("story"))


def test_from_a_strange_board_to_figures(request: pytest.FixtureRequest, story: the.Story) -> None:
    sampled = the.sampled(the.told(request, story))
    assert sampled >= SENSORS


def test_float32(request: pytest.FixtureRequest, story: the.Story) -> None:
    bundle = exported(request, "none", story.target)
    the.the_float32_artifact_gives_the_logits_of_this_computer(story, bundle)


@pytest.mark.parametrize("recipe", the.quantized(quick="8da4w"))
def test_quantized(request: pytest.FixtureRequest, story: the.Story, recipe: str) -> None:
    bundle = exported(request, recipe, story.target)
    the.a_quantized_artifact_agrees_with_this_computer(story, bundle)
