"""The export of a decoder: references, compression, artifact, golden vectors."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slmdeploy import __version__
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ModelReadError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.context import choose_context
from slmdeploy.export.plugin import Exporter, find_exporter
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.model import Model
from slmdeploy.progress import Progress
from slmdeploy.steps.checkpoints import Checkpoints, checkpoints_for, code_sha256
from slmdeploy.steps.golden import Made, golden_prompt
from slmdeploy.steps.workbench import Workbench, timed
from slmdeploy.target.profile import TargetProfile

if TYPE_CHECKING:
    from slmdeploy.model.decoder import Decoder

__all__ = ["DecoderExport", "plan_decoder"]

_REFERENCES = ("references.npz", "references.json")


@dataclass(frozen=True)
class DecoderExport:
    """What shall be exported, and where its finished steps are kept.

    Attributes:
        options: Of the target's exporter.
        context: Tokens that a run may hold.
        capacity: Size of the cache.
        kept: Where the artifact is kept.
        kept_references: Where what the source and our decoder say is kept, for all recipes.
        conversion: Where the exporter converts the model in float32, for all recipes.
    """

    model: Model
    config: DecoderConfig
    recipe: Recipe
    exporter: Exporter
    options: Any
    context: int
    capacity: int
    kept: Checkpoints
    kept_references: Checkpoints
    conversion: Checkpoints

    @property
    def file(self) -> str:
        """Name of the artifact in a bundle; Core ML's depends on how old a system it is for."""
        name: str = getattr(self.options, "decoder_file", self.exporter.file)
        return name

    def make(self, bench: Workbench, progress: Progress) -> Made:
        """Make what is not there yet: golden vectors and artifact."""
        reused = []
        file = self.file
        if self.kept_references.has(*_REFERENCES):
            reused.append("references")
        else:
            _make_references(self, bench, progress)
        if self.kept.has(file, "artifact.npz", "artifact.json"):
            reused.append("artifact")
        else:
            _make_artifact(self, bench, progress)
        references = self.kept_references
        return Made(
            artifact=self.kept.read_artifact(file),
            arrays=references.read_arrays(_REFERENCES[0]) | self.kept.read_arrays("artifact.npz"),
            absent=references.read_json(_REFERENCES[1])["absent"],
            reused=tuple(reused),
        )

    @contextmanager
    def forgotten_on(self, error: type[Exception]) -> Iterator[None]:
        """Forget all steps if this error comes: the next try must not start from them."""
        with ExitStack() as stack:
            for kept in (self.kept, self.kept_references):
                stack.enter_context(kept.forgotten_on(error))
            yield


def plan_decoder(
    model: Model, recipe: Recipe, profile: TargetProfile, context: int | None
) -> DecoderExport:
    """Check what can be checked before work starts, and choose sizes.

    Raises:
        ExportError: The context is beyond the model's.
        MissingExtraError: The exporter's packages are not installed.
    """
    options = profile.export
    if model.config is None:
        raise ModelReadError(f"{model.name} is not a decoder.")
    chosen = choose_context(model.config, context or options.context)
    exporter = find_exporter(profile.exporter)  # late: its packages take seconds to import
    prompt = golden_prompt(model, chunk=options.longest_chunk, context=chosen)
    source = {
        "tool": __version__,
        "code": code_sha256(),
        "weights": model.weights_sha256,
        "config": dataclasses.asdict(model.config),
    }
    converted = {**source, "options": options.model_dump(mode="json"), "context": chosen}
    decides = {
        **converted,
        "runtime": profile.runtime,
        "recipe": recipe.model_dump(mode="json", exclude={"name", "description"}),
        "prompt": prompt.tolist(),
    }
    return DecoderExport(
        model=model,
        config=model.config,
        recipe=recipe,
        exporter=exporter,
        options=options,
        context=chosen,
        capacity=exporter.capacity(chosen, options),
        kept=checkpoints_for(decides),
        kept_references=checkpoints_for({**source, "prompt": prompt.tolist()}),
        conversion=checkpoints_for(
            {**converted, "file": f"converted for {exporter.file}", "floats": recipe.floats}
        ),
    )


def _make_references(plan: DecoderExport, bench: Workbench, progress: Progress) -> None:
    """Run the source and our decoder over the golden tokens, one after the other."""
    from slmdeploy.steps import references

    prompt = golden_prompt(plan.model, chunk=plan.options.longest_chunk, context=plan.context)
    arrays: dict[str, Any] = {"prompt": prompt}
    absent: dict[str, str] = {}
    source = timed(progress, "run the source", lambda: references.source_logits(plan.model, prompt))
    decoder = bench.decoder(plan.capacity, progress)
    if isinstance(source, str):
        absent["source"] = source
        continuation = references.greedy_continuation(decoder, prompt)
    else:
        continuation, arrays["logits.source"] = source
    arrays["continuation"] = continuation
    arrays["logits.decoder"] = timed(
        progress,
        "run the decoder",
        lambda: references.decoder_logits(decoder, prompt, continuation),
    )
    plan.kept_references.write_arrays(_REFERENCES[0], arrays)
    plan.kept_references.write_json(_REFERENCES[1], {"absent": absent})


def _rounded(decoder: Decoder) -> Decoder:
    """A copy with the norms and tables that the compressed one will have."""
    from slmdeploy.compress.quantize import round_floats

    made = copy.deepcopy(decoder)
    round_floats(made)
    if made.config.tied:
        made.head.weight = made.embedding.get_parameter("weight")
    return made


def _make_artifact(plan: DecoderExport, bench: Workbench, progress: Progress) -> None:
    """Convert, compress, run the compressed model, export, run what was exported."""
    arrays = plan.kept_references.read_arrays(_REFERENCES[0])
    golden = arrays["prompt"], arrays["continuation"]
    folder, exporter = plan.conversion.folder, plan.exporter
    if exporter.converts(folder):
        decoder = bench.decoder(plan.capacity, progress)
        if plan.recipe.floats == "fp16":
            decoder = _rounded(decoder)
        exporter.convert(decoder, plan.options, folder, progress)
        del decoder
    bench.remember(folder)
    compressed = bench.compressed(plan.recipe, plan.capacity, progress)
    logits = bench.logits(compressed, golden, progress)
    made: list[Artifact] = []
    plan.kept.write(
        plan.file,
        lambda path: made.append(
            exporter.export(
                bench.lent(compressed) if exporter.consumes else compressed,
                plan.options,
                path,
                context=plan.context,
                converted=folder,
                golden=golden,
                progress=progress,
            )
        ),
    )
    plan.kept.write_arrays(
        "artifact.npz", {"logits.compressed": logits, "logits.exported": made[0].traced}
    )
    plan.kept.write_json("artifact.json", made[0].model_dump(mode="json"))
