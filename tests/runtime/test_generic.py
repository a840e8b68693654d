"""A module exported whole: the native runner against ExecuTorch's Python runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.executorch.generic import export_module
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.generic import encode_fixed, example_inputs, load_generic
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.runtime.executorch import ExecutorchRunner
from slmdeploy.runtime.protocol import InvokeRequest, RunnerFiles
from slmdeploy.transport.local import LocalTransport
from tests.export.executorch.modules import Tagger

LENGTH = 32
TEXTS = ("turn on the light in the kitchen", "set a timer for ten minutes", "what is the time")


def hold_against_python(artifact: Artifact, runner: ExecutorchRunner, *inputs: Tensor) -> None:
    """Run ``forward`` in both runtimes and compare."""
    import executorch.kernels.quantized  # noqa: F401 - registers operators
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(artifact.path).load_method("forward")
    wanted = [value.numpy() for value in method.execute(list(inputs))]
    arrays = tuple(value.numpy() for value in inputs)
    got, events = runner.invoke(InvokeRequest("forward", arrays, threads=1))
    assert [(value.dtype, value.shape) for value in got] == [
        (value.dtype, value.shape) for value in wanted
    ]
    for one, other in zip(got, wanted, strict=True):
        assert np.abs(one - other).max() <= 1e-5
    assert events[-1].kind == "done"


@pytest.fixture
def runner_of(
    files: RunnerFiles, runner_dir: Path, tmp_path: Path
) -> Callable[[Artifact], ExecutorchRunner]:
    transport = LocalTransport("local", tmp_path / "home")

    def make(artifact: Artifact) -> ExecutorchRunner:
        return ExecutorchRunner(
            transport, runner_dir=str(runner_dir), model_path=str(artifact.path), files=files
        )

    return make


def test_outputs_of_several_types_are_those_of_the_python_runtime(
    runner_of: Callable[[Artifact], ExecutorchRunner], tmp_path: Path
) -> None:
    tokens = torch.arange(12)[None]
    artifact = export_module(
        compress_module(Tagger(), BUILTIN_RECIPES["none"]),
        [tokens],
        ExecutorchOptions(),
        tmp_path / "model.pte",
        input_names=["tokens"],
        output_names=["scores", "labels"],
    )
    hold_against_python(artifact, runner_of(artifact), tokens + 5)


@pytest.mark.slow
def test_the_classifier_in_int8_gives_what_the_python_runtime_gives(
    runner_of: Callable[[Artifact], ExecutorchRunner], tiny_intents: Path, tmp_path: Path
) -> None:
    classifier = read_model(parse_ref(str(tiny_intents)))
    artifact = export_module(
        compress_module(load_generic(classifier), BUILTIN_RECIPES["8da8w"]),
        example_inputs(classifier, LENGTH),
        ExecutorchOptions(),
        tmp_path / "model.pte",
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
    )
    for text in TEXTS:
        hold_against_python(artifact, runner_of(artifact), *encode_fixed(classifier, text, LENGTH))
