from __future__ import annotations

import pytest

from slmdeploy.device.host_checks import Check

GOOD = Check("python", "ok", "3.11.7")
BAD = Check("compiler", "fail", None, "Run: sudo apt install g++")
SO_SO = Check("zig", "warn", None, "For boards with glibc 2.31")


@pytest.fixture
def found(monkeypatch):
    def put(*checks):
        monkeypatch.setattr("slmdeploy.device.host.check_host", lambda output: checks)

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
