"""The command line of the LiteRT runner: the same words as the native one's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.runtime.litert_board.args import parse_args, parse_ids
from slmdeploy.runtime.litert_board.saying import Failure

GENERATE = ["--mode", "generate", "--model", "m", "--tokens", "-", "--max-new", "3"]


def test_every_flag_is_read():
    options = parse_args(
        [*GENERATE, "--threads", "2", "--stop", "1,2", "--temperature", "0.5", "--top-k", "7",
         "--top-p", "0.9", "--min-p", "0.1", "--repetition-penalty", "1.5", "--seed", "9",
         "--decode-tail", "4", "--runtime", "litert", "--verbose"]
    )  # fmt: skip
    assert (options.mode, options.model, options.tokens, options.max_new) == (
        "generate",
        "m",
        "-",
        3,
    )
    assert (options.stop, options.temperature, options.top_k) == ([1, 2], 0.5, 7)
    assert (options.top_p, options.min_p, options.repetition_penalty) == (0.9, 0.1, 1.5)
    assert (options.seed, options.decode_tail, options.runtime, options.threads) == (
        9,
        4,
        "litert",
        2,
    )
    assert options.verbose


def test_inputs_add_up_and_of_other_flags_the_last_counts():
    argv = ["--mode", "invoke", "--model", "a", "--model", "b", "--method", "f"]
    options = parse_args([*argv, "--output-dir", "o", "--input", "x", "--input", "y"])
    assert (options.model, options.input) == ("b", ["x", "y"])


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        ([], "--mode is missing"),
        (["--mode", "describe"], "--model is missing"),
        (["--mode", "sing"], "'sing'"),
        ([*GENERATE, "--tokns", "x"], "'--tokns'"),
        ([*GENERATE, "--max_new", "3"], "'--max_new'"),
        ([*GENERATE, "--max-new"], "--max-new needs a value"),
        ([*GENERATE, "--max-new", "12x"], "'12x'"),
        ([*GENERATE, "--max-new", "-1"], "'-1'"),
        ([*GENERATE, "--threads", "0"], "--threads"),
        ([*GENERATE, "--temperature", "nan"], "--temperature"),
        ([*GENERATE, "--temperature", " 1"], "' 1'"),
        ([*GENERATE, "--top-p", "1.5"], "--top-p"),
        ([*GENERATE, "--stop", "1,,2"], "--stop"),
        ([*GENERATE, "--seed", "9223372036854775808"], "--seed"),
        ([*GENERATE, "--runtime", "onnx"], "'onnx'"),
        (GENERATE[:6], "--max-new"),
        (["--mode", "score", "--model", "m", "--tokens", "-"], "--prompt-length"),
        (["--mode", "invoke", "--model", "m"], "--method"),
    ],
)
def test_what_is_wrong_is_named(argv, word):
    with pytest.raises(Failure) as caught:
        parse_args(argv)
    assert (caught.value.exit_code, caught.value.event["cause"]) == (2, "bad_argument")
    assert word in caught.value.event["message"]


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1), st.sampled_from([" ", ",", "\n", ", "]))
def test_ids_are_read_between_any_separators(ids, separator):
    assert parse_ids(separator.join(map(str, ids)) + "\n") == ids


@pytest.mark.parametrize(
    ("text", "cause"), [("", "empty_prompt"), (" \n", "empty_prompt"), ("1 two", "bad_tokens"),
                        ("-1", "bad_tokens"), ("9" * 20, "bad_tokens")]
)  # fmt: skip
def test_ids_that_are_none_are_refused(text, cause):
    with pytest.raises(Failure) as caught:
        parse_ids(text)
    assert caught.value.event["cause"] == cause
