from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.bench.quality import CHOSEN, CLASSES, TOKENS, has_labelled, measure_quality
from slmdeploy.errors import RunnerError

LOGITS = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
GOLDEN = {
    "input.0": np.zeros((1, 2)),
    "labelled.input.0": np.arange(4)[:, None],
    CLASSES: np.array([0, 0, 1, 0]),
    CHOSEN: np.array([0, 0, 1, 0]),
}


class Answers:
    """A runner that knows the logits of each text, and may fail at one."""

    def __init__(self, failing=None):
        self.failing = failing

    def invoke(self, request):
        (text,) = request.inputs
        row = int(text[0, 0])
        if row == self.failing:
            raise RunnerError("killed", cause="x")
        return (LOGITS[row][None].astype(np.float32),), ()


def test_accuracy_is_the_share_of_right_answers_beside_that_of_the_source():
    found = measure_quality(Answers(), GOLDEN)
    assert found["accuracy_percent"].value == 75
    assert found["accuracy_percent"].n == 4
    assert found["source_accuracy_percent"].value == 100


def test_each_text_goes_through_the_shortest_method_that_it_fits():
    asked = []

    class Remembers(Answers):
        def invoke(self, request):
            asked.append((request.method, request.inputs[0].shape))
            return super().invoke(request)

    rows = np.repeat(GOLDEN["labelled.input.0"], 8, axis=1)
    golden = GOLDEN | {"labelled.input.0": rows, TOKENS: np.array([1, 4, 5, 8])}
    found = measure_quality(Remembers(), golden, lengths={"forward_4": 4, "forward_8": 8})
    assert asked == [("forward_4", (1, 4))] * 2 + [("forward_8", (1, 8))] * 2
    assert found["accuracy_percent"].value == 75


def test_calibration_is_how_far_confidence_is_from_accuracy():
    # Bins: 0.9 twice and both right; 0.8 right; 0.6 wrong.
    wanted = (2 * 0.1 + 0.2 + 0.6) / 4 * 100
    found = measure_quality(Answers(), GOLDEN)["calibration_error_percent"].value
    assert found == pytest.approx(wanted, abs=1e-4)


def test_a_device_that_fails_has_a_reason_in_place_of_values():
    found = measure_quality(Answers(failing=2), GOLDEN)
    assert {value.value for value in found.values()} == {None}
    assert found["accuracy_percent"].reason == "text 3 of 4: killed"


def test_what_the_source_chose_may_be_gone():
    golden = {name: value for name, value in GOLDEN.items() if name != CHOSEN}
    found = measure_quality(Answers(), golden)
    assert found["accuracy_percent"].value == 75
    assert found["source_accuracy_percent"].value is None


def test_progress_is_told_after_each_text():
    told = []
    measure_quality(Answers(), GOLDEN, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_bundle_without_labelled_texts_says_so():
    assert has_labelled(GOLDEN)
    assert not has_labelled({"input.0": np.zeros(1)})
