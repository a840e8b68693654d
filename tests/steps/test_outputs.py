from __future__ import annotations

import numpy as np

from slmdeploy.steps.outputs import joined, stored_output


def test_one_output_stays_as_it_is():
    output = np.zeros((1, 3, 4))
    assert joined([output]) is output


def test_several_outputs_are_one_row_without_the_integers():
    found = joined([np.ones((1, 2)), np.array([[7]]), np.zeros((2, 2))])
    assert found.tolist() == [[1, 1, 0, 0, 0, 0]]


def test_texts_of_several_lengths_give_rows_of_scores():
    found = joined([np.zeros((1, 2, 5)), np.ones((1, 3, 5))], lengths=True)
    assert found.shape == (5, 5)
    assert found[:, 0].tolist() == [0, 0, 1, 1, 1]


def test_outputs_are_read_in_their_order_not_in_that_of_their_names():
    golden = {f"output.source.{index}": np.full((1, 1), index) for index in (10, 2, 0)}
    assert stored_output(golden, "source", lengths=True).tolist() == [[0], [2], [10]]


def test_a_rung_that_was_not_kept_has_no_output():
    assert stored_output({"output.source.0": np.zeros(1)}, "exported") is None
