"""The export of any other model than a decoder: encoders, and modules of the user's."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slmdeploy import __version__
from slmdeploy.bench.quality import TOKENS
from slmdeploy.bundle.methods import FORWARD
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ExportError, RecipeError, UsageError
from slmdeploy.export.artifact import Artifact, MethodInfo
from slmdeploy.export.lengths import checked_lengths, method_name
from slmdeploy.export.options import CoremlOptions, ExportOptions
from slmdeploy.export.plugin import Exporter, SizedExporter, find_exporter
from slmdeploy.model.hashing import file_sha256
from slmdeploy.model.labelled import read_labelled
from slmdeploy.model.model import Model
from slmdeploy.model.sizes import Sizes
from slmdeploy.progress import Progress, Step
from slmdeploy.steps.checkpoints import Checkpoints, checkpoints_for, code_sha256
from slmdeploy.steps.golden import Made
from slmdeploy.steps.sized import bounded_sizes, other_sizes, sizes_note
from slmdeploy.steps.workbench import Workbench
from slmdeploy.target.profile import TargetProfile

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["GenericExport", "plan_generic"]

_LONGEST_DEFAULT = 128
_OUTPUTS = {"embedding": "embedding"}
_OFFSET = ("roberta", "xlm-roberta")
"""Model types whose positions begin behind the padding token's."""


@dataclass(frozen=True)
class GenericExport:
    """What shall be exported, and where its finished steps are kept.

    Attributes:
        lengths: Tokens of an input, a method each; none for a module that brings its own.
        runtime: As the target names its exporter.
        sizes: Axes of a module's inputs that may vary; none where shapes stay fixed.
    """

    model: Model
    recipe: Recipe
    exporter: Exporter
    options: Any
    lengths: tuple[int, ...]
    kept: Checkpoints
    runtime: str
    sizes: Sizes = ()

    def make(self, bench: Workbench, progress: Progress) -> Made:
        """Make what is not there yet: golden vectors and artifact."""
        file = self.exporter.file
        if self.model.given is not None and not self.model.given.reusable:
            bench.remember(self.kept.folder)
        if not self.sizes:
            for note in sizes_note(self.model, self.sizes, self.runtime):
                progress(Step("fix the shapes", finished=True, note=note))
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
        ExportError: A length is beyond the model's, a module has none, or the target's
            format has no place for several; or a size that varies has no bound.
        UsageError: The labelled texts are not of this model.
        MissingExtraError: The exporter's packages are not installed.
    """
    exporter, options = find_exporter(profile.exporter), profile.export
    lengths = _lengths(model, context, options)
    sizes = bounded_sizes(model) if isinstance(exporter, SizedExporter) else ()
    if model.ref.labelled is not None:
        read_labelled(model.ref.labelled, model.labels)  # what is wrong with it is told now
    decides = {
        "tool": __version__,
        "code": code_sha256(),
        "weights": model.weights_sha256,
        "config": dict(model.hf_config),
        "task": model.task,
        "pooling": str(model.pooling),
        "inputs": list(model.ref.inputs),
        "labelled": None if model.ref.labelled is None else file_sha256(model.ref.labelled),
        "only": None if model.given is None or model.given.reusable else uuid.uuid4().hex,
        "recipe": recipe.model_dump(mode="json", exclude={"name", "description"}),
        "runtime": profile.runtime,
        "options": options.model_dump(mode="json"),
        "lengths": lengths,
    }
    kept = checkpoints_for(decides)
    return GenericExport(model, recipe, exporter, options, lengths, kept, profile.exporter, sizes)


def _lengths(model: Model, context: int | None, options: ExportOptions) -> tuple[int, ...]:
    """Tokens of an encoder's inputs, ascending."""
    asked = model.ref.lengths
    if model.given is not None:
        if context is not None or asked:
            option = "--lengths" if asked else "--context"
            raise ExportError(
                f"A module has no {option[2:]}: its inputs have the shapes of its examples.",
                hint=f"Run again without {option}.",
            )
        return ()
    if asked and context is not None:
        raise UsageError("Give --lengths or --context; of an encoder both say the same.")
    longest, usual = _longest(model), options.lengths if context is None else None
    try:
        lengths = checked_lengths(asked) if asked else usual
    except ValueError as error:
        raise UsageError(f"--lengths: {error}.") from None
    if lengths is None:
        lengths = (context or options.context or _default(model, longest),)
    if lengths[-1] > longest:
        fitting = ",".join(str(one) for one in lengths if one <= longest) or str(longest)
        option = "--context" if len(lengths) == 1 and not asked else "--lengths"
        fitting = f"{longest} or less" if option == "--context" else fitting
        raise ExportError(
            f"Inputs of {lengths[-1]} tokens are beyond the model's {longest}.",
            hint=f"Run again with {option} {fitting}.",
        )
    if len(lengths) > 1 and isinstance(options, CoremlOptions) and not options.states:
        raise ExportError(
            f"Several lengths ({', '.join(map(str, lengths))}) are functions of one package, "
            "which iOS17 does not have.",
            hint="Give one length, or a target with deployment_target 'iOS18'.",
        )
    return lengths


def _longest(model: Model) -> int:
    longest = int(model.hf_config.get("max_position_embeddings") or _LONGEST_DEFAULT)
    if model.hf_config.get("model_type") in _OFFSET:
        longest -= int(model.hf_config.get("pad_token_id") or 0) + 1
    return longest


def _default(model: Model, longest: int) -> int:
    trained = None if model.pooling is None else model.pooling.max_length
    return min(trained or longest, longest, _LONGEST_DEFAULT)


def _examples(plan: GenericExport) -> dict[str, tuple[Tensor, ...]]:
    """Example inputs by method; each is too long a text for the method before."""
    from slmdeploy.model.generic import example_inputs

    if len(plan.lengths) < 2:
        return {FORWARD: example_inputs(plan.model, sum(plan.lengths))}
    return {
        method_name(length): example_inputs(plan.model, length, shorter=shorter)
        for shorter, length in zip((0, *plan.lengths), plan.lengths, strict=False)
    }


def _make(plan: GenericExport, progress: Progress) -> None:
    """Run the source, compress, run again, export and run what was exported."""
    from slmdeploy.compress.generic import compress_module
    from slmdeploy.compress.quantize import quiet_torchao, round_floats
    from slmdeploy.model.generic import INPUTS, load_generic
    from slmdeploy.model.programs import copied

    given = plan.model.given
    names = INPUTS if given is None else given.input_names
    examples = _examples(plan)
    calls = list(examples.values())
    progress(Step("run the source"))
    with quiet_torchao():  # which transformers imports
        module = load_generic(plan.model)
    sizes = plan.sizes
    if sizes and isinstance(plan.exporter, SizedExporter):
        sizes = plan.exporter.settle_sizes(module, names, calls[0], sizes)
    calls += other_sizes(plan.model.name, module, calls[0], sizes)
    wanted = [value for one in calls for value in plan.exporter.module_inputs(one, names)]
    arrays = {f"input.{index}": value.numpy() for index, value in enumerate(wanted)}
    arrays |= _outputs("source", module, calls) | _labelled(plan, module)
    progress(Step("run the source", finished=True))
    left = _left_alone(plan, module)
    compressed = compress_module(copied(module), plan.recipe)
    arrays |= _outputs("compressed", compressed.module, calls)
    if plan.recipe.floats == "fp16":
        round_floats(module)  # as the compressed one's are, for an exporter that converts this
    outputs = _output_names(plan.model)
    made: list[Artifact] = []

    def write(path: Path) -> None:
        named: Any = {"input_names": names, "output_names": outputs, "progress": progress}
        if sizes and isinstance(plan.exporter, SizedExporter):
            one = plan.exporter.export_sized(compressed, calls, sizes, plan.options, path, **named)
        else:
            inputs = examples if len(examples) > 1 else calls[0]
            one = plan.exporter.export_module(
                compressed, module, inputs, plan.options, path, **named
            )
        made.append(one)

    plan.kept.write(plan.exporter.file, write)
    traced: Any = made[0].traced
    arrays |= {f"output.exported.{index}": value for index, value in enumerate(traced)}
    plan.kept.write_arrays("artifact.npz", arrays)
    notes = (*made[0].notes, *left, *sizes_note(plan.model, sizes, plan.runtime))
    methods = _with_lengths(made[0].methods, plan.lengths)
    artifact = made[0].model_copy(update={"notes": notes, "methods": methods})
    plan.kept.write_json("artifact.json", artifact.model_dump(mode="json"))


def _with_lengths(
    methods: Mapping[str, MethodInfo], lengths: tuple[int, ...]
) -> dict[str, MethodInfo]:
    """What an exporter says of its methods, with the length of each where there are several."""
    if len(lengths) < 2:
        return dict(methods)
    return {
        method_name(one): methods[method_name(one)].model_copy(update={"length": one})
        for one in lengths
    }


def _labelled(plan: GenericExport, module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Labelled texts as the artifact takes them, their classes, and what the source chooses."""
    import torch

    from slmdeploy.model.generic import INPUTS, encode_fixed

    path = plan.model.ref.labelled
    if path is None:
        return {}
    given = read_labelled(path, plan.model.labels)
    rows = [encode_fixed(plan.model, text, plan.lengths[-1]) for text in given.texts]
    tokens = [int(mask.sum()) for _, mask in rows]
    fitting = [next(one for one in plan.lengths if count <= one) for count in tokens]
    chosen = [
        int(module(*(one[:, :length] for one in row)).argmax())
        for row, length in zip(rows, fitting, strict=True)
    ]
    counted = {TOKENS: np.asarray(tokens, dtype=np.int64)} if len(plan.lengths) > 1 else {}
    whole = plan.exporter.module_inputs(tuple(map(torch.cat, zip(*rows, strict=True))), INPUTS)
    inputs = {f"labelled.input.{index}": value.numpy() for index, value in enumerate(whole)}
    return {
        **inputs,
        **counted,
        "labelled.class": np.asarray(given.classes, dtype=np.int64),
        "labelled.source": np.asarray(chosen, dtype=np.int64),
    }


def _output_names(model: Model) -> tuple[str, ...]:
    if model.given is not None:
        return model.given.output_names
    return (_OUTPUTS.get(str(model.task), "logits"),)


def _outputs(
    rung: str, module: nn.Module, calls: Sequence[tuple[Tensor, ...]]
) -> dict[str, npt.NDArray[Any]]:
    """What a module gives for each call, one after the other."""
    values: list[Tensor] = []
    for inputs in calls:
        given = module(*inputs)
        values += given if isinstance(given, tuple) else (given,)
    return {
        f"output.{rung}.{index}": np.ascontiguousarray(value.detach().numpy())
        for index, value in enumerate(values)
    }


def _left_alone(plan: GenericExport, module: nn.Module) -> tuple[str, ...]:
    """What a recipe does not touch, as a note.

    Raises:
        RecipeError: That is everything.
    """
    from torch import nn

    if plan.recipe.precision == "fp32":
        return ()
    parts = [type(part) for part in module.modules()]
    if nn.Linear not in parts and nn.Embedding not in parts:
        raise RecipeError(
            f"{plan.model.name} has no linear layer and no embedding table that the recipe "
            f"{plan.recipe.name!r} could compress.",
            hint="Run again with --recipe none.",
        )
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
    count = sum(kind in kinds for kind in parts)
    return (f"{count} convolutions stay in float32.",) if count else ()
