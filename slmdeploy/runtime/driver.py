"""Drives a runner on a device, for one deployed artifact, by ``docs/runner-protocol.md``."""

from __future__ import annotations

import contextlib
import math
import tempfile
import uuid
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.bundle.methods import inputs_fault
from slmdeploy.errors import CommandError, DeviceError, RunnerError, UsageError
from slmdeploy.runtime.deaths import explain_death
from slmdeploy.runtime.events import parse_lines
from slmdeploy.runtime.protocol import (
    Event,
    GenerateRequest,
    InvokeRequest,
    RunnerFiles,
    ScoreRequest,
)
from slmdeploy.transport.base import Transport

__all__ = ["ProcessRunner"]


_NAMES = ("float32", "float64", "float16", "uint8", "int8", "int16", "int32", "int64", "bool")
# A list, since other packages add types of their own to numpy (bfloat16).
_DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in _NAMES}
"""What an output may be made of (``docs/runner-protocol.md``)."""


class ProcessRunner:
    """One process on the device per call; nothing is left there afterwards.

    Args:
        transport: The way to the device.
        runner_dir: Folder of the runner on the device.
        model_path: The artifact on the device.
        files: What the runner consists of.
        manifest: Of the bundle; if given, inputs are checked before anything is sent.
        flags: Further flags of the runner, for experiments (``--no-shared-weights``).
    """

    def __init__(
        self,
        transport: Transport,
        *,
        runner_dir: str,
        model_path: str,
        files: RunnerFiles,
        manifest: Manifest | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self._transport = transport
        self._runner_dir = runner_dir.rstrip("/")
        self._model_path = model_path
        self._files = files
        self._manifest = manifest
        self._flags = tuple(flags)

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        """Continue a prompt; yields the events as they come.

        Closing the iterator early ends the process on the device. An ``error`` event is
        yielded before it is raised.

        Raises:
            RunnerError: The runner reported an error, or died without one.
            DeviceError: The device failed.
        """
        sampling = request.sampling
        argv = ["--mode", "generate", "--tokens", "-", "--max-new", str(request.max_new)]
        if request.stop_ids:
            argv += ["--stop", ",".join(map(str, request.stop_ids))]
        if sampling.temperature > 0:
            argv += ["--temperature", repr(sampling.temperature), "--seed", str(sampling.seed)]
            argv += ["--top-k", str(sampling.top_k), "--top-p", repr(sampling.top_p)]
            argv += ["--min-p", repr(sampling.min_p)]
        if sampling.repetition_penalty != 1.0:
            argv += ["--repetition-penalty", repr(sampling.repetition_penalty)]
        return self._events(argv, request.threads, request.prompt)

    def score(self, request: ScoreRequest) -> npt.NDArray[np.float32]:
        """Logits for given tokens.

        Returns:
            float32 [len(tokens) - prompt_length + 1, vocabulary].

        Raises:
            RunnerError: The runner reported an error, died, or gave no such logits.
            DeviceError: The device failed.
        """
        with self._scratch() as (there, here):
            argv = ["--mode", "score", "--tokens", "-", "--logits", f"{there}/logits.bin"]
            argv += ["--prompt-length", str(request.prompt_length)]
            events = tuple(self._events(argv, request.threads, request.tokens))
            arrays = self._fetch(events, here)
        rows = len(request.tokens) - request.prompt_length + 1
        if len(arrays) != 1 or arrays[0].dtype != np.float32 or len(arrays[0]) != rows:
            given = _listed([(array.dtype.name, array.shape) for array in arrays])
            raise RunnerError(
                f"The runner gave {given} instead of {rows} rows of float32 logits.",
                cause="bad_output",
            )
        return arrays[0]

    def invoke(
        self, request: InvokeRequest
    ) -> tuple[tuple[npt.NDArray[Any], ...], tuple[Event, ...]]:
        """Run a method with raw inputs; gives the last run's outputs, and all events.

        Raises:
            UsageError: The inputs are not those of the method, by the manifest.
            RunnerError: The runner reported an error, or died without one.
            DeviceError: The device failed.
        """
        self._check_inputs(request)
        with self._scratch() as (there, here):
            argv = ["--mode", "invoke", "--method", request.method, "--output-dir", there]
            argv += ["--runs", str(request.runs), "--warmup", str(request.warmup)]
            varying = self._varying(request.method)
            for index, array in enumerate(request.inputs):
                source = here / f"input-{index}.bin"
                source.write_bytes(_little_endian(array))
                self._transport.put(source, f"{there}/{source.name}")
                argv += ["--input", f"{there}/{source.name}"]
                if varying:
                    argv += ["--shape", "x".join(map(str, array.shape))]
            events = tuple(self._events(argv, request.threads))
            return self._fetch(events, here), events

    def describe(self) -> tuple[Event, ...]:
        """The program's methods, constants and missing operators, as events.

        Raises:
            RunnerError: The runner reported an error, or died without one.
        """
        return tuple(self._events(["--mode", "describe"], None))

    def _events(
        self, argv: Sequence[str], threads: int | None, tokens: Sequence[int] | None = None
    ) -> Iterator[Event]:
        program = f"{self._runner_dir}/{self._files.executable}"
        start = [program] if self._files.python is None else [self._files.python, program]
        command = [*start, *self._files.flags, "--model", self._model_path]
        for library in self._files.libraries:
            command += ["--library", f"{self._runner_dir}/{library}"]
        if threads is not None:
            command += ["--threads", str(threads)]
        stdin = None if tokens is None else " ".join(map(str, tokens)).encode()
        lines = self._transport.stream(
            [*command, *self._flags, *argv], stdin=stdin, env=self._files.env or None
        )
        # The transport ends the process when its iterator is closed, not when it is forgotten.
        with contextlib.closing(_closable(lines)) as open_lines:
            try:
                yield from parse_lines(open_lines)
            except CommandError as error:
                raise explain_death(error) from error

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[tuple[str, Path]]:
        """A folder on the device and one here, both for this call only."""
        there = f"{self._transport.home()}/tmp/{uuid.uuid4().hex}"  # noqa: S108  # a folder of ours
        with tempfile.TemporaryDirectory(prefix="slmdeploy-") as here:
            self._transport.check(["mkdir", "-p", there])
            try:
                yield there, Path(here)
            finally:
                # The first error tells more than that its traces could not be removed.
                with contextlib.suppress(DeviceError):
                    self._transport.run(["rm", "-rf", there])

    def _fetch(self, events: Sequence[Event], here: Path) -> tuple[npt.NDArray[Any], ...]:
        """The arrays that ``output`` events name."""
        outputs = [event.data for event in events if event.kind == "output"]
        arrays = []
        for data in outputs:
            try:
                index, file = int(data["index"]), str(data["file"])
                dtype = _DTYPES[str(data["dtype"])].newbyteorder("<")
                shape = tuple(int(size) for size in data["shape"])
            except (KeyError, TypeError, ValueError) as error:
                raise RunnerError(
                    f"The runner named an output that cannot be read: {dict(data)}.",
                    cause="bad_output",
                ) from error
            self._transport.get(file, local := here / f"output-{index}.bin")
            arrays.append(_array(local, dtype, shape))
        return tuple(arrays)

    def _check_inputs(self, request: InvokeRequest) -> None:
        if self._manifest is None:
            return
        methods = self._manifest.artifact.methods
        if request.method not in methods:
            raise UsageError(
                f"The bundle has no method {request.method!r}.",
                hint=f"It has: {', '.join(sorted(methods))}.",
            )
        given = [(array.dtype.name, array.shape) for array in request.inputs]
        fault = inputs_fault(request.method, methods[request.method], given)
        if fault is not None:
            raise UsageError(fault)

    def _varying(self, method: str) -> bool:
        """Whether the runner must be told the sizes of a method's inputs."""
        if self._manifest is None:
            return False
        return bool(self._manifest.artifact.methods[method].sizes)


def _closable(lines: Iterator[str]) -> Generator[str, None, None]:
    """The lines, as a generator that closes the transport's one with itself."""
    try:
        yield from lines
    finally:
        close = getattr(lines, "close", None)
        if close is not None:
            close()


def _little_endian(array: npt.NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def _array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    expected = dtype.itemsize * math.prod(shape)
    data = path.read_bytes()
    if len(data) != expected:
        raise RunnerError(
            f"An output has {len(data)} bytes instead of the {expected} of {dtype} {list(shape)}.",
            cause="bad_output",
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=True)


def _listed(tensors: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{dtype} {list(shape)}" for dtype, shape in tensors) or "nothing"
