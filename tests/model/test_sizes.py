from __future__ import annotations

import pytest

from slmdeploy.model.sizes import (
    Varying,
    check_sizes,
    dimensions,
    extremes,
    shapes_at,
    values_of,
)

LENGTH = Varying(axis=1, least=1, most=16, dimension="length")
SIZES = ((LENGTH,), (LENGTH,))
"""Of ids and a mask, both [1, length]."""

SIDES = (
    (
        Varying(axis=2, least=8, most=64, dimension="side", factor=8),
        Varying(axis=3, least=9, most=65, dimension="side", factor=8, offset=1),
    ),
)
"""Of an image whose height is a multiple of eight, and whose width is one more."""


def check(*shapes, sizes=SIZES, names=("ids", "mask")):
    return check_sizes(names[: len(shapes)], shapes, sizes)


@pytest.mark.parametrize("length", [1, 7, 16])
def test_sizes_within_their_bounds_that_agree_are_right(length):
    assert check((1, length), (1, length)) is None


@pytest.mark.parametrize("length", [0, 17])
def test_a_size_beyond_its_bounds_is_told_with_them(length):
    said = f"Axis 1 of input 'ids' is {length}; length may be 1 to 16."
    assert check((1, length), (1, length)) == said


def test_axes_of_one_dimension_must_agree():
    said = "Axis 1 of input 'mask' is 9; by axis 1 of input 'ids' (8) it must be 8: length."
    assert check((1, 8), (1, 9)) == said


def test_a_size_that_no_whole_dimension_gives_is_told():
    said = check((1, 3, 12, 17), sizes=SIDES, names=("image",))
    assert said == "Axis 2 of input 'image' is 12, which is not 8*side (8 to 64)."


def test_axes_that_follow_from_one_dimension_must_agree():
    assert check((1, 3, 16, 17), sizes=SIDES, names=("image",)) is None
    said = "it must be 17: 8*side+1."
    assert check((1, 3, 16, 25), sizes=SIDES, names=("image",)).endswith(said)


def test_a_size_without_a_largest_is_held_against_the_smallest():
    sizes = ((Varying(axis=0, least=2, most=None, dimension="rows"),),)
    assert check((900,), sizes=sizes) is None
    assert check((1,), sizes=sizes) == "Axis 0 of input 'ids' is 1; rows may be 2 or more."


def test_dimensions_have_the_range_that_their_axes_leave():
    assert dimensions(SIZES) == {"length": (1, 16)}
    assert dimensions(SIDES) == {"side": (1, 8)}


def test_shapes_follow_from_dimensions_and_the_other_way_round():
    assert shapes_at([(1, 3, 16, 17)], SIDES, {"side": 4}) == ((1, 3, 32, 33),)
    assert values_of([(1, 3, 32, 33)], SIDES) == {"side": 4}


@pytest.mark.parametrize(
    ("length", "others"),
    [(8, [1, 16]), (1, [16]), (16, [1])],
)
def test_extremes_are_the_smallest_and_largest_that_are_not_given(length, others):
    found = extremes([(1, length), (1, length)], SIZES)
    assert found == tuple(((1, size), (1, size)) for size in others)
