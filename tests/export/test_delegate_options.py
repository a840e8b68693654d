"""Options of ExecuTorch's exporter that go with one of its backends alone."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from slmdeploy.export.options import ExecutorchOptions


def test_xnnpack_is_the_backend_where_none_is_named():
    usual = ExecutorchOptions()
    assert (usual.backend, usual.core_ml, usual.kernels) == ("xnnpack", False, "llm")


def test_core_ml_has_the_neural_engine_where_no_units_are_named():
    assert ExecutorchOptions(backend="coreml").units == "cpuAndNeuralEngine"
    assert ExecutorchOptions(backend="coreml", compute_units="cpuOnly").units == "cpuOnly"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"backend": "coreml", "kernels": "llm"}, "has no kernels of ours: leave kernels out"),
        ({"backend": "coreml", "deployment_target": "iOS17"}, "use a target of runtime 'coreml'"),
        ({"deployment_target": "iOS18"}, "deployment_target needs backend = 'coreml'"),
        ({"compute_units": "all"}, "compute_units needs backend = 'coreml'"),
    ],
)
def test_options_of_the_other_backend_are_refused(given, said):
    with pytest.raises(ValidationError, match=said):
        ExecutorchOptions(**given)


@pytest.mark.parametrize("backend", ["xnnpack", "coreml"])
def test_what_is_written_is_read_again(backend):
    options = ExecutorchOptions(backend=backend, context=64)
    assert ExecutorchOptions.model_validate(options.model_dump(mode="json")) == options
