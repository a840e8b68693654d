from __future__ import annotations

import pytest

from slmdeploy.device.provision.runtimes import InstalledRuntime
from slmdeploy.errors import ConnectError, DeviceError, OfflineError
from slmdeploy.steps.outcomes import Attempt
from slmdeploy.steps.provisioning import Provisioned, Unprovisioned

READY = InstalledRuntime(
    name="litert",
    version="2.3.0",
    folder="/home/pi/.slmdeploy/runtimes/litert/abc",
    python="/usr/bin/python3",
    python_version="3.11.2",
    python_path=("/home/pi/.slmdeploy/runtimes/litert/abc",),
    numpy="1.24.2",
)
DONE = Provisioned("pi5-a", "litert", ("ai-edge-litert 2.3.0",), READY, 17_497_444, 0)
PROVISION = ("devices", "provision", "pi5-a", "--runtime", "litert")


def test_it_says_what_runs_there_in_which_python_and_with_which_numpy(cli, step):
    calls = step("provision", (Attempt("pi5-a", DONE),))
    done = cli(*PROVISION)
    assert done.exit_code == 0
    assert "litert 2.3.0 in /usr/bin/python3 (3.11.2) with numpy 1.24.2 (the device's own)" in (
        done.stdout
    )
    assert "16.7 MiB" in done.stdout
    ((devices, runtime), named) = calls[0]
    assert (devices, runtime, named["fetch"], named["dry_run"]) == (
        ("pi5-a",),
        "litert",
        False,
        False,
    )


def test_the_document_says_where_python_finds_it(cli_json, step):
    step("provision", (Attempt("pi5-a", DONE),))
    code, document = cli_json(*PROVISION, "--fetch")
    assert (code, document["schema"]) == (0, "slmdeploy/devices-provision/1")
    (one,) = document["results"]
    assert one["result"]["installed"]["python_path"] == list(READY.python_path)


def test_a_dry_run_says_what_would_be_downloaded_and_sent(cli, step):
    wanted = Provisioned(
        *("pi5-a", "litert", ("ai-edge-litert 2.3.0", "numpy 2.2.6"), None, None, None),
        to_fetch=("numpy 2.2.6",),
        dry_run=True,
    )
    step("provision", (Attempt("pi5-a", wanted),))
    assert "would download numpy 2.2.6, then send ai-edge-litert 2.3.0 and numpy 2.2.6" in (
        cli(*PROVISION, "--fetch", "--dry-run").stdout
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeviceError("pi5-a cannot run litert: it has no Python.", hint="Run: ..."), 4),
        (OfflineError("numpy is not here.", hint="Run: slmdeploy fetch runtime"), 6),
    ],
)
def test_a_refusal_ends_with_its_code_and_the_way_out(cli, step, error, code):
    step("provision", (Attempt("pi5-a", None, error),))
    done = cli(*PROVISION)
    assert done.exit_code == code
    assert "Run: " in done.stderr


def test_a_dead_board_is_told_beside_the_others(cli, step):
    dead = Attempt("pi5-b", None, ConnectError("pi5-b does not answer."))
    step("provision", (Attempt("pi5-a", DONE), dead))
    done = cli("devices", "provision", "all", "--runtime", "litert")
    assert done.exit_code == 4
    assert "ran a tiny model" in done.stdout
    assert "pi5-b does not answer" in done.stdout


def test_a_removal_says_what_went(cli, step):
    gone = Unprovisioned("pi5-a", "litert", ("runtimes/litert/abc",), 2048, ())
    calls = step("unprovision", (Attempt("pi5-a", gone),))
    done = cli(*PROVISION, "--remove", "--force")
    assert done.stdout == "pi5-a: removed runtimes/litert/abc (2.0 KiB)\n"
    assert calls[0][1] == {"force": True, "dry_run": False}


def test_a_removal_of_what_is_not_there_is_no_fault(cli, step):
    step("unprovision", (Attempt("pi5-a", Unprovisioned("pi5-a", "litert", (), 0, ())),))
    done = cli(*PROVISION, "--remove")
    assert (done.exit_code, done.stdout) == (0, "pi5-a: has no litert\n")


@pytest.mark.parametrize(
    "words",
    [
        ("devices", "provision", "pi5-a"),
        ("devices", "provision", "--runtime", "litert"),
        ("devices", "provision", "pi5-a", "--runtime", "onnx"),
        (*PROVISION, "--force"),
        ("fetch", "runtime", "--runtime", "litert"),
        ("fetch", "runtime", "--python", "3.11"),
        ("fetch", "demo", "--python", "3.11"),
        ("fetch", "demo", "--unpinned"),
    ],
)
def test_words_that_do_not_go_together_are_usage(cli, words):
    assert cli(*words).exit_code == 2


def test_fetch_names_the_board_it_is_for(cli, step):
    calls = step("fetch", OfflineError("no network"))
    cli("fetch", "runtime", "--runtime", "litert", "--python", "3.12", "--arch", "x86_64")
    (_, named) = calls[0]
    assert (named["runtime"], named["python"], named["arch"]) == ("litert", "3.12", "x86_64")
