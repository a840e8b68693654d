from __future__ import annotations

import pytest

from slmdeploy.device.doctor.examine import Diagnosis
from slmdeploy.device.doctor.host_checks import Check
from slmdeploy.errors import UnknownNameError
from slmdeploy.pipeline import Attempt

GOOD = Check("python", "ok", "3.11.7")
BAD = Check("compiler", "fail", None, "Run: sudo apt install g++")
SO_SO = Check("zig", "warn", None, "For boards with glibc 2.31")


@pytest.fixture
def found(monkeypatch):
    def put(*checks):
        monkeypatch.setattr("slmdeploy.device.doctor.host.check_host", lambda output: checks)

    return put


@pytest.mark.parametrize(("checks", "code"), [((GOOD, SO_SO), 0), ((GOOD, BAD), 6)])
def test_only_a_fail_ends_with_6(cli, found, checks, code):
    found(*checks)
    assert cli("doctor").exit_code == code


def test_a_fix_stands_below_its_check(cli, found):
    found(GOOD, BAD)
    lines = cli("doctor").stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if "compiler" in line)
    assert lines[at + 1].strip() == "Run: sudo apt install g++"


def test_the_document_has_name_status_value_and_fix(cli_json, found):
    found(GOOD, BAD)
    code, document = cli_json("doctor")
    assert (code, document["schema"], document["ok"]) == (6, "slmdeploy/doctor/1", False)
    assert document["checks"][1] == {
        "name": "compiler",
        "status": "fail",
        "value": None,
        "fix": "Run: sudo apt install g++",
    }


def test_this_computer_can_be_looked_at(cli_json):
    code, document = cli_json("doctor")
    assert code in (0, 6)
    names = [check["name"] for check in document["checks"]]
    assert names[:2] == ["python", "compiler"]
    assert {"memory", "disk of the cache", "extra models", "extra executorch"} <= set(names)


WELL = Attempt("pi5-a", Diagnosis("pi5-a", "target x", ok=True, checks=(GOOD, SO_SO)))
UNWELL = Attempt("pi5-b", Diagnosis("pi5-b", "target x", ok=False, checks=(GOOD, BAD)))


def test_a_device_is_held_against_a_target_and_a_bundle(cli, step, bundle):
    calls = step("doctor", (WELL,))
    assert cli("doctor", "--device", "pi5-a", "--target", "x", "--bundle", bundle).exit_code == 0
    [(given, named)] = calls
    assert given == (("pi5-a",),)
    assert named == {"target": "x", "bundle": bundle, "runtime": None, "targets_dirs": ()}


def test_each_device_has_a_block_and_one_that_fails_ends_with_4(cli, step):
    step("doctor", (WELL, UNWELL))
    done = cli("doctor", "--device", "all")
    assert done.exit_code == 4
    lines = done.stdout.splitlines()
    assert lines[0] == "pi5-a against target x: 1 ok, 1 warn"
    assert "pi5-b against target x: 1 ok, 1 fail" in lines
    at = next(i for i, line in enumerate(lines) if line.startswith("fail"))
    assert lines[at + 1].strip() == "Run: sudo apt install g++"


def test_columns_of_a_block_stand_below_each_other(cli, step):
    step("doctor", (UNWELL,))
    lines = cli("doctor", "--device", "pi5-b").stdout.splitlines()
    column = lines[1].index("check")
    assert [line[column:].split()[0] for line in lines[2:4]] == ["python", "compiler"]


def test_a_board_that_is_away_takes_few_lines(cli, step):
    lost = tuple(Check(f"check {n}", "unknown", "the board was not looked at") for n in range(20))
    away = Check("reachable", "fail", "away: it did not answer", "Is it on?")
    step("doctor", (Attempt("x", Diagnosis("x", "target y", ok=False, checks=(away, *lost))),))
    lines = cli("doctor", "--device", "x").stdout.splitlines()
    assert len(lines) == 5
    assert "check 0 and 19 more" in lines[-1]


def test_off_a_terminal_there_are_no_colours(cli, step):
    step("doctor", (UNWELL,))
    assert "\x1b" not in cli("doctor", "--device", "pi5-b").stdout


def test_a_device_that_could_not_be_examined_does_not_hide_the_others(cli_json, step):
    error = UnknownNameError("transport", "adb", ["ssh"])
    step("doctor", (Attempt("phone", None, error), WELL))
    code, document = cli_json("doctor", "--device", "all")
    assert (code, document["ok"]) == (2, False)
    assert document["results"][0]["error"]["type"] == "UnknownNameError"
    assert document["results"][1]["result"]["ok"] is True


def test_the_document_of_devices(cli_json, step):
    step("doctor", (UNWELL,))
    code, document = cli_json("doctor", "--device", "pi5-b")
    assert (code, document["schema"]) == (4, "slmdeploy/doctor-device/1")
    assert document["results"][0]["result"]["checks"][1] == {
        "name": "compiler",
        "status": "fail",
        "value": None,
        "fix": "Run: sudo apt install g++",
    }


def test_a_bundle_has_its_own_runtime(cli, bundle):
    done = cli("doctor", "--device", "local", "--bundle", bundle, "--runtime", "litert")
    assert done.exit_code == 2
    assert "--runtime" in done.stderr


def test_a_runtime_that_does_not_exist_lists_those_that_do(cli):
    done = cli("doctor", "--device", "local", "--runtime", "onnx")
    assert done.exit_code == 2
    assert "litert" in done.stderr


@pytest.mark.parametrize("words", [("--target", "x"), ("--bundle", "."), ("--runtime", "litert")])
def test_a_target_or_a_bundle_without_a_device_is_a_usage_error(cli, words):
    done = cli("doctor", *words)
    assert done.exit_code == 2
    assert "--device" in done.stderr


def test_a_dead_board_does_not_hide_this_computer(cli_json, project):
    (project / "devices.toml").write_text('[devices.gone]\nhost = "no-such-board.invalid"\n')
    code, document = cli_json("doctor", "--device", "gone", "--device", "local")
    gone, local = (result["result"] for result in document["results"])
    assert (code, gone["ok"]) == (4, False)
    assert gone["checks"][0]["name"] == "reachable"
    assert gone["checks"][0]["status"] == "fail"
    assert local["checks"][0]["status"] == "ok"
