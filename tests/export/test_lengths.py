from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from slmdeploy.export.lengths import by_method, checked_lengths, method_name
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions, LitertOptions


def test_lengths_are_sorted_and_each_there_once():
    assert checked_lengths([512, 32, 32]) == (32, 512)


@pytest.mark.parametrize("lengths", [[1], [9000], [], list(range(2, 20))])
def test_lengths_that_cannot_be_are_refused(lengths):
    with pytest.raises(ValueError, match="length"):
        checked_lengths(lengths)


def test_examples_of_one_method_have_its_usual_name():
    x = torch.ones(1)
    assert by_method([x], "main") == {"main": (x,)}
    assert by_method({method_name(8): (x,)}, "main") == {"forward_8": (x,)}


@pytest.mark.parametrize("options", [ExecutorchOptions, LitertOptions, CoremlOptions])
def test_a_profile_lists_lengths_whatever_the_runtime(options):
    assert options(lengths=[128, 32]).lengths == (32, 128)
    with pytest.raises(ValidationError, match="2 to 8192 tokens, not 1"):
        options(lengths=[1])


def test_only_newer_packages_have_several_functions():
    with pytest.raises(ValidationError, match="several lengths need deployment_target 'iOS18'"):
        CoremlOptions(deployment_target="iOS17", lengths=[8, 16])
    assert CoremlOptions(deployment_target="iOS17", lengths=[8]).lengths == (8,)
