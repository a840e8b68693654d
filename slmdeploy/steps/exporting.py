"""From a model and a target to a bundle: plan, make, stage, climb, put in place."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy import __version__
from slmdeploy.bundle.app_readme import README_NAME, app_readme
from slmdeploy.bundle.folder import Bundle, finish, tree_bytes, tree_sha256
from slmdeploy.bundle.manifest import (
    MANIFEST_NAME,
    ArtifactInfo,
    FileInfo,
    GoldenInfo,
    Manifest,
    ModelInfo,
    RungResult,
    TokenizerInfo,
    VerificationInfo,
)
from slmdeploy.bundle.methods import lengths_of
from slmdeploy.compress.recipe import Recipe
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.errors import DiskSpaceError, ParityError
from slmdeploy.export.artifact import Artifact
from slmdeploy.model.audit import audit_values
from slmdeploy.model.inspect import describe
from slmdeploy.model.model import Model
from slmdeploy.model.tokenizer_check import require_saved
from slmdeploy.progress import Progress
from slmdeploy.steps.decoding import DecoderExport, plan_decoder
from slmdeploy.steps.delegation import measured_delegation, unmeasured
from slmdeploy.steps.export_cost import require_memory
from slmdeploy.steps.foreign import ForeignExport, plan_foreign
from slmdeploy.steps.generic import GenericExport, plan_generic
from slmdeploy.steps.golden import Made
from slmdeploy.steps.ladder import climb_bundle, stored_rungs
from slmdeploy.steps.outcomes import Exported
from slmdeploy.steps.parity import against_compressed, logits_sha256
from slmdeploy.steps.ready import host_files
from slmdeploy.steps.workbench import Workbench
from slmdeploy.target.profile import TargetProfile
from slmdeploy.verify.verdict import verdict

__all__ = ["bundle_name", "export_model", "plan_export"]

_DROPPED_RUNGS = ("decoder",)
"""Rungs whose logits stay out of the bundle: their verdict is in the manifest."""

_Plan = DecoderExport | ForeignExport | GenericExport
_PLANS: Mapping[str, Callable[..., _Plan]] = {
    "decoder": plan_decoder,
    "foreign": plan_foreign,
    "generic": plan_generic,
}


def bundle_name(model: str, target: str) -> str:
    """Name of a bundle's folder."""
    return f"{model}--{target}"


def export_model(
    model: Model,
    profile: TargetProfile,
    *,
    recipe: Recipe,
    context: int | None,
    output: Path,
    verify: bool,
    bench: Workbench,
    progress: Progress,
) -> Exported:
    """Make the bundle of a model for a target.

    Args:
        model: A decoder or a generic model.
        profile: The target.
        recipe: The target's own, or another one that it can run.
        context: Tokens that a run may hold; ``None`` for the target's own.
        output: Folder of bundles.
        verify: Climb the ladder to the artifact on this computer first.
        bench: What was read and compressed already, for other targets.
        progress: Is told what is being done.

    Raises:
        ModelError: The model or recipe cannot be exported, or a rung broke.
        HostError: No room, or no compiler for the runner of this computer.
    """
    started = time.monotonic_ns()
    final = output / bundle_name(model.name, profile.name)
    plan = plan_export(model, profile, recipe, context, output)
    if verify and not profile.core_ml:  # which is evaluated here, not run
        # The last rung needs it; without a compiler or a runtime we want to know now.
        host_files(profile.runtime, getattr(plan.options, "kernels", None), progress)
    made = plan.make(bench, progress)
    parity: tuple[RungResult, ...] = ()
    with _staging(output, final.name) as staging:
        manifest = _stage(staging, model, profile, recipe, made=made)
        if verify:
            ran: dict[str, npt.NDArray[Any]] = {}
            results = _climb(Bundle(staging, manifest), made, ran, progress)
            lengths = bool(lengths_of(manifest))
            parity = against_compressed(ran, made.arrays, results, lengths=lengths)
            with plan.forgotten_on(ParityError):
                verdict(results)
            info = VerificationInfo(rungs=results)
            manifest = manifest.model_copy(update={"verification": info})
            taken = measured_delegation(Bundle(staging, manifest), progress)
        else:
            taken = unmeasured(Bundle(staging, manifest), "it did not run: --no-verify")
        manifest = manifest.model_copy(update={"delegation": taken})
        bundle = finish(manifest, staging, final)
    return Exported(
        bundle=final,
        manifest=bundle.manifest,
        recipe=recipe.name,
        reused=made.reused,
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        wall_ns=time.monotonic_ns() - started,
        parity=parity,
        compressed_sha256=logits_sha256(made.arrays),
    )


def plan_export(
    model: Model, profile: TargetProfile, recipe: Recipe, context: int | None, output: Path
) -> _Plan:
    """Check what can be checked before work starts.

    Raises:
        ExportError: The context is beyond the model's.
        DiskSpaceError: There is no room.
        HostError: There is not the memory that the export is forecast to take.
        MissingExtraError: The exporter's packages are not installed.
    """
    # First, since a plan has a hash of all weights: reading many of them takes minutes.
    _require_space(output, model)
    if model.config is not None:
        tokens = context or profile.export.context
        require_memory(model.config, recipe, profile.exporter, model.name, tokens)
    make = _PLANS["foreign" if model.foreign is not None else model.kind]
    return make(model, recipe, profile, context)


def _require_space(output: Path, model: Model) -> None:
    """Refuse before the work rather than after it: twice the float32 weights."""
    wanted = 2 * describe(model).float32_bytes
    folder = next(path for path in (output, *output.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise DiskSpaceError(
            f"{folder} has {free // 2**20} MiB free; an export may need {wanted // 2**20} MiB.",
            hint="Make room, or choose another folder with --output.",
        )


@contextmanager
def _staging(output: Path, name: str) -> Iterator[Path]:
    """A folder beside the bundle's place, gone afterwards unless it became the bundle."""
    staging = output / f".{name}.new-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise DiskSpaceError(f"{staging} cannot be made: {error.strerror}.") from error
    try:
        yield staging
    except OSError as error:
        raise DiskSpaceError(f"{staging} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _stage(
    staging: Path,
    model: Model,
    profile: TargetProfile,
    recipe: Recipe,
    *,
    made: Made,
) -> Manifest:
    """Fill the folder; the manifest still lacks its table of files."""
    artifact = made.artifact
    file = artifact.path.name
    _link_or_copy(artifact.path, staging / file)
    rungs = _write_golden(staging / "golden.npz", made.arrays)
    (staging / "LICENSE.model").write_text(_license(model), encoding="utf-8")
    manifest = Manifest(
        name=bundle_name(model.name, profile.name),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=_model_info(model),
        recipe=recipe,
        target=profile.name,
        glibc=profile.glibc,
        threads=profile.threads,
        runner=profile.runner,
        artifact=_artifact_info(artifact, file, model),
        context=artifact.context,
        prefill_chunk=artifact.prefill_chunk,
        logits=artifact.logits,
        cache=artifact.cache,
        memory=artifact.memory,
        tokenizer=_save_tokenizer(staging, model),
        tokenizer_reason=model.tokenizer_reason,
        golden=GoldenInfo(file="golden.npz", rungs=rungs),
        files=dict[str, FileInfo](),
        provenance=_provenance(model, recipe, artifact),
    )
    readme = app_readme(manifest, profile.export)
    if readme is not None:
        (staging / README_NAME).write_text(readme, encoding="utf-8")
    return manifest


def _link_or_copy(source: Path, destination: Path) -> None:
    if source.is_dir():
        shutil.copytree(
            source, destination, copy_function=lambda old, new: _link_or_copy(Path(old), Path(new))
        )
        return
    try:
        destination.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, destination)


def _license(model: Model) -> str:
    named = f"The model {model.name} says of its licence: {model.license or 'nothing'}.\n"
    return named if model.license_text is None else f"{named}\n{model.license_text}"


def _model_info(model: Model) -> ModelInfo:
    described = describe(model)
    return ModelInfo(
        name=model.name,
        source=model.ref.text,
        kind=model.kind,
        architecture=described.architecture or model.kind,
        parameters=described.parameters,
        dtype="+".join(share.dtype for share in described.dtypes),
        license=model.license,
        note=model.note,
        weights_sha256=model.weights_sha256,
        labels=model.labels or None,
        task=model.task,
        pooling=None if model.pooling is None else str(model.pooling),
        adapter=model.adapter,
        remarks=model.remarks + audit_values(model.weights, whole=False).remarks(model.weights),
    )


def _artifact_info(artifact: Artifact, file: str, model: Model) -> ArtifactInfo:
    return ArtifactInfo(
        file=file,
        bytes=tree_bytes(artifact.path),
        sha256=tree_sha256(artifact.path),
        source=model.source,
        runtime=artifact.runtime,
        kernels=artifact.kernels,
        backend=artifact.backend,
        methods=artifact.methods,
        bytes_by_component=artifact.bytes_by_component,
        bytes_in_delegates=artifact.bytes_in_delegates,
        notes=artifact.notes,
        same_bits=artifact.same_bits,
    )


def _save_tokenizer(staging: Path, model: Model) -> TokenizerInfo | None:
    tokenizer = model.tokenizer
    if tokenizer is None:
        return None
    folder = staging / "tokenizer"
    folder.mkdir()
    tokenizer.save(folder)
    require_saved(tokenizer, folder)
    file = folder / "tokenizer.json"
    return TokenizerInfo(
        file="tokenizer/tokenizer.json",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        vocab_size=tokenizer.vocab_size,
        bos_id=tokenizer.bos_id,
        stop_ids=tokenizer.stop_ids,
        chat_template=tokenizer.chat_template is not None,
    )


def _write_golden(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    """Keep the tokens or inputs, and the outputs of the rungs that later climbs need."""
    dropped = [f"logits.{rung}" for rung in _DROPPED_RUNGS]
    kept: dict[str, Any] = {name: array for name, array in arrays.items() if name not in dropped}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **kept)
    parts = [name.split(".") for name in kept]
    rungs = [words[1] for words in parts if words[0] in ("logits", "output")]
    return tuple(dict.fromkeys(rungs))


def _provenance(model: Model, recipe: Recipe, artifact: Artifact) -> dict[str, Any]:
    recipe_text = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return {
        "slmdeploy": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": artifact.versions,
        "weights_sha256": model.weights_sha256,
        "recipe_sha256": hashlib.sha256(recipe_text.encode()).hexdigest(),
    }


def _climb(
    bundle: Bundle, made: Made, ran: dict[str, npt.NDArray[Any]], progress: Progress
) -> tuple[RungResult, ...]:
    manifest = bundle.manifest
    below = stored_rungs(
        made.arrays,
        made.absent,
        generic=manifest.model.kind == "generic",
        lengths=bool(lengths_of(manifest)),
    )
    # The device room wants a whole bundle; what is staged gets its final manifest later.
    (bundle.path / MANIFEST_NAME).write_text(manifest.model_dump_json(), encoding="utf-8")
    return climb_bundle(bundle, below, made.arrays, host=LOCAL, progress=progress, outputs=ran)
