"""Run a tiny model on a device, to see whether a runtime works there."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slmdeploy.errors import DeviceError, RunnerError
from slmdeploy.runtime.executorch import ExecutorchRunner
from slmdeploy.runtime.protocol import InvokeRequest, RunnerFiles
from slmdeploy.runtime.smoke import INPUT, OUTPUT, PTE, PYTHON_TEST, TFLITE
from slmdeploy.transport.base import Result, Transport

__all__ = ["run_native", "run_python"]

_TIMEOUT_S = 180.0
_ILLEGAL = {-4, 132}
_SEGMENT = {-11, 139}
_TELLING = (
    re.compile(r"cannot open shared object file|version `?\w+[\w.]+'? not found"),
    re.compile(r"^(\w+\.)*\w*(Error|Exception)\b"),
)


def run_native(transport: Transport, folder: str, files: RunnerFiles) -> str | None:
    """Run a model with the native runner; gives the runtime's version if it says one.

    Args:
        transport: The way to the device.
        folder: Of the runner there.
        files: What it consists of.

    Raises:
        RunnerError: It did not start, failed, or computed something else.
    """
    with _pushed_model(transport) as model:
        runner = ExecutorchRunner(transport, runner_dir=folder, model_path=model, files=files)
        request = InvokeRequest("forward", (np.array([INPUT], np.float32),))
        outputs, events = runner.invoke(request)
    _compare([float(y) for y in outputs[0].ravel()] if outputs else [])
    start: Mapping[str, Any] = next((e.data for e in events if e.kind == "start"), {})
    version = start.get("runtime_version")
    return None if version is None else str(version)


def run_python(
    transport: Transport, python: str, path: Sequence[str], module: str
) -> Mapping[str, Any]:
    """Run a model in a Python of the device; gives what the test says of versions.

    Args:
        transport: The way to the device.
        python: The interpreter.
        path: Entries of ``PYTHONPATH``.
        module: ``ai_edge_litert`` or ``tflite_runtime``.

    Raises:
        RunnerError: It cannot be imported, failed, or computed something else.
    """
    argv = [python, "-c", PYTHON_TEST.read_text(), module, *map(str, INPUT)]
    result = transport.run(
        argv, stdin=TFLITE.read_bytes(), timeout=_TIMEOUT_S, env={"PYTHONPATH": ":".join(path)}
    )
    if result.code != 0:
        raise RunnerError(
            f"{module} does not work in {python}: {_cause(result)}.", cause="smoke_test"
        )
    try:
        said: Mapping[str, Any] = json.loads(result.stdout.splitlines()[-1])
        output = [float(y) for y in said["output"]]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise RunnerError(
            f"{module} said something else than its answer: {result.stdout[-200:]!r}.",
            cause="smoke_test",
        ) from error
    _compare(output)
    return said


def _compare(output: Sequence[float]) -> None:
    if tuple(output) != OUTPUT:
        raise RunnerError(
            f"The tiny model gave {list(output)} on the device; {list(OUTPUT)} is right.",
            cause="smoke_test",
            hint="Do not measure on this device: suspect its memory, or report it.",
        )


def _cause(result: Result) -> str:
    """Why a Python ended: its signal in words, else the line that tells most."""
    if result.code in _ILLEGAL:
        return "the processor does not know an instruction in it"
    if result.code in _SEGMENT:
        return "it crashed (segmentation fault)"
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    # numpy explains a library that is missing in a page of text, in which it is one line.
    for pattern in _TELLING:
        telling = [line for line in lines if pattern.search(line)]
        if telling:
            return telling[-1].rstrip(".")
    return lines[-1].rstrip(".") if lines else f"it ended with code {result.code}"


@contextlib.contextmanager
def _pushed_model(transport: Transport) -> Iterator[str]:
    folder = f"{transport.home()}/tmp/{uuid.uuid4().hex}"  # noqa: S108  # a folder of ours
    try:
        transport.put(PTE, f"{folder}/{PTE.name}")
        yield f"{folder}/{PTE.name}"
    finally:
        # The first error tells more than that its traces could not be removed.
        with contextlib.suppress(DeviceError):
            transport.run(["rm", "-rf", folder], timeout=10.0)
