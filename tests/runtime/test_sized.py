"""The native runner with inputs of sizes that vary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runtime.conftest import Run
from tests.runtime.sized import LENGTH, ROWS, argv, save_sized


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sized(tmp_path_factory.mktemp("sum") / "model.pte")


@pytest.mark.parametrize("shape", [(1, 1), (ROWS, LENGTH), (2, 6), (4, 6)])
def test_a_method_takes_inputs_of_any_size_within_its_bounds(
    run: Run, model: Path, tmp_path: Path, shape: tuple[int, int]
) -> None:
    ran = run(model, "invoke", *argv(tmp_path, shape), "--runs", "2")
    assert [event["shape"] for event in ran.of("output")] == [list(shape)] * 2
    given = np.arange(np.prod(shape)).reshape(shape)
    first, second = (event["file"] for event in ran.of("output"))
    np.testing.assert_array_equal(np.fromfile(first, "<f4").reshape(shape), given * 3.0)
    np.testing.assert_array_equal(np.fromfile(second, "<i8").reshape(shape), given.cumsum(1))


def test_without_shapes_inputs_have_the_largest_sizes(
    run: Run, model: Path, tmp_path: Path
) -> None:
    flags = argv(tmp_path, (4, 6))
    ran = run(model, "invoke", *flags[: flags.index("--shape")])
    assert [event["shape"] for event in ran.of("output")] == [[4, 6]] * 2
    (method,) = run(model, "describe").of("method")
    assert [one["shape"] for one in method["inputs"]] == [[4, 6]] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        ((3, 7), (), "Axis 1 of input 0 is 7; it is at most 6."),
        ((3, 5), ("3x5", "5x3"), "Axis 0 of input 1 is 5; it is at most 4."),
        ((3, 5), ("15", "15"), "The shape [15] of input 0 has 1 axes, not the 2 of [4,6]."),
        ((3, 5), ("3x5",), "There are 1 shapes for 2 inputs."),
        ((3, 5), ("3x4", "3x4"), "more than 48 of the 48 bytes of input 0, float32 [3,4]."),
    ],
)
def test_shapes_that_are_not_the_methods_are_refused(
    run: Run, model: Path, tmp_path: Path, wrong: tuple[tuple[int, int], tuple[str, ...], str]
) -> None:
    shape, said, message = wrong
    ran = run(model, "invoke", *argv(tmp_path, shape, *said))
    assert (ran.code, ran.error["cause"]) == (2, "bad_input")
    assert ran.error["message"].endswith(message)


def test_a_shape_is_whole_numbers_between_x(run: Run, model: Path, tmp_path: Path) -> None:
    ran = run(model, "invoke", *argv(tmp_path, (3, 5), "3,5", "3x5"))
    assert (ran.code, ran.error["cause"]) == (2, "bad_argument")
    assert "--shape takes a whole number" in ran.error["message"]
