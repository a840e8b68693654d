"""Whatever is wrong, the native runner ends with one error event that says it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from slmdeploy.runtime.compiling import NATIVE
from tests.runtime.conftest import Ran, Run, start
from tests.runtime.programs import CONTEXT, VOCAB, Programs


def fails(ran: Ran, code: int, cause: str, *words: str) -> None:
    assert (ran.code, ran.error["cause"]) == (code, cause), ran.error
    assert len(ran.of("error")) == 1
    for word in words:
        assert word in ran.error["message"] + " " + str(ran.error["hint"])


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--tokns", "x"], "--tokns"),
        (["--max-new"], "--max-new"),
        (["--max-new", "12x"], "'12x'"),
        (["--max-new", "-1"], "'-1'"),
        (["--threads", "0"], "--threads"),
        (["--temperature", "nan", "--max-new", "1"], "--temperature"),
        (["--top-p", "1.5"], "--top-p"),
        (["--stop", "1,,2"], "--stop"),
        (["--seed", "9223372036854775808"], "--seed"),
        ([], "--max-new"),
    ],
)
def test_a_wrong_flag_is_named(run: Run, programs: Programs, flags: list[str], word: str) -> None:
    fails(run(programs.llm, "generate", *flags, tokens=[1]), 2, "bad_argument", word)


@pytest.mark.parametrize(
    "flags", [[], ["--model", "m.pte"], ["--mode", "describe"], ["--mode", "sing"]]
)
def test_mode_and_model_are_needed(runner_dir: Path, flags: list[str]) -> None:
    fails(start([str(runner_dir / "slmd-runner"), *flags]), 2, "bad_argument", "--mode")


@pytest.mark.parametrize(
    ("tokens", "cause", "word"),
    [
        ("", "empty_prompt", "no token ids"),
        ("1 two 3", "bad_tokens", "'two'"),
        ("1 -2", "bad_tokens", "'-2'"),
        ("99999999999999999999999", "bad_tokens", "99999"),
        (f"1 {VOCAB}", "token_out_of_range", str(VOCAB)),
        (" ".join(["1"] * (CONTEXT + 1)), "prompt_too_long", str(CONTEXT)),
    ],
)
def test_tokens_that_cannot_be_fed_are_refused(
    run: Run, programs: Programs, tokens: str, cause: str, word: str
) -> None:
    ran = run(programs.llm, "generate", "--max-new", "1", tokens=tokens)
    fails(ran, 2, cause, word)


def test_a_prompt_longer_than_the_tokens_is_refused(
    run: Run, programs: Programs, tmp_path: Path
) -> None:
    argv = ["--prompt-length", "3", "--logits", str(tmp_path / "l")]
    fails(run(programs.llm, "score", *argv, tokens=[1, 2]), 2, "bad_argument", "2 tokens")


def test_a_token_file_that_is_not_there_is_named(run: Run, programs: Programs) -> None:
    ran = run(programs.llm, "generate", "--max-new", "1", "--tokens", "no-such-file")
    fails(ran, 2, "file_not_found", "no-such-file")


def test_a_model_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    fails(run(tmp_path / "none.pte", "describe"), 3, "file_not_found", "none.pte", "push")


def test_a_folder_is_not_a_model(run: Run, tmp_path: Path) -> None:
    fails(run(tmp_path, "describe"), 3, "file_unreadable", "directory")


@pytest.mark.parametrize("content", [b"", b"GGUF" + bytes(100), bytes(7), b"PK\x03\x04" * 50])
def test_another_kind_of_file_is_not_a_model(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pte").write_bytes(content)
    fails(run(tmp_path / "m.pte", "describe"), 3, "bad_model", "not an ExecuTorch program")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_model_cut_short_is_refused_with_both_sizes(
    run: Run, programs: Programs, tmp_path: Path, share: float
) -> None:
    whole = programs.llm.read_bytes()
    (tmp_path / "cut.pte").write_bytes(whole[: int(len(whole) * share)])
    ran = run(tmp_path / "cut.pte", "generate", "--max-new", "1", tokens=[1])
    fails(ran, 3, "bad_model", "cut short", str(int(len(whole) * share)))


def test_a_model_with_a_damaged_head_is_refused(
    run: Run, programs: Programs, tmp_path: Path
) -> None:
    data = bytearray(programs.llm.read_bytes())
    data[100:400] = bytes([255]) * 300
    (tmp_path / "bad.pte").write_bytes(data)
    fails(run(tmp_path / "bad.pte", "describe"), 3, "bad_model", "damaged")


def test_missing_operators_are_named_with_what_brings_them(
    runner_dir: Path, programs: Programs
) -> None:
    argv = [str(runner_dir / "slmd-runner"), "--model", str(programs.llm), "--mode", "generate"]
    ran = start([*argv, "--tokens", "-", "--max-new", "1"], "1 2")
    names = ("llama::custom_sdpa.out", "llama::update_cache.out", "libslmd_kernels_llm.so")
    fails(ran, 3, "operator_missing", *names)


def test_describe_lists_missing_operators_and_goes_on(runner_dir: Path, programs: Programs) -> None:
    argv = ["--model", str(programs.llm), "--mode", "describe"]
    ran = start([str(runner_dir / "slmd-runner"), *argv])
    names = ["llama::custom_sdpa.out", "llama::update_cache.out"]
    assert [e["missing_operators"] for e in ran.of("method")] == [names, names]
    assert ran.of("done")


def test_a_missing_backend_is_named(run: Run, programs: Programs, tmp_path: Path) -> None:
    data = programs.llm.read_bytes().replace(b"XnnpackBackend", b"NowhereBackend")
    (tmp_path / "other.pte").write_bytes(data)
    ran = run(tmp_path / "other.pte", "generate", "--max-new", "1", tokens=[1])
    fails(ran, 3, "backend_missing", "NowhereBackend")


def test_a_library_that_cannot_be_loaded_is_named(run: Run, programs: Programs) -> None:
    ran = run(programs.llm, "describe", "--library", "/no/such/lib.so")
    fails(ran, 3, "library_failed", "/no/such/lib.so")


def test_a_method_that_is_not_there_lists_those_that_are(
    run: Run, programs: Programs, tmp_path: Path
) -> None:
    argv = ["--method", "backward", "--output-dir", str(tmp_path)]
    fails(run(programs.generic, "invoke", *argv), 3, "method_missing", "'backward'", "forward")


def test_generating_with_a_program_that_is_no_decoder_is_refused(
    run: Run, programs: Programs
) -> None:
    ran = run(programs.generic, "generate", "--max-new", "1", tokens=[1])
    fails(ran, 3, "method_missing", "'decode'", "forward")


@pytest.mark.parametrize("size", [0, 23, 25])
def test_an_input_of_another_size_is_refused_with_the_shape(
    run: Run, programs: Programs, tmp_path: Path, size: int
) -> None:
    (tmp_path / "x").write_bytes(bytes(size))
    (tmp_path / "n").write_bytes(bytes(16))
    argv = ["--method", "forward", "--output-dir", str(tmp_path)]
    inputs = ["--input", str(tmp_path / "x"), "--input", str(tmp_path / "n")]
    fails(run(programs.generic, "invoke", *argv, *inputs), 2, "bad_input", "float32 [2,3]")


def test_a_wrong_number_of_inputs_is_refused(run: Run, programs: Programs, tmp_path: Path) -> None:
    argv = ["--method", "forward", "--output-dir", str(tmp_path), "--input", "x"]
    fails(run(programs.generic, "invoke", *argv), 2, "bad_input", "takes 2 inputs, not 1")


def test_a_result_that_cannot_be_written_is_named(run: Run, programs: Programs) -> None:
    argv = ["--prompt-length", "1", "--logits", "/no/such/folder/l"]
    fails(run(programs.llm, "score", *argv, tokens=[1]), 4, "write_failed", "/no/such/folder/l")


def test_a_full_disk_is_told(run: Run, programs: Programs) -> None:
    argv = ["--prompt-length", "1", "--logits", "/dev/full"]
    fails(run(programs.llm, "score", *argv, tokens=[1]), 4, "write_failed", "No space", "room")


def test_a_runner_that_nobody_reads_ends(runner_dir: Path, programs: Programs) -> None:
    argv = [str(runner_dir / "slmd-runner"), "--model", str(programs.llm), "--mode", "describe"]
    reader, writer = os.pipe()
    os.close(reader)  # before it starts: it would be done soon
    with os.fdopen(writer, "wb") as unread:
        done = subprocess.run(argv, stdout=unread, timeout=60, check=False)
    assert done.returncode in {141, -signal.SIGPIPE}


def test_every_cause_in_the_sources_is_in_the_protocol(repo_root: Path) -> None:
    text = "\n".join(path.read_text() for path in NATIVE.rglob("*.cpp"))
    near = re.findall(r'(?:Exit::k\w+,|"cause",)[^;]{0,60}?"([a-z]+_[a-z_]+|internal)"', text)
    page = (repo_root / "docs/runner-protocol.md").read_text()
    assert len(set(near)) > 15
    assert {cause for cause in near if f"`{cause}`" not in page} == set()
