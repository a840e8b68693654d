"""The export of a decoder of a family that we have not: by ``transformers``' own code."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slmdeploy import __version__
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ExportError, ModelReadError, RecipeError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.context import choose_context
from slmdeploy.export.plugin import ForeignExporter, find_exporter
from slmdeploy.model.foreign import NO_DECODER
from slmdeploy.model.model import Model
from slmdeploy.progress import Progress
from slmdeploy.steps.checkpoints import Checkpoints, checkpoints_for, code_sha256
from slmdeploy.steps.golden import Made, golden_prompt
from slmdeploy.steps.workbench import Workbench, timed
from slmdeploy.target.profile import TargetProfile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from slmdeploy.model.foreign_step import ForeignStep

__all__ = ["ForeignExport", "plan_foreign"]


@dataclass(frozen=True)
class ForeignExport:
    """What shall be exported, and where its finished steps are kept.

    Attributes:
        file: Name of the artifact in a bundle.
        context: Tokens that a run may hold.
        prompt: Golden tokens, int64 [P].
    """

    model: Model
    recipe: Recipe
    exporter: ForeignExporter
    options: Any
    file: str
    context: int
    prompt: npt.NDArray[np.int64]
    kept: Checkpoints

    def make(self, bench: Workbench, progress: Progress) -> Made:  # noqa: ARG002
        """Make what is not there yet: golden vectors and artifact."""
        there = self.kept.has(self.file, "artifact.npz", "artifact.json")
        if not there:
            _make(self, progress)
        return Made(
            artifact=self.kept.read_artifact(self.file),
            arrays=self.kept.read_arrays("artifact.npz"),
            absent={"decoder": NO_DECODER},
            reused=("artifact",) if there else (),
        )

    def forgotten_on(self, error: type[Exception]) -> AbstractContextManager[None]:
        """Forget all steps if this error comes: the next try must not start from them."""
        return self.kept.forgotten_on(error)


def plan_foreign(
    model: Model, recipe: Recipe, profile: TargetProfile, context: int | None
) -> ForeignExport:
    """Check what can be checked before work starts, and choose sizes.

    Raises:
        ExportError: The target's exporter takes no such model, or the context is beyond it.
        MissingExtraError: The exporter's packages are not installed.
    """
    if model.foreign is None:
        raise ModelReadError(f"{model.name} does not go through transformers' own code.")
    exporter = find_exporter(profile.exporter)
    if not isinstance(exporter, ForeignExporter):
        raise ExportError(
            f"{model.name} is of the family {model.foreign.family!r}, which slmdeploy has not: it "
            f"goes through transformers' own code, and {profile.name} ({profile.exporter}) takes "
            "decoders of slmdeploy's families alone.",
            hint="Choose a target of ExecuTorch on a CPU: local-executorch, rpi5-executorch, ... "
            "(slmdeploy targets list), or write a family: docs/add-a-family.md.",
        )
    # Its attention is made of the runtime's own operators, whatever kernels the target has.
    options = profile.export.model_copy(update={"kernels": "portable"})
    chosen = choose_context(model.foreign, context or options.context)
    prompt = golden_prompt(model, chunk=options.longest_chunk, context=chosen)
    decides = {
        "tool": __version__,
        "code": code_sha256(),
        "weights": model.weights_sha256,
        "config": dict(model.hf_config),
        "source": model.source,
        "recipe": recipe.model_dump(mode="json", exclude={"name", "description"}),
        "exporter": profile.exporter,
        "options": options.model_dump(mode="json"),
        "context": chosen,
        "prompt": prompt.tolist(),
    }
    file = find_exporter(profile.exporter).file
    kept = checkpoints_for(decides)
    return ForeignExport(model, recipe, exporter, options, file, chosen, prompt, kept)


def _make(plan: ForeignExport, progress: Progress) -> None:
    """Run the source, make a step of it, compress, run again, export and run what was exported."""
    import torch

    from slmdeploy.compress.generic import compress_module
    from slmdeploy.compress.quantize import quiet_torchao
    from slmdeploy.model.generic import load_pretrained
    from slmdeploy.steps.references import continued

    with quiet_torchao():  # which transformers imports
        from slmdeploy.model.foreign_step import step_rows

        model = timed(progress, "read the weights", lambda: load_pretrained(plan.model))
    continuation, source = timed(progress, "run the source", lambda: continued(model, plan.prompt))
    step, head = _as_step(plan, model)
    _require_linears(plan, step)
    compressed = timed(
        progress,
        f"compress ({plan.recipe.name})",
        lambda: compress_module(step, plan.recipe, head=head),
    )
    golden = plan.prompt, continuation
    rows = timed(
        progress,
        "run the compressed model",
        lambda: step_rows(step, *(torch.from_numpy(part) for part in golden)).numpy(),
    )
    made: list[Artifact] = []
    plan.kept.write(
        plan.file,
        lambda path: made.append(
            plan.exporter.export_foreign(
                compressed, plan.options, path, golden=golden, progress=progress
            )
        ),
    )
    arrays = {
        "prompt": plan.prompt,
        "continuation": continuation,
        "logits.source": source,
        "logits.compressed": rows,
        "logits.exported": made[0].traced,
    }
    plan.kept.write_arrays("artifact.npz", arrays)
    plan.kept.write_json("artifact.json", made[0].model_dump(mode="json"))


def _as_step(plan: ForeignExport, model: nn.Module) -> tuple[ForeignStep, str]:
    """The model with its cache, in a form that can be lowered; and the name of its head.

    Raises:
        ExportError: It keeps anything but keys and values.
    """
    from slmdeploy.model.foreign_parts import apart, make_exportable, plain_linears
    from slmdeploy.model.foreign_step import ForeignStep, cache_shapes

    try:
        shapes, head = cache_shapes(model), apart(model)
    except ValueError as error:
        raise ExportError(f"{plan.model.name} cannot be exported: {error}.") from error
    plain_linears(model)
    make_exportable(model, plan.context)
    capacity = plan.exporter.capacity(plan.context, plan.options)
    return ForeignStep(model, shapes, capacity, plan.context).eval(), f"model.{head}"


def _require_linears(plan: ForeignExport, step: nn.Module) -> None:
    """Refuse a recipe that would find nothing to compress.

    Raises:
        RecipeError: There is no plain linear layer.
    """
    from torch import nn

    if plan.recipe.precision == "fp32" or any(type(part) is nn.Linear for part in step.modules()):
        return
    raise RecipeError(
        f"{plan.model.name} has no linear layer that the recipe {plan.recipe.name!r} could "
        "compress.",
        hint="Run again with --recipe none.",
    )
