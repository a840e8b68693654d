"""The LiteRT runner as a process: what it says when all goes well."""

from __future__ import annotations

import ast
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import slmdeploy
from slmdeploy import __version__
from slmdeploy.runtime.events import parse_line
from tests.export.litert.tiny import CONTEXT, PROMPT, VOCAB, score, start

TOKENS = PROMPT.tolist()
BOARD = Path(slmdeploy.__file__).parent / "runtime/litert_board"


def test_a_run_says_what_it_is_and_what_it_loaded(program, artifact):
    ran = start(program, artifact, "generate", "--max-new", "3", tokens=TOKENS)
    assert ran.code == 0
    first = ran.events[0]
    assert (first["event"], first["protocol"], first["runtime"]) == ("start", 1, "litert")
    assert first["runtime_version"] == metadata.version("ai-edge-litert")
    assert (first["runner_version"], first["threads"]) == (__version__, 2)
    assert first["arch"] == platform.machine()
    loads = [(e["phase"], e["name"]) for e in ran.of("load")]
    assert loads == [
        ("library", "litert"),
        ("program", artifact.name),
        ("method", "decode"),
        ("method", "prefill_8"),
        ("method", "prefill_4"),
    ]
    assert all(e["end_ns"] > e["start_ns"] for e in ran.of("load"))


def test_it_says_which_delegate_took_how_many_operators(program, artifact):
    said = start(program, artifact, "generate", "--max-new", "1", tokens=TOKENS).of("delegation")
    assert [(e["method"], e["delegate"]) for e in said] == [("decode", "XNNPACK")]
    assert 0 < said[0]["delegates"] <= 3
    assert 0.9 < said[0]["delegated_ops"] / said[0]["total_ops"] < 1


def test_memory_is_said_phase_by_phase(program, artifact):
    ran = start(program, artifact, "generate", "--max-new", "1", tokens=TOKENS)
    memory = ran.of("memory")
    assert [e["phase"] for e in memory] == ["start", "program", "methods", "prefill", "end"]
    assert all(e["rss_bytes"] > 20 << 20 for e in memory)
    assert memory[-1]["peak_rss_bytes"] >= memory[0]["rss_bytes"]


def test_every_token_has_its_stamps(program, artifact):
    ran = start(program, artifact, "generate", "--max-new", "6", tokens=TOKENS)
    tokens = ran.of("token")
    assert [e["index"] for e in tokens] == list(range(6))
    stamps = [stamp for e in tokens for stamp in (e["start_ns"], e["t_ns"])]
    assert stamps == sorted(stamps)
    assert tokens[0]["start_ns"] == ran.of("prefill")[-1]["start_ns"]
    assert ran.events[-1]["event"] == "done"
    assert (ran.events[-1]["reason"], ran.events[-1]["generated"]) == ("length", 6)


def test_greedy_generation_takes_the_largest_logit_each_time(program, artifact, tmp_path):
    ran = start(program, artifact, "generate", "--max-new", "12", tokens=TOKENS)
    ids = [e["id"] for e in ran.of("token")]
    rows = score(program, artifact, tmp_path, continuation=ids)
    assert ids == rows.argmax(axis=-1)[:12].tolist()


def test_prefill_events_cover_the_prompt_without_overlap(program, artifact):
    ran = start(program, artifact, "generate", "--max-new", "0", tokens=TOKENS[:10] * 4)
    calls = [(e["method"], e["position"], e["tokens"], e["rows"]) for e in ran.of("prefill")]
    assert calls == [(f"prefill_{n}", at, n, n) for at, n in ((0, 8), (8, 8), (16, 8), (24, 8),
                                                              (32, 8))]  # fmt: skip
    assert ran.events[-1]["generated"] == 0


def test_a_short_rest_goes_through_decode_when_asked(program, artifact):
    ran = start(
        program, artifact, "generate", "--max-new", "1", "--decode-tail", "2", tokens=TOKENS[:6]
    )
    assert [e["method"] for e in ran.of("prefill")] == ["prefill_4", "decode", "decode"]


def test_a_stop_id_ends_the_answer_and_counts(program, artifact):
    ran = start(program, artifact, "generate", "--max-new", "5", tokens=TOKENS)
    ids = [e["id"] for e in ran.of("token")]
    stopped = start(
        program, artifact, "generate", "--max-new", "5", "--stop", f"{ids[2]}", tokens=TOKENS
    )
    first = ids.index(ids[2])
    assert [e["id"] for e in stopped.of("token")] == ids[: first + 1]
    assert stopped.of("token")[-1]["stop"] is True
    assert stopped.events[-1]["reason"] == "stop"


def test_the_context_ends_the_answer(program, artifact):
    ran = start(program, artifact, "generate", "--max-new", "9", tokens=(TOKENS * 4)[: CONTEXT - 2])
    assert (ran.events[-1]["reason"], ran.events[-1]["generated"]) == ("context", 2)


def test_describe_lists_signatures_with_what_they_take_and_give(program, artifact):
    ran = start(program, artifact, "describe")
    methods = {e["name"]: e for e in ran.of("method")}
    assert list(methods) == ["decode", "prefill_4", "prefill_8"]
    assert methods["prefill_8"]["inputs"][0] == {
        "name": "tokens",
        "dtype": "int32",
        "shape": [1, 8],
    }
    assert {"name": "logits", "dtype": "float32", "shape": [1, VOCAB]} in methods["decode"][
        "outputs"
    ]
    assert {e["problem"] for e in methods.values()} == {None}


def test_a_signature_runs_with_raw_inputs(program, artifact, tmp_path):
    inputs = start(program, artifact, "describe").of("method")[0]["inputs"]
    flags = ["--method", "decode", "--output-dir", str(tmp_path), "--runs", "2", "--warmup", "1"]
    for index, about in enumerate(inputs):
        (tmp_path / f"{index}.bin").write_bytes(np.zeros(about["shape"], about["dtype"]).tobytes())
        flags += ["--input", str(tmp_path / f"{index}.bin")]
    ran = start(program, artifact, "invoke", *flags)
    assert ran.code == 0, ran.events[-1]
    assert [e["index"] for e in ran.of("run")] == [0, 1]
    assert [e["phase"] for e in ran.of("memory")][-2:] == ["warmup", "end"]
    assert len(ran.of("output")) == 5


def test_every_line_is_an_event_that_the_host_reads(program, artifact):
    ran = start(program, artifact, "generate", "--max-new", "2", tokens=TOKENS)
    assert ran.stderr == ""
    kinds = {event["event"] for event in ran.events}
    assert {"start", "load", "memory", "delegation", "prefill", "token", "done"} == kinds
    assert parse_line('{"event":"delegation","method":"decode"}').kind == "delegation"


@pytest.mark.parametrize("path", sorted(BOARD.glob("*.py")), ids=lambda path: path.name)
def test_the_boards_files_are_written_for_python_3_8(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name for name in names if name and name.split(".")[0] not in STANDARD}
    own = {name for name in foreign if name.startswith("slmdeploy.runtime.litert_board.")}
    assert foreign - own <= {"slmdeploy", "slmdeploy.runtime.litert_board"}


STANDARD = {"__future__", "collections", "importlib", "typing"}
