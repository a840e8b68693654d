"""``slmdeploy devices jobs`` and ``devices restore``, on this computer as a device."""

from __future__ import annotations

import pytest

from slmdeploy.device.runs.jobs import start_job
from slmdeploy.device.runs.lease import leased
from slmdeploy.transport.local import HOME_VARIABLE, LocalTransport


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "device"))
    return LocalTransport()


def test_a_free_device_is_said_to_be_free(cli, board):
    assert cli("devices", "jobs", "local").stdout == "Nobody holds local.\n"


def test_runs_and_the_holder_are_listed(cli, cli_json, board):
    job = start_job(board, ["sleep", "600"], name="runner")
    with leased(board, owner="lab@a (process 1)", command="slmdeploy bench x"):
        told = cli("devices", "jobs", "local").stdout
        code, document = cli_json("devices", "jobs", "local")
    job.stop()
    assert "local is held by lab@a (process 1), for 0 s, with 'slmdeploy bench x'" in told
    assert job.id in told
    assert (code, document["schema"]) == (0, "slmdeploy/devices-jobs/1")
    assert document["holder"]["owner"] == "lab@a (process 1)"
    assert "token" not in document["holder"]
    (run,) = document["jobs"]
    assert (run["state"], run["code"], run["command"]) == ("running", None, "sleep 600")


def test_a_run_is_stopped_by_its_name(cli, cli_json, board):
    job = start_job(board, ["sleep", "600"], name="runner")
    assert cli("devices", "jobs", "local", "--stop", job.id).exit_code == 0
    assert cli_json("devices", "jobs", "local")[1]["jobs"][0]["reason"] == "stopped"


def test_a_run_that_is_not_there_is_told(cli, board):
    told = cli("devices", "jobs", "local", "--stop", "runner-0")
    assert (told.exit_code, "Unknown run 'runner-0'" in told.stderr) == (2, True)


def test_settings_that_nobody_changed_are_left_alone(cli, board):
    assert cli("devices", "restore", "local").stdout == "All settings of local are as they were.\n"


def test_settings_are_not_put_back_while_somebody_measures(cli, board):
    with leased(board, owner="lab@a (process 1)"):
        told = cli("devices", "restore", "local")
        assert (told.exit_code, "in use: lab@a" in told.stderr) == (4, True)
        assert cli("devices", "restore", "local", "--steal").exit_code == 0


def test_what_would_be_put_back_is_shown(cli, board, tmp_path):
    saved = tmp_path / "device" / "settings" / "saved"
    saved.parent.mkdir(parents=True)
    saved.write_text("t0ken lab@a (process 1)\nmode\t-\t1\n")
    assert (
        cli("devices", "restore", "local", "--dry-run").stdout == "would put back power mode: 1\n"
    )
    assert "slmdeploy devices restore local" in cli("devices", "jobs", "local").stdout
    assert saved.exists()


def test_a_command_is_shown_without_the_folder_that_all_have(cli, board):
    model = "/home/lab/.slmdeploy/bundles/tiny--rpi5/0123456789ab/model.pte"
    job = start_job(board, ["/bin/sh", "-c", ":", model], name="runner")
    list(job.follow())
    told = cli("devices", "jobs", "local").stdout
    assert "sh -c : bundles/tiny--rpi5/0123456789ab/model.pte" in told


def test_what_a_run_is_given_as_its_environment_keeps_its_name(cli, board):
    job = start_job(board, ["env", "PYTHONPATH=/home/lab/.slmdeploy/runtimes/x", "true"], name="x")
    list(job.follow())
    assert "env PYTHONPATH=runtimes/x true" in cli("devices", "jobs", "local").stdout


def test_what_runs_stands_first(cli, board):
    ended = start_job(board, ["true"], name="b-ended")
    list(ended.follow())
    running = start_job(board, ["sleep", "600"], name="z-runs")
    told = cli("devices", "jobs", "local").stdout
    running.stop()
    assert told.index(running.id) < told.index(ended.id)
