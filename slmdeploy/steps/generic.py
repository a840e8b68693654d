"""The export of any other module than a decoder; today classifiers."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from slmdeploy import __version__
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.plugin import Exporter, find_exporter
from slmdeploy.model.model import Model
from slmdeploy.progress import Progress, Step
from slmdeploy.steps.checkpoints import Checkpoints, checkpoints_for, code_sha256
from slmdeploy.steps.golden import Made
from slmdeploy.steps.workbench import Workbench
from slmdeploy.target.profile import TargetProfile

__all__ = ["GenericExport", "plan_generic"]

_LONGEST_DEFAULT = 128
_INPUTS = ("input_ids", "attention_mask")


@dataclass(frozen=True)
class GenericExport:
    """What shall be exported, and where its finished steps are kept.

    Attributes:
        length: Tokens of an input.
    """

    model: Model
    recipe: Recipe
    exporter: Exporter
    options: Any
    length: int
    kept: Checkpoints

    def make(self, bench: Workbench, progress: Progress) -> Made:  # noqa: ARG002
        """Make what is not there yet: golden vectors and artifact."""
        file = self.exporter.file
        there = self.kept.has(file, "artifact.npz", "artifact.json")
        if not there:
            _make(self, progress)
        return Made(
            artifact=self.kept.read_artifact(file),
            arrays=self.kept.read_arrays("artifact.npz"),
            absent={},
            reused=("artifact",) if there else (),
        )

    def forgotten_on(self, error: type[Exception]) -> AbstractContextManager[None]:
        """Forget all steps if this error comes: the next try must not start from them."""
        return self.kept.forgotten_on(error)


def plan_generic(
    model: Model, recipe: Recipe, profile: TargetProfile, context: int | None
) -> GenericExport:
    """Check what can be checked before work starts, and choose the length of inputs.

    Raises:
        ExportError: The length is beyond the model's.
        MissingExtraError: The exporter's packages are not installed.
    """
    exporter, options = find_exporter(profile.runtime), profile.export
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
        "runtime": profile.runtime,
        "options": options.model_dump(mode="json"),
        "length": length,
    }
    return GenericExport(model, recipe, exporter, options, length, checkpoints_for(decides))


def _make(plan: GenericExport, progress: Progress) -> None:
    """Run the source, compress, run again, export and run what was exported."""
    from slmdeploy.compress.generic import compress_module
    from slmdeploy.compress.quantize import quiet_torchao
    from slmdeploy.model.generic import example_inputs, load_generic

    inputs = example_inputs(plan.model, plan.length)
    given = plan.exporter.module_inputs(inputs, _INPUTS)
    arrays = {f"input.{index}": value.numpy() for index, value in enumerate(given)}
    progress(Step("run the source"))
    with quiet_torchao():  # which transformers imports
        module = load_generic(plan.model)
    arrays["output.source.0"] = module(*inputs).numpy()
    progress(Step("run the source", finished=True))
    compressed = compress_module(copy.deepcopy(module), plan.recipe)
    arrays["output.compressed.0"] = compressed.module(*inputs).numpy()
    made: list[Artifact] = []
    plan.kept.write(
        plan.exporter.file,
        lambda path: made.append(
            plan.exporter.export_module(
                compressed,
                module,
                inputs,
                plan.options,
                path,
                input_names=_INPUTS,
                output_names=("logits",),
                progress=progress,
            )
        ),
    )
    traced: Any = made[0].traced
    arrays["output.exported.0"] = traced[0]
    plan.kept.write_arrays("artifact.npz", arrays)
    plan.kept.write_json("artifact.json", made[0].model_dump(mode="json"))
