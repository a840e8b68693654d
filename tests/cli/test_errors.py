from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from slmdeploy import errors
from slmdeploy.cli.errors import worst


def every_class(base=errors.SlmdeployError):
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from every_class(kind)


SPECIAL = {
    errors.UnknownNameError: lambda kind: kind("target", "nowhere", ["somewhere"]),
    errors.MissingExtraError: lambda kind: kind("models", "This"),
    errors.CommandError: lambda kind: kind(["uname"], 1, "no"),
    errors.RunnerError: lambda kind: kind("It broke.", cause="io"),
}


def made(kind):
    return SPECIAL.get(kind, lambda kind: kind("It broke.", hint="Mend it."))(kind)


@pytest.mark.parametrize("kind", sorted(every_class(), key=lambda k: k.__name__))
def test_every_error_ends_with_its_code_and_without_a_traceback(cli, step, kind):
    step("report", made(kind))
    done = cli("report")
    assert done.exit_code == kind.exit_code
    assert made(kind).message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_hint_is_printed_below_the_message(cli, step):
    step("report", errors.ConnectError("pi5-a is away.", hint="Run: ping pi5-a"))
    assert cli("report").stderr == "Error: pi5-a is away.\n  Run: ping pi5-a\n"


def test_what_a_server_says_does_not_steer_the_terminal(cli, step):
    step("report", errors.ConnectError("pi5-a said: \x1b]0;x\x07\x1b[2Jhello\nworld"))
    assert cli("report").stderr == "Error: pi5-a said: \ufffd]0;x\ufffd\ufffd[2Jhello\nworld\n"


def test_with_json_the_error_is_a_document_on_stdout(cli_json, step):
    step("report", errors.ConnectError("pi5-a is away.", hint="Run: ping pi5-a"))
    code, document = cli_json("report")
    assert code == 4
    assert document == {
        "schema": "slmdeploy/error/1",
        "error": {
            "type": "ConnectError",
            "message": "pi5-a is away.",
            "hint": "Run: ping pi5-a",
            "exit_code": 4,
        },
    }


@pytest.mark.parametrize(
    "words",
    [("export", "demo"), ("report", "--wrong"), ("report", "--format", "pdf"), ("bench",)],
)
def test_a_wrong_command_line_ends_with_2_and_says_where_help_is(cli, words):
    done = cli(*words)
    assert done.exit_code == 2
    assert f"Run: slmdeploy {words[0]} --help" in done.stderr


def test_a_wrong_command_line_is_a_document_with_json(cli_json):
    code, document = cli_json("export", "demo")
    assert code == 2
    assert document["error"]["type"] == "UsageError"


def test_json_after_two_dashes_is_a_word_and_not_the_option(cli):
    done = cli("generate", "nowhere", "--", "--json")
    assert done.exit_code == 2
    assert done.stdout == ""


def test_an_unknown_command_is_answered_with_the_nearest(cli):
    done = cli("exprot")
    assert done.exit_code == 2
    assert "Did you mean 'export'?" in done.stderr


def test_no_command_at_all_prints_the_help_and_ends_with_2(cli):
    done = cli()
    assert done.exit_code == 2
    assert "inspect" in done.stderr


def test_ctrl_c_ends_with_130(cli, step):
    step("report", KeyboardInterrupt())
    done = cli("report")
    assert done.exit_code == 130
    assert done.stderr == "Interrupted.\n"


def test_a_bug_ends_with_70_and_keeps_its_traceback_in_a_file(cli, step):
    step("report", ValueError("of no use"))
    done = cli("report")
    assert done.exit_code == 70
    assert "This is a bug of slmdeploy: ValueError: of no use" in done.stderr
    assert "Traceback" not in done.stderr
    path = re.search(r"The traceback is in (\S+);", done.stderr)[1]
    assert "ValueError: of no use" in Path(path).read_text()


@pytest.mark.parametrize("word", ["-v", "-qv", "--verbose"])
def test_a_bug_shows_its_traceback_with_v(cli, step, word):
    step("report", ValueError("of no use"))
    assert "Traceback" in cli("report", word).stderr


def test_a_bug_is_told_even_where_its_traceback_cannot_be_saved(cli, step, tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    step("report", ValueError("of no use"))
    done = cli("report")
    assert done.exit_code == 70
    assert "could not be saved" in done.stderr


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ((), 0),
        ((0, 0), 0),
        ((0, 5), 5),
        ((1, 5), 1),
        ((3, 1, 5), 3),
        ((5, 1, 3, 4), 4),
        ((6, 0), 6),
    ],
)
def test_of_several_codes_the_first_in_order_counts(codes, code):
    assert worst(codes) == code


def test_an_error_document_is_one_line(cli, step):
    step("report", errors.ConnectError("one\ntwo"))
    done = cli("report", "--json")
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["error"]["message"] == "one\ntwo"
