"""The driver over a transport: this computer's own, which starts real processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from slmdeploy.errors import CommandError, RunnerError, TransferError, UsageError
from slmdeploy.export.artifact import TensorInfo
from slmdeploy.runtime.executorch import ExecutorchRunner
from slmdeploy.runtime.protocol import (
    GenerateRequest,
    InvokeRequest,
    RunnerFiles,
    Sampling,
    ScoreRequest,
)
from slmdeploy.transport.local import LocalTransport
from tests.runtime import programs as make
from tests.runtime.programs import CHUNK, VOCAB, Programs

START = '{"event":"start","protocol":1}'
DONE = '{"event":"done","reason":"complete"}'


@pytest.fixture
def transport(tmp_path: Path) -> LocalTransport:
    return LocalTransport("local", tmp_path / "home")


Make = Callable[..., ExecutorchRunner]


@pytest.fixture
def runner(transport: LocalTransport, runner_dir: Path, files: RunnerFiles) -> Make:
    """A driver of the native runner for a program."""

    def make_runner(model: Path, **options: Any) -> ExecutorchRunner:
        return ExecutorchRunner(
            transport, runner_dir=str(runner_dir), model_path=str(model), files=files, **options
        )

    return make_runner


@pytest.fixture
def scripted(transport: LocalTransport, tmp_path: Path) -> Callable[[str], ExecutorchRunner]:
    """A driver of a shell script that stands for a runner."""

    def make_runner(script: str) -> ExecutorchRunner:
        place = tmp_path / "scripted" / "slmd-runner"
        place.parent.mkdir()
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)
        return ExecutorchRunner(
            transport,
            runner_dir=str(place.parent),
            model_path="m.pte",
            files=RunnerFiles({}, "slmd-runner"),
        )

    return make_runner


def left_behind(transport: LocalTransport) -> list[str]:
    return [path.name for path in Path(transport.home()).glob("tmp/*")]


def test_generate_streams_events_and_ends_with_done(runner: Make, programs: Programs) -> None:
    request = GenerateRequest(prompt=(1, 2, 3), max_new=4, threads=1)
    events = list(runner(programs.llm).generate(request))
    assert events[0].data["threads"] == 1
    assert len([event for event in events if event.kind == "token"]) == 4
    assert events[-1].kind == "done"


def test_sampling_reaches_the_runner_whole(transport: LocalTransport, scripted: Any) -> None:
    echo = f'echo \'{START}\'; printf \'{{"event":"args","all":"%s"}}\\n\' "$*"; echo \'{DONE}\''
    how = Sampling(0.7, 40, 0.9, 0.05, 1.1, 12)
    request = GenerateRequest(prompt=(1,), max_new=5, stop_ids=(2, 7), sampling=how, threads=3)
    events = list(scripted(echo).generate(request))
    assert events[1].data["all"] == (
        "--model m.pte --threads 3 --mode generate --tokens - --max-new 5 --stop 2,7 "
        "--temperature 0.7 --seed 12 --top-k 40 --top-p 0.9 --min-p 0.05 "
        "--repetition-penalty 1.1"
    )


def test_score_gives_one_row_after_the_prompt_and_one_a_token(
    runner: Make, programs: Programs, transport: LocalTransport
) -> None:
    tokens = tuple(range(20))
    found = runner(programs.llm).score(ScoreRequest(tokens, prompt_length=12))
    wanted = make.reference(make.make_decoder("llm"), list(tokens), 12)
    assert found.shape == (9, VOCAB)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted.numpy(), atol=5e-6)
    assert left_behind(transport) == []


def test_invoke_hands_arrays_over_and_back(
    runner: Make, programs: Programs, transport: LocalTransport
) -> None:
    x, n = np.ones((2, 3), np.float32), np.array([1, 2])
    request = InvokeRequest("forward", (x, n), runs=2, warmup=1)
    outputs, events = runner(programs.generic).invoke(request)
    np.testing.assert_array_equal(outputs[0], x + n[:, None])
    assert len([event for event in events if event.kind == "run"]) == 2
    assert left_behind(transport) == []


def test_big_endian_and_strided_inputs_arrive_as_the_same_values(
    runner: Make, programs: Programs
) -> None:
    x = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2].T
    outputs, _ = runner(programs.generic).invoke(InvokeRequest("forward", (x, np.zeros(2, ">i8"))))
    np.testing.assert_array_equal(outputs[1], x * 2)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (InvokeRequest("backward", (np.zeros((2, 3), np.float32),)), "no method"),
        (InvokeRequest("forward", (np.zeros((2, 4), np.float32),)), r"not float32 \[2, 4\]"),
        (InvokeRequest("forward", (np.zeros((2, 3)),)), r"not float64 \[2, 3\]"),
    ],
)
def test_inputs_are_held_against_the_manifest_before_anything_is_sent(
    runner: Make,
    programs: Programs,
    transport: LocalTransport,
    asked: InvokeRequest,
    word: str,
) -> None:
    x = TensorInfo(name="x", dtype="float32", shape=(2, 3))
    info = SimpleNamespace(inputs=(x,))
    manifest = SimpleNamespace(artifact=SimpleNamespace(methods={"forward": info}))
    with pytest.raises(UsageError, match=word):
        runner(programs.generic, manifest=manifest).invoke(asked)
    assert not Path(transport.home()).exists()


def test_describe_lists_the_methods(runner: Make, programs: Programs) -> None:
    events = runner(programs.llm).describe()
    names = {event.data["name"] for event in events if event.kind == "method"}
    assert names == {"prefill", "decode"}


def test_what_the_runner_reports_is_raised_with_cause_and_hint(
    runner: Make, tmp_path: Path, transport: LocalTransport
) -> None:
    with pytest.raises(RunnerError) as caught:
        runner(tmp_path / "none.pte").score(ScoreRequest((1, 2), 1))
    assert caught.value.cause == "file_not_found"
    assert "push" in str(caught.value.hint)
    assert left_behind(transport) == []


def test_an_error_comes_after_the_events_before_it(runner: Make, programs: Programs) -> None:
    seen: list[str] = []
    events = runner(programs.llm).generate(GenerateRequest(prompt=(1, VOCAB), max_new=1))
    with pytest.raises(RunnerError, match=str(VOCAB)):
        seen.extend(event.kind for event in events)  # keeps what came before the error
    assert seen[0] == "start"
    assert seen[-1] == "error"


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("kill -KILL $$", "sigkill"),
        (f"echo '{START}'; kill -ILL $$", "sigill"),
        (f"echo '{START}'; printf '{{\"event\":\"tok'; kill -KILL $$", "sigkill"),
        (f"echo '{START}'; echo Segmentation fault", "bad_output"),
        (f"echo '{START}'", "no_end"),
        ("exit 3", "died"),
        (
            "echo 'x: error while loading shared libraries: libexecutorch.so' >&2; exit 127",
            "library_failed",
        ),
    ],
)
def test_a_runner_that_dies_or_talks_nonsense_is_explained(
    scripted: Any, script: str, cause: str
) -> None:
    with pytest.raises(RunnerError) as caught:
        list(scripted(script).generate(GenerateRequest((1,), 1)))
    assert caught.value.cause == cause


def test_a_runner_that_is_not_there_is_told(transport: LocalTransport, tmp_path: Path) -> None:
    runner = ExecutorchRunner(
        transport, runner_dir=str(tmp_path), model_path="m", files=RunnerFiles({}, "slmd-runner")
    )
    with pytest.raises(RunnerError, match="not on the device") as caught:
        runner.describe()
    assert caught.value.cause == "runner_missing"


def test_closing_the_events_early_ends_the_process(scripted: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    events = scripted(f"echo $$ > {pid}; echo '{START}'; exec sleep 600").generate(
        GenerateRequest((1,), 1)
    )
    assert next(events).kind == "start"
    events.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    "output",
    [
        '{"event":"output","index":0}',
        '{"event":"output","index":0,"dtype":"bfloat16","shape":[1],"file":"x"}',
        '{"event":"output","index":0,"dtype":"float32","shape":["a"],"file":"x"}',
    ],
)
def test_an_output_that_cannot_be_read_is_refused(scripted: Any, output: str) -> None:
    with pytest.raises(RunnerError, match="cannot be read") as caught:
        scripted(f"echo '{START}'; echo '{output}'; echo '{DONE}'").score(ScoreRequest((1,), 1))
    assert caught.value.cause == "bad_output"


@pytest.mark.parametrize(("size", "word"), [(8, r"instead of 2 rows"), (7, "7 bytes instead of")])
def test_logits_of_another_shape_or_size_are_refused(
    scripted: Any, tmp_path: Path, size: int, word: str
) -> None:
    (tmp_path / "logits").write_bytes(bytes(size))
    output = (
        f'{{"event":"output","index":0,"dtype":"float32","shape":[1,2],"file":"{tmp_path}/logits"}}'
    )
    with pytest.raises(RunnerError, match=word):
        scripted(f"echo '{START}'; echo '{output}'; echo '{DONE}'").score(ScoreRequest((1, 2), 1))


class Broken(LocalTransport):
    """Cannot fetch, nor remove."""

    def get(self, source: str, destination: Path) -> None:
        raise TransferError("The cable was cut.")

    def run(self, argv: Sequence[str], **options: Any) -> Any:
        if argv[0] == "rm":
            raise CommandError(argv, 1, "gone")
        return super().run(argv, **options)


def test_the_first_error_is_the_one_that_is_told(
    runner_dir: Path, files: RunnerFiles, programs: Programs, tmp_path: Path
) -> None:
    runner = ExecutorchRunner(
        Broken("local", tmp_path / "home"),
        runner_dir=str(runner_dir),
        model_path=str(programs.llm),
        files=files,
    )
    with pytest.raises(TransferError, match="cable"):
        runner.score(ScoreRequest(tuple(range(CHUNK)), 2))


class Foreign:
    """A transport of somebody else's, whose stream is no generator."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def stream(
        self, argv: Sequence[str], *, stdin: bytes | None, env: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        return iter(self.lines)


def test_a_stream_without_close_is_read_all_the_same() -> None:
    runner = ExecutorchRunner(
        Foreign([START, DONE]),  # type: ignore[arg-type]
        runner_dir="r",
        model_path="m",
        files=RunnerFiles({}, "slmd-runner"),
    )
    assert [event.kind for event in runner.describe()] == ["start", "done"]


def test_driving_a_runner_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, slmdeploy.runtime.executorch, slmdeploy.runtime.build;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'executorch', 'pydantic.v1')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
