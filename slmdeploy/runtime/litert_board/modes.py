"""The four things that the runner does."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, BinaryIO, Callable, Iterator

import numpy as np

from slmdeploy.runtime.litert_board.args import Options, parse_ids
from slmdeploy.runtime.litert_board.decoder import Decoder, Row
from slmdeploy.runtime.litert_board.memory import say_memory
from slmdeploy.runtime.litert_board.program import Program
from slmdeploy.runtime.litert_board.sampler import Sampler
from slmdeploy.runtime.litert_board.saying import BROKE, REFUSED, Failure, now_ns, say

__all__ = ["MODES"]


def generate(program: Program, options: Options) -> None:
    """Continue a prompt."""
    prompt = _read_tokens(options.tokens)
    decoder = Decoder(program, options.decode_tail)
    decoder.check_tokens(prompt)
    decoder.load(len(prompt))
    say("delegation", method="decode", **program.delegation())
    say_memory("methods")
    row = decoder.prefill(prompt)
    say_memory("prefill")
    reason, generated = _answer(decoder, options, prompt, row)
    say_memory("end")
    say("done", reason=reason, generated=generated, t_ns=now_ns())


def _answer(decoder: Decoder, options: Options, prompt: list[int], row: Row) -> tuple[str, int]:
    sampler = Sampler(options, decoder.vocabulary)
    for token in prompt:
        sampler.saw(token)
    room = decoder.capacity - len(prompt)
    wanted = options.max_new or 0
    most = min(wanted, room)
    stops = frozenset(options.stop)
    for index in range(most):
        token = sampler.pick(row[0])
        stop = {"stop": True} if token in stops else {}
        say("token", index=index, id=token, start_ns=row[1], t_ns=now_ns(), **stop)
        if stop:
            return "stop", index + 1
        sampler.saw(token)
        if index + 1 < most:
            row = decoder.step(token, len(prompt) + index)
    return ("length" if wanted <= room else "context"), most


def score(program: Program, options: Options) -> None:
    """Feed given tokens and write their logits."""
    tokens = _read_tokens(options.tokens)
    length = options.prompt_length or 0
    if length > len(tokens):
        raise Failure(
            REFUSED,
            "bad_argument",
            f"--prompt-length {length} is more than the {len(tokens)} tokens given.",
        )
    decoder = Decoder(program, options.decode_tail)
    decoder.check_tokens(tokens)
    decoder.load(length)
    say("delegation", method="decode", **program.delegation())
    say_memory("methods")
    path = str(options.logits)
    with _output(path) as write:
        write(decoder.prefill(tokens[:length])[0])
        say_memory("prefill")
        for position in range(length, len(tokens)):
            logits, start, end = decoder.step(tokens[position], position)
            write(logits)
            say("step", position=position, start_ns=start, end_ns=end)
    say_memory("end")
    shape = [len(tokens) - length + 1, decoder.vocabulary]
    say("output", index=0, dtype="float32", shape=shape, file=path)
    say("done", reason="complete", generated=0, t_ns=now_ns())


def invoke(program: Program, options: Options) -> None:
    """Run any signature with raw inputs."""
    name = str(options.method)
    signature = program.load(name)
    if name == next(iter(program.signatures)):
        say("delegation", method=name, **program.delegation())
    say_memory("methods")
    inputs = _read_inputs(program, name, options.input)
    for index in range(options.warmup + options.runs):
        for key, value in inputs:
            signature.inputs[key][...] = value
        start, end = signature.run()
        if index >= options.warmup:
            say("run", index=index - options.warmup, start_ns=start, end_ns=end)
        elif index + 1 == options.warmup:
            say_memory("warmup")
    say_memory("end")
    if options.warmup + options.runs:
        outputs = signature.fresh_outputs()
        for index, about in enumerate(program.tensors(name, "outputs")):
            _write_output(index, outputs[about["name"]], str(options.output_dir))
    say("done", reason="complete", generated=0, t_ns=now_ns())


def describe(program: Program, options: Options) -> None:  # noqa: ARG001 - as the other modes
    """Say what the artifact has, and whether it can be loaded."""
    for name in program.signatures:
        problem, missing = None, []
        try:
            program.load(name)
        except Failure as failure:
            problem = f"{failure.event['cause']}: {failure.event['message']}"
            if failure.event["cause"] == "operator_missing":
                missing = [failure.event["message"]]
        delegate = program.delegation()["delegate"] if problem is None else None
        say(
            "method",
            name=name,
            inputs=program.tensors(name, "inputs"),
            outputs=program.tensors(name, "outputs"),
            backends=[] if delegate is None else [delegate],
            planned_bytes=None,
            missing_operators=missing,
            problem=problem,
        )
    if program.signatures:
        first = next(iter(program.signatures))
        say("delegation", method=first, **program.delegation())
    say("done", reason="complete", generated=0, t_ns=now_ns())


MODES = {"generate": generate, "score": score, "invoke": invoke, "describe": describe}


def _read_tokens(path: Any) -> list[int]:
    if path == "-":
        return parse_ids(sys.stdin.read())
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return parse_ids(file.read())
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_inputs(program: Program, name: str, files: list[str]) -> list[tuple[str, Any]]:
    wanted = program.tensors(name, "inputs")
    if len(files) != len(wanted):
        raise Failure(
            REFUSED,
            "bad_input",
            f"Signature '{name}' takes {len(wanted)} inputs, not {len(files)}.",
            "Give --input once per input, in order; --mode describe lists them.",
        )
    return [
        (about["name"], _read_array(path, about))
        for path, about in zip(files, wanted)  # noqa: B905 - Python 3.8 has no strict
    ]


def _read_array(path: str, about: Any) -> Any:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    dtype = np.dtype(about["dtype"]).newbyteorder("<")
    expected = int(np.prod(about["shape"], dtype=np.int64)) * dtype.itemsize
    if len(data) != expected:
        raise Failure(
            REFUSED,
            "bad_input",
            f"'{path}' has {len(data)} bytes, but input '{about['name']}', {about['dtype']} "
            f"{about['shape']}, takes {expected}.",
        )
    return np.frombuffer(data, dtype).reshape(about["shape"])


def _unreadable(path: str, error: OSError) -> Failure:
    away = isinstance(error, FileNotFoundError)
    cause = "file_not_found" if away else "file_unreadable"
    message = f"'{path}' cannot be read: {error.strerror}."
    return Failure(REFUSED, cause, message, None, error.errno)


def _write_output(index: int, value: Any, folder: str) -> None:
    path = os.path.join(folder, f"output-{index}.bin")
    with _output(path) as write:
        write(value)
    shape = [int(size) for size in value.shape]
    say("output", index=index, dtype=value.dtype.name, shape=shape, file=path)


@contextlib.contextmanager
def _output(path: str) -> Iterator[Callable[[Any], None]]:
    """A file to append raw little-endian arrays to; what goes wrong is ``write_failed``."""
    try:
        with open(path, "wb") as file:
            yield lambda value: _append(file, value)
    except OSError as error:
        message = f"'{path}' cannot be written: {error.strerror}."
        raise Failure(BROKE, "write_failed", message, None, error.errno) from error


def _append(file: BinaryIO, value: Any) -> None:
    data = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    file.write(data.tobytes())
