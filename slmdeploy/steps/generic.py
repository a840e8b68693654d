"""The export of any other module than a decoder; today classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slmdeploy import __version__
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.model import Model
from slmdeploy.progress import Progress, Step
from slmdeploy.steps.checkpoints import Checkpoints, checkpoints_for, code_sha256
from slmdeploy.steps.golden import Made

__all__ = ["GenericExport", "plan_generic"]

_LONGEST_DEFAULT = 128


@dataclass(frozen=True)
class GenericExport:
    """What shall be exported, and where its finished steps are kept.

    Attributes:
        length: Tokens of an input.
    """

    model: Model
    recipe: Recipe
    options: ExecutorchOptions
    length: int
    kept: Checkpoints

    def make(self, progress: Progress) -> Made:
        """Make what is not there yet: golden vectors and artifact."""
        there = self.kept.has("model.pte", "artifact.npz", "artifact.json")
        if not there:
            _make(self, progress)
        return Made(
            artifact=self.kept.read_artifact(),
            arrays=self.kept.read_arrays("artifact.npz"),
            absent={},
            reused=("artifact",) if there else (),
        )


def plan_generic(
    model: Model, recipe: Recipe, options: ExecutorchOptions, context: int | None
) -> GenericExport:
    """Check what can be checked before work starts, and choose the length of inputs.

    Raises:
        ExportError: The length is beyond the model's.
    """
    longest = int(model.hf_config.get("max_position_embeddings") or _LONGEST_DEFAULT)
    length = context or options.context or min(longest, _LONGEST_DEFAULT)
    if length > longest:
        raise ExportError(
            f"Inputs of {length} tokens are beyond the model's {longest}.",
            hint=f"Run again with --context {longest} or less.",
        )
    decides = {
        "tool": __version__,
        "code": code_sha256(),
        "weights": model.weights_sha256,
        "config": dict(model.hf_config),
        "recipe": recipe.model_dump(mode="json", exclude={"name", "description"}),
        "options": options.model_dump(mode="json"),
        "length": length,
    }
    return GenericExport(model, recipe, options, length, checkpoints_for(decides))


def _make(plan: GenericExport, progress: Progress) -> None:
    """Run the source, compress, run again, export and run what was exported."""
    from slmdeploy.compress.generic import compress_module
    from slmdeploy.compress.quantize import quiet_torchao
    from slmdeploy.model.generic import example_inputs, load_generic

    with quiet_torchao():
        from slmdeploy.export.executorch.generic import export_module
    inputs = example_inputs(plan.model, plan.length)
    arrays = {f"input.{index}": value.numpy() for index, value in enumerate(inputs)}
    progress(Step("run the source"))
    module = load_generic(plan.model)
    arrays["output.source.0"] = module(*inputs).numpy()
    progress(Step("run the source", finished=True))
    compressed = compress_module(module, plan.recipe)
    arrays["output.compressed.0"] = compressed.module(*inputs).numpy()
    made: list[Artifact] = []
    plan.kept.write(
        "model.pte",
        lambda path: made.append(
            export_module(
                compressed,
                inputs,
                plan.options,
                path,
                input_names=("input_ids", "attention_mask"),
                output_names=("logits",),
                golden=inputs,
                progress=progress,
            )
        ),
    )
    traced: Any = made[0].traced
    arrays["output.exported.0"] = traced[0]
    plan.kept.write_arrays("artifact.npz", arrays)
    plan.kept.write_json("artifact.json", made[0].model_dump(mode="json"))
