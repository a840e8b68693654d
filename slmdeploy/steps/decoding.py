"""The export of a decoder: references, compression, artifact, golden vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slmdeploy import __version__
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ModelReadError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.model import Model
from slmdeploy.progress import Progress, Step
from slmdeploy.steps.checkpoints import Checkpoints, checkpoints_for, code_sha256
from slmdeploy.steps.golden import Made, golden_prompt

if TYPE_CHECKING:
    from slmdeploy.model.decoder import Decoder

__all__ = ["DecoderExport", "plan_decoder"]


@dataclass(frozen=True)
class DecoderExport:
    """What shall be exported, and where its finished steps are kept.

    Attributes:
        context: Tokens that a run may hold.
        capacity: Size of the cache.
    """

    model: Model
    config: DecoderConfig
    recipe: Recipe
    options: ExecutorchOptions
    context: int
    capacity: int
    kept: Checkpoints

    def make(self, progress: Progress) -> Made:
        """Make what is not there yet: golden vectors and artifact."""
        reused, decoder = [], None
        if self.kept.has("references.npz", "references.json"):
            reused.append("references")
        else:
            decoder = _make_references(self, progress)
        if self.kept.has("model.pte", "artifact.npz", "artifact.json"):
            reused.append("artifact")
        else:
            _make_artifact(self, decoder or _load(self, progress), progress)
        return Made(
            artifact=self.kept.read_artifact(),
            arrays=self.kept.read_arrays("references.npz") | self.kept.read_arrays("artifact.npz"),
            absent=self.kept.read_json("references.json")["absent"],
            reused=tuple(reused),
        )


def plan_decoder(
    model: Model, recipe: Recipe, options: ExecutorchOptions, context: int | None
) -> DecoderExport:
    """Check what can be checked before work starts, and choose sizes.

    Raises:
        ExportError: The context is beyond the model's.
        MissingExtraError: The exporter's packages are not installed.
    """
    from slmdeploy.compress.quantize import quiet_torchao

    with quiet_torchao():
        from slmdeploy.export.executorch.exporter import capacity_for, choose_context
    if model.config is None:
        raise ModelReadError(f"{model.name} is not a decoder.")
    chosen = choose_context(model.config, context or options.context)
    decides = {
        "tool": __version__,
        "code": code_sha256(),
        "weights": model.weights_sha256,
        "config": dataclasses.asdict(model.config),
        "recipe": recipe.model_dump(mode="json", exclude={"name", "description"}),
        "options": options.model_dump(mode="json"),
        "context": chosen,
        "tokenizer": None if model.tokenizer is None else model.tokenizer.encode("golden 123"),
    }
    return DecoderExport(
        model=model,
        config=model.config,
        recipe=recipe,
        options=options,
        context=chosen,
        capacity=capacity_for(chosen, options.prefill_chunk),
        kept=checkpoints_for(decides),
    )


def _step(progress: Progress, name: str, work: Callable[[], Any]) -> Any:
    progress(Step(name))
    result = work()
    progress(Step(name, finished=True))
    return result


def _load(plan: DecoderExport, progress: Progress) -> Decoder:
    """Our decoder with the model's weights, in float32."""
    from slmdeploy.model.families import family_for
    from slmdeploy.model.load import load_decoder

    family, weights = family_for(plan.model.hf_config), plan.model.weights
    decoder: Decoder = _step(
        progress,
        "read the weights",
        lambda: load_decoder(plan.config, family, weights, positions=plan.capacity),
    )
    return decoder


def _make_references(plan: DecoderExport, progress: Progress) -> Decoder:
    """Run the source and our decoder over the golden tokens, one after the other."""
    from slmdeploy.steps import references

    prompt = golden_prompt(plan.model, chunk=plan.options.prefill_chunk, context=plan.context)
    arrays: dict[str, Any] = {"prompt": prompt}
    absent: dict[str, str] = {}
    source = _step(progress, "run the source", lambda: references.source_logits(plan.model, prompt))
    decoder = _load(plan, progress)
    if isinstance(source, str):
        absent["source"] = source
        continuation = references.greedy_continuation(decoder, prompt)
    else:
        continuation, arrays["logits.source"] = source
    arrays["continuation"] = continuation
    arrays["logits.decoder"] = _step(
        progress,
        "run the decoder",
        lambda: references.decoder_logits(decoder, prompt, continuation),
    )
    plan.kept.write_arrays("references.npz", arrays)
    plan.kept.write_json("references.json", {"absent": absent})
    return decoder


def _make_artifact(plan: DecoderExport, decoder: Decoder, progress: Progress) -> None:
    """Compress, run the compressed model, export, run what was exported."""
    from slmdeploy.compress.quantize import compress
    from slmdeploy.export.executorch.exporter import export
    from slmdeploy.steps import references

    arrays = plan.kept.read_arrays("references.npz")
    prompt, continuation = arrays["prompt"], arrays["continuation"]
    name = f"compress ({plan.recipe.name})"
    compressed = _step(progress, name, lambda: compress(decoder, plan.recipe))
    logits = _step(
        progress,
        "run the compressed model",
        lambda: references.compressed_logits(compressed, prompt, continuation),
    )
    made: list[Artifact] = []
    plan.kept.write(
        "model.pte",
        lambda path: made.append(
            export(
                compressed,
                plan.options,
                path,
                context=plan.context,
                golden=(prompt, continuation),
                progress=progress,
            )
        ),
    )
    plan.kept.write_arrays(
        "artifact.npz", {"logits.compressed": logits, "logits.exported": made[0].traced}
    )
    plan.kept.write_json("artifact.json", made[0].model_dump(mode="json"))
