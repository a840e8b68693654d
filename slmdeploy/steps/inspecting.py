"""What is in a bundle: operators, bytes, states, functions, and what to look at on the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from slmdeploy.bundle.folder import Bundle, open_bundle
from slmdeploy.bundle.manifest import ByteRow, TensorInfo
from slmdeploy.bundle.methods import golden_calls
from slmdeploy.export.executorch.delegated import read_delegated
from slmdeploy.export.mil.lint import Finding, lint
from slmdeploy.export.mil.overflow import OverflowWatch
from slmdeploy.export.mil.package import Package, open_package
from slmdeploy.progress import Progress, Step
from slmdeploy.runtime.coreml import CoremlRunner, find_packages
from slmdeploy.runtime.protocol import InvokeRequest, ScoreRequest
from slmdeploy.steps.evaluated import evaluator

__all__ = ["BundleInspection", "FunctionInfo", "inspect_bundle"]


@dataclass(frozen=True)
class FunctionInfo:
    """A function (method) of the artifact.

    Attributes:
        operators: How often each kind occurs, most frequent first, without constants; empty
            where the manifest does not know it.
        compressed: The same of compressed weights (Core ML).
        total_ops: All operators.
        delegated_ops: Those that a delegate took; ``None`` where that is decided elsewhere.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    states: tuple[TensorInfo, ...]
    operators: Mapping[str, int]
    compressed: Mapping[str, int]
    total_ops: int
    delegated_ops: int | None


@dataclass(frozen=True)
class BundleInspection:
    """A bundle.

    Attributes:
        bytes: Of the artifact.
        components: Where they are.
        deployment_target: Oldest system (Core ML), as in ``iOS18``.
        lint: What to look at on the device (Core ML); ``None`` for other runtimes.
        largest_float16: The largest float16 magnitude by operator, in a run over the golden
            inputs; ``None`` where it was not run.
        not_run: Why it was not.
        rungs: Status of each rung when the bundle was made.
    """

    name: str
    path: Path
    target: str
    runtime: str
    model: str
    recipe: str
    artifact: str
    bytes: int
    components: tuple[ByteRow, ...]
    functions: tuple[FunctionInfo, ...]
    deployment_target: str | None
    lint: tuple[Finding, ...] | None
    largest_float16: Mapping[str, float] | None
    not_run: str | None
    rungs: Mapping[str, str]
    notes: tuple[str, ...]


def inspect_bundle(path: Path, *, run: bool, progress: Progress) -> BundleInspection:
    """Say what is in a bundle.

    Args:
        path: Its folder.
        run: Also evaluate a Core ML package in float16 over the golden inputs, to see whether
            anything overflows there.
        progress: Is told of that run.

    Raises:
        BundleError: It is none, or damaged.
        ModelReadError: Its Core ML package is damaged.
        EvaluationError: The package has an operator that cannot be evaluated.
    """
    bundle = open_bundle(path)
    with TemporaryDirectory() as scratch:
        return _inspected(bundle, _packages(bundle, Path(scratch)), run=run, progress=progress)


def _inspected(
    bundle: Bundle, packages: dict[str, Package], *, run: bool, progress: Progress
) -> BundleInspection:
    manifest = bundle.manifest
    watch, reason = _watched(bundle, packages, run=run, progress=progress)
    found = [finding for package in packages.values() for finding in lint(package)]
    ran = ", ".join(manifest.artifact.methods)
    return BundleInspection(
        name=manifest.name,
        path=bundle.path,
        target=manifest.target,
        runtime=manifest.artifact.runtime,
        model=manifest.model.name,
        recipe=manifest.recipe.name,
        artifact=manifest.artifact.file,
        bytes=manifest.artifact.bytes,
        components=manifest.artifact.bytes_by_component,
        functions=_functions(bundle, packages),
        deployment_target=_deployment_target(packages),
        lint=(*found, *(watch.findings(ran) if watch else ())) if packages else None,
        largest_float16=None if watch is None else _largest_first(watch.largest),
        not_run=reason,
        rungs=_rungs(bundle),
        notes=manifest.artifact.notes,
    )


def _packages(bundle: Bundle, scratch: Path) -> dict[str, Package]:
    """The artifact's packages; ExecuTorch's delegate has one in the file, which is unpacked."""
    artifact = bundle.manifest.artifact
    if not artifact.core_ml:
        return {}
    path = bundle.artifact_path
    if artifact.backend is not None:
        path = read_delegated(path, scratch).package
    return {name: open_package(found) for name, found in find_packages(path).items()}


def _deployment_target(packages: Mapping[str, Package]) -> str | None:
    return max((one.deployment_target for one in packages.values()), default=None)


def _rungs(bundle: Bundle) -> dict[str, str]:
    verified = bundle.manifest.verification
    return {} if verified is None else {rung.name: rung.status for rung in verified.rungs}


def _functions(bundle: Bundle, packages: Mapping[str, Package]) -> tuple[FunctionInfo, ...]:
    infos = []
    for name, method in bundle.manifest.artifact.methods.items():
        kinds = _kinds(name, packages)
        infos.append(
            FunctionInfo(
                name=name,
                inputs=method.inputs,
                outputs=method.outputs,
                states=method.states,
                operators=_some(kinds, compressed=False) if packages else method.outside,
                compressed=_some(kinds, compressed=True),
                total_ops=method.total_ops,
                delegated_ops=method.delegated_ops,
            )
        )
    return tuple(infos)


def _kinds(method: str, packages: Mapping[str, Package]) -> Counter[str]:
    """Operators of a method's function in whichever package has it."""
    package = packages.get(method, packages.get(""))
    if package is None:
        return Counter()
    name = method if method in package.functions else package.default_function
    return Counter(operation.kind for operation in package.function(name).operations)


def _some(kinds: Counter[str], *, compressed: bool) -> dict[str, int]:
    return {
        kind: count
        for kind, count in kinds.most_common()
        if kind != "const" and kind.startswith("constexpr_") == compressed
    }


def _largest_first(values: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda pair: -pair[1]))


def _watched(
    bundle: Bundle, packages: Mapping[str, Package], *, run: bool, progress: Progress
) -> tuple[OverflowWatch | None, str | None]:
    """Run the golden inputs in float16 and watch; or why not."""
    if not packages:
        return None, f"artifacts of {bundle.manifest.artifact.runtime} are not evaluated"
    if not run:
        return None, "--no-run"
    golden = bundle.golden()
    if not golden:
        return None, "the bundle has no golden inputs"
    watch = OverflowWatch()
    runner = CoremlRunner(evaluator(bundle, "fp16", watch=watch), bundle.manifest)
    progress(Step("run in float16"))
    if bundle.manifest.model.kind == "generic":
        for call in golden_calls(bundle.manifest, golden):
            runner.invoke(InvokeRequest(*call))
    else:
        tokens = np.concatenate([golden["prompt"], golden["continuation"]]).tolist()
        runner.score(ScoreRequest(tuple(tokens), prompt_length=len(golden["prompt"])))
    progress(Step("run in float16", finished=True))
    return watch, None
