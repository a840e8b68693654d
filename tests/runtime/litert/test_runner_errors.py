"""Whatever is wrong, the LiteRT runner ends with one error event that says it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.export.litert.tiny import CONTEXT, VOCAB, Ran, lay_out, start


def fails(ran: Ran, code: int, cause: str, *words: str) -> None:
    assert (ran.code, ran.error["cause"]) == (code, cause), ran.error
    assert len(ran.of("error")) == 1
    for word in words:
        assert word in ran.error["message"] + " " + str(ran.error["hint"])


@pytest.mark.parametrize(
    ("tokens", "cause", "word"),
    [
        ("", "empty_prompt", "no token ids"),
        ("1 two 3", "bad_tokens", "'two'"),
        (f"1 {VOCAB}", "token_out_of_range", str(VOCAB)),
        (" ".join(["1"] * (CONTEXT + 1)), "prompt_too_long", str(CONTEXT)),
    ],
)
def test_tokens_that_cannot_be_fed_are_refused(program, artifact, tokens, cause, word):
    fails(start(program, artifact, "generate", "--max-new", "1", tokens=tokens), 2, cause, word)


def test_a_wrong_flag_is_told_before_the_runtime_is_loaded(program, artifact):
    ran = start(program, artifact, "generate", "--max-nw", "1", tokens=[1])
    fails(ran, 2, "bad_argument", "--max-nw")
    assert len(ran.events) == 1


def test_a_token_file_that_is_not_there_is_named(program, artifact):
    flags = ["--max-new", "1", "--tokens", "no-such-file"]
    fails(start(program, artifact, "generate", *flags), 2, "file_not_found", "no-such-file")


def test_a_model_that_is_not_there_is_named(program, tmp_path):
    ran = start(program, tmp_path / "none.tflite", "describe")
    fails(ran, 3, "file_not_found", "none.tflite", "push")


def test_a_folder_is_not_a_model(program, tmp_path):
    fails(start(program, tmp_path, "describe"), 3, "file_unreadable", "directory")


@pytest.mark.parametrize("content", [b"", b"GGUF" + bytes(100), b"PK\x03\x04" * 50])
def test_another_kind_of_file_is_not_a_model(program, tmp_path, content):
    (tmp_path / "m.tflite").write_bytes(content)
    ran = start(program, tmp_path / "m.tflite", "describe")
    fails(ran, 3, "bad_model", "not a LiteRT model")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_model_cut_short_is_refused(program, artifact, tmp_path, share):
    whole = artifact.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: int(len(whole) * share)])
    ran = start(program, tmp_path / "cut.tflite", "generate", "--max-new", "1", tokens=[1])
    fails(ran, 3, "bad_model", "cut.tflite", "Push")


def test_a_signature_that_is_not_there_is_named_with_those_that_are(program, artifact, tmp_path):
    flags = ["--method", "forward", "--output-dir", str(tmp_path)]
    ran = start(program, artifact, "invoke", *flags)
    fails(ran, 3, "method_missing", "'forward'", "decode, prefill_4, prefill_8")


def test_inputs_of_the_wrong_number_or_size_are_refused(program, artifact, tmp_path):
    (tmp_path / "x").write_bytes(bytes(3))
    flags = ["--method", "decode", "--output-dir", str(tmp_path), "--input", str(tmp_path / "x")]
    fails(start(program, artifact, "invoke", *flags), 2, "bad_input", "takes 6 inputs, not 1")
    ran = start(program, artifact, "invoke", *flags, *flags[-2:] * 5)
    fails(ran, 2, "bad_input", "has 3 bytes", "takes 4")


def test_logits_that_cannot_be_written_are_told(program, artifact, tmp_path):
    flags = ["--prompt-length", "1", "--logits", str(tmp_path / "no" / "logits.bin")]
    ran = start(program, artifact, "score", *flags, tokens=[1, 2])
    fails(ran, 4, "write_failed", "logits.bin")


def test_a_prompt_longer_than_the_tokens_is_refused(program, artifact, tmp_path):
    flags = ["--prompt-length", "3", "--logits", str(tmp_path / "l")]
    fails(start(program, artifact, "score", *flags, tokens=[1, 2]), 2, "bad_argument", "2 tokens")


def test_a_python_without_numpy_is_told_what_to_install(tmp_path):
    program = lay_out(tmp_path)
    argv = [sys.executable, "-S", str(program), "--mode", "describe", "--model", "m"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "library_failed" in done.stdout
    assert "python3-numpy" in done.stdout


def test_a_runtime_that_is_not_there_is_named(program, artifact):
    ran = start(program, artifact, "describe", "--runtime", "tflite-runtime")
    fails(ran, 3, "library_failed", "tflite_runtime", "push brings it")
