"""The native runner's decoder against the same network without a cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runtime import programs as make
from tests.runtime.conftest import Run, score
from tests.runtime.programs import CAPACITY, CHUNK, CONTEXT, VOCAB, Programs

TOKENS = [int(x) for x in np.random.default_rng(3).integers(0, VOCAB, CONTEXT)]


def expected(kernels: str, tokens: list[int], prompt: int, layers: int = 2) -> np.ndarray:
    rows: torch.Tensor = make.reference(make.make_decoder(kernels, layers), tokens, prompt)
    return rows.numpy()


NETWORKS = {
    "llm": ("llm", 2),
    "portable": ("portable", 2),
    "all_rows": ("llm", 1),
    "decode_only": ("portable", 1),
}


@pytest.mark.parametrize("program", NETWORKS)
@pytest.mark.parametrize("prompt", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 2])
def test_scores_are_those_of_the_network_without_a_cache(
    run: Run, programs: Programs, program: str, prompt: int, tmp_path: Path
) -> None:
    kernels, layers = NETWORKS[program]
    found = score(run, getattr(programs, program), TOKENS, prompt, tmp_path)
    assert found.shape == (CONTEXT - prompt + 1, VOCAB)
    np.testing.assert_allclose(found, expected(kernels, TOKENS, prompt, layers), atol=5e-6)


@pytest.mark.parametrize("prompt", range(CAPACITY - CHUNK, CONTEXT + 1))
def test_a_chunk_that_would_reach_beyond_the_cache_starts_earlier(
    run: Run, programs: Programs, prompt: int, tmp_path: Path
) -> None:
    found = score(run, programs.llm, TOKENS, prompt, tmp_path)
    np.testing.assert_allclose(found, expected("llm", TOKENS, prompt), atol=5e-6)


def test_prefill_events_cover_the_prompt_without_overlap(run: Run, programs: Programs) -> None:
    ran = run(programs.llm, "generate", "--max-new", "0", tokens=TOKENS[:39])
    spans = [(e["position"], e["tokens"]) for e in ran.of("prefill")]
    assert spans == [(0, 8), (8, 8), (16, 8), (24, 8), (32, 7)]
    assert {e["rows"] for e in ran.of("prefill")} == {CHUNK}


def test_a_short_rest_goes_through_decode_when_asked(
    run: Run, programs: Programs, tmp_path: Path
) -> None:
    ran = run(programs.llm, "generate", "--max-new", "1", "--decode-tail", "2", tokens=TOKENS[:10])
    assert [e["method"] for e in ran.of("prefill")] == ["prefill", "decode", "decode"]
    tail = score(run, programs.llm, TOKENS[:10], 10, tmp_path, "--decode-tail", "2")
    np.testing.assert_allclose(tail, expected("llm", TOKENS[:10], 10), atol=5e-6)


def test_greedy_generation_takes_the_largest_logit_each_time(
    run: Run, programs: Programs, tmp_path: Path
) -> None:
    ran = run(programs.llm, "generate", "--max-new", "12", tokens=TOKENS[:9])
    ids = [e["id"] for e in ran.of("token")]
    rows = score(run, programs.llm, TOKENS[:9] + ids, 9, tmp_path)
    assert ids == rows.argmax(-1)[: len(ids)].tolist()
    assert len(ids) == 12


def test_generation_stops_at_a_stop_id_and_reports_it(run: Run, programs: Programs) -> None:
    free = run(programs.llm, "generate", "--max-new", "8", tokens=TOKENS[:5])
    ids = [e["id"] for e in free.of("token")]
    place = next(i for i in range(1, 8) if ids[i] not in ids[:i])
    argv = [
        "--max-new",
        "8",
        "--stop",
        f"{VOCAB - 1 if ids[place] != VOCAB - 1 else 0},{ids[place]}",
    ]
    stopped = run(programs.llm, "generate", *argv, tokens=TOKENS[:5])
    assert [e["id"] for e in stopped.of("token")] == ids[: place + 1]
    assert stopped.of("token")[-1]["stop"] is True
    assert stopped.of("done")[0] | {"t_ns": 0} == {
        "event": "done", "reason": "stop", "generated": place + 1, "t_ns": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "max_new", "end"),
    [
        (5, 3, ("length", 3)),
        (38, 2, ("length", 2)),
        (38, 9, ("context", 2)),
        (40, 1, ("context", 0)),
    ],
)
def test_prompt_and_answer_never_exceed_the_context(
    run: Run, programs: Programs, prompt: int, max_new: int, end: tuple[str, int]
) -> None:
    ran = run(programs.llm, "generate", "--max-new", str(max_new), tokens=TOKENS[:prompt])
    done = ran.of("done")[0]
    assert (done["reason"], done["generated"]) == end
    assert len(ran.of("token")) == end[1]


def test_sharing_packed_weights_does_not_change_a_bit(
    run: Run, programs: Programs, tmp_path: Path
) -> None:
    packed = ("--packed-weights", str(tmp_path / "packed"))
    plain = score(run, programs.llm, TOKENS, 11, tmp_path, "--no-shared-weights")
    shared = score(run, programs.llm, TOKENS, 11, tmp_path)
    written = score(run, programs.llm, TOKENS, 11, tmp_path, *packed)
    mapped = score(run, programs.llm, TOKENS, 11, tmp_path, *packed)
    assert (tmp_path / "packed").stat().st_size > 0
    for other in (shared, written, mapped):
        np.testing.assert_array_equal(plain, other)


def test_stamps_rise_and_every_phase_reports_memory(run: Run, programs: Programs) -> None:
    ran = run(programs.llm, "generate", "--max-new", "3", tokens=TOKENS[:9])
    assert [e["phase"] for e in ran.of("memory")] == [
        "start", "program", "methods", "prefill", "end",
    ]  # fmt: skip
    for event in ran.of("memory"):
        parts = event["anon_bytes"] + event["file_bytes"] + event["shmem_bytes"]
        assert event["rss_bytes"] == parts
        assert event["peak_rss_bytes"] >= event["rss_bytes"] > 0
    loads = [(e["phase"], Path(e["name"]).name) for e in ran.of("load")]
    assert loads == [
        ("library", "libslmd_kernels_llm.so"), ("program", "llm.pte"),
        ("method", "prefill"), ("method", "decode"),
    ]  # fmt: skip
    stamps = [e["t_ns"] for e in ran.of("token")]
    assert stamps == sorted(stamps)
    assert all(e["start_ns"] < e["t_ns"] for e in ran.of("token"))
    assert ran.of("start")[0]["threads"] == 2


def test_token_files_may_use_commas_and_newlines(
    run: Run, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "ids").write_text("1, 2\n3\t4,5\r\n")
    argv = ["--tokens", str(tmp_path / "ids"), "--max-new", "4"]
    written = run(programs.llm, "generate", *argv).of("token")
    piped = run(programs.llm, "generate", "--max-new", "4", tokens=[1, 2, 3, 4, 5]).of("token")
    assert [e["id"] for e in written] == [e["id"] for e in piped]
