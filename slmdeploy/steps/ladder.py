"""The rungs of a bundle: from the source to the devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.bundle.folder import Bundle
from slmdeploy.bundle.manifest import RungResult
from slmdeploy.bundle.methods import golden_calls, lengths_of
from slmdeploy.compress.recipe import Recipe
from slmdeploy.device.runs.settings_plan import USUAL, Use
from slmdeploy.device.types import Device
from slmdeploy.progress import Progress, Step
from slmdeploy.runtime.protocol import (
    GenerateRequest,
    InvokeRequest,
    Runner,
    Sampling,
    ScoreRequest,
)
from slmdeploy.steps.evaluated import Evaluated, evaluated
from slmdeploy.steps.outputs import joined, stored_output
from slmdeploy.steps.ready import ready
from slmdeploy.verify.ladder import Rung, climb
from slmdeploy.verify.thresholds import Precision, RungKind

__all__ = ["climb_bundle", "stored_rungs"]

_Arrays = Mapping[str, npt.NDArray[Any]]
_TEXT_TOKENS = 48
_FREE = Sampling(temperature=0.8, top_p=0.95, seed=1)
_STORED: tuple[RungKind, ...] = ("source", "decoder", "compressed", "exported")


def stored_rungs(
    golden: _Arrays, absent: Mapping[str, str], *, generic: bool, lengths: bool = False
) -> list[Rung]:
    """The rungs whose outputs were kept, and those that were not with the reason.

    Args:
        golden: ``logits.<rung>`` or ``output.<rung>.<i>`` among others.
        absent: Why a rung has none.
        generic: Any model but a decoder.
        lengths: It has a method for each of several lengths.
    """
    kinds = [kind for kind in _STORED if not (generic and kind == "decoder")]
    rungs = []
    for kind in kinds:
        values = (
            stored_output(golden, kind, lengths=lengths)
            if generic
            else golden.get(f"logits.{kind}")
        )
        reason = absent.get(kind, "its logits were not kept in the bundle")
        rungs.append(Rung(kind, kind, None if values is None else _given(values), reason))
    return rungs


def _given(values: npt.NDArray[Any]) -> Callable[[], npt.NDArray[Any]]:
    return lambda: values


def climb_bundle(
    bundle: Bundle,
    below: Sequence[Rung],
    golden: _Arrays,
    *,
    host: Device,
    device: Device | None = None,
    use: Use = USUAL,
    progress: Progress,
    outputs: dict[str, npt.NDArray[Any]] | None = None,
) -> tuple[RungResult, ...]:
    """Climb from the stored rungs to the artifact on the host, and on to a device.

    Args:
        bundle: Its artifact is run.
        below: The rungs before the artifact.
        golden: Tokens or inputs to feed.
        host: The device that is this computer.
        device: A board, or ``None`` to end at the host.
        use: Whether to take the board from others.
        progress: Is told which rung is climbed.
        outputs: Gets what the artifact gave, by the rung's name.

    Raises:
        SlmdeployError: A device failed, or this computer cannot make the runner.
    """
    ran = {} if outputs is None else outputs
    generic = bundle.manifest.model.kind == "generic"
    if bundle.manifest.artifact.core_ml:
        here = [_evaluated_rung(way, bundle, golden, progress) for way in evaluated(bundle)]
    else:
        here = [_runtime_rung("artifact", bundle, host, golden, progress)]
    rungs = [*below, *here]
    if device is not None:
        rungs.append(_runtime_rung("device", bundle, device, golden, progress, use=use))

    def on_result(result: RungResult, output: npt.NDArray[Any] | None) -> None:
        if output is not None and result.name not in _STORED:
            ran[result.name] = output
        progress(Step(f"rung {result.name}", finished=True))

    return climb(
        rungs,
        precision=_precision(bundle.manifest.recipe),
        model="generic" if generic else "decoder",
        choices=bundle.manifest.model.task not in ("embedding", "module"),
        on_result=on_result,
    )


def _precision(recipe: Recipe) -> Precision:
    """As the recipe's; weights in float32 whose floats are rounded for Core ML are float16."""
    rounded = recipe.precision == "fp32" and recipe.floats == "fp16"
    return "fp16" if rounded else recipe.precision


def _runtime_rung(
    kind: RungKind,
    bundle: Bundle,
    device: Device,
    golden: _Arrays,
    progress: Progress,
    *,
    use: Use = USUAL,
) -> Rung:
    name = "artifact" if kind == "artifact" else f"device {device.name}"

    def run() -> npt.NDArray[Any]:
        progress(Step(f"rung {name}"))
        with ready(bundle, device, progress, use=use) as on:
            return _output(bundle, on.runner, golden)

    def text() -> Sequence[int]:
        with ready(bundle, device, progress, use=use) as on:
            return _free_text(bundle, on.runner, golden)

    return Rung(
        name,
        kind,
        run,
        text=None if bundle.manifest.model.kind == "generic" else text,
        same_bits=bundle.manifest.artifact.same_bits,
    )


def _evaluated_rung(way: Evaluated, bundle: Bundle, golden: _Arrays, progress: Progress) -> Rung:
    """Judged by its choices over the golden tokens: it writes no text of its own."""

    def run() -> npt.NDArray[Any]:
        progress(Step(f"rung {way.kind}"))
        return _output(bundle, way.runner(), golden)

    return Rung(way.kind, way.kind, run)


def _output(bundle: Bundle, runner: Runner, golden: _Arrays) -> npt.NDArray[Any]:
    if bundle.manifest.model.kind == "generic":
        calls = golden_calls(bundle.manifest, golden)
        given = [one for call in calls for one in runner.invoke(InvokeRequest(*call))[0]]
        return joined(given, lengths=bool(lengths_of(bundle.manifest)))
    tokens = np.concatenate([golden["prompt"], golden["continuation"]]).tolist()
    return runner.score(ScoreRequest(tuple(tokens), prompt_length=len(golden["prompt"])))


def _free_text(bundle: Bundle, runner: Runner, golden: _Arrays) -> list[int]:
    """What the runner writes after the golden prompt.

    Sampled, with a fixed seed: greedily even a sound small model walks in circles, while
    a broken one repeats itself whatever the sampling.
    """
    prompt = tuple(golden["prompt"].tolist())
    room = (bundle.manifest.context or len(prompt)) - len(prompt)
    stop = bundle.manifest.tokenizer.stop_ids if bundle.manifest.tokenizer else ()
    request = GenerateRequest(
        prompt, max_new=min(_TEXT_TOKENS, room), stop_ids=stop, sampling=_FREE
    )
    return [event.data["id"] for event in runner.generate(request) if event.kind == "token"]
