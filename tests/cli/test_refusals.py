"""An export that this computer cannot take ends before anything is read or written."""

from __future__ import annotations

import pytest

from slmdeploy.steps import export_cost, exporting
from slmdeploy.target.load import load_target
from tests.model.test_audit import write_sparse


@pytest.fixture
def large(tmp_path):
    """A model of 10 billion parameters that takes no room on the disk."""
    folder = tmp_path / "large"
    folder.mkdir()
    write_sparse(folder, 20)
    return folder


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """Set what the system says is available, in GiB."""

    def available(gibibytes: int) -> None:
        file = tmp_path / "meminfo"
        file.write_text(f"MemAvailable: {gibibytes * 2**20} kB\n")
        monkeypatch.setattr(export_cost, "_MEMINFO", file)
        monkeypatch.setattr(export_cost, "_CGROUP", tmp_path)

    return available


@pytest.fixture
def disk(monkeypatch):
    """Set what is free on the disk, in GiB."""

    def free(gibibytes: int) -> None:
        usage = exporting.shutil.disk_usage("/")._replace(free=gibibytes * 2**30)
        monkeypatch.setattr(exporting.shutil, "disk_usage", lambda _: usage)

    return free


@pytest.fixture
def refused(large, cli, project, monkeypatch):
    """What an export says that ends with exit code 6; nothing was read to the end or written."""

    def read(_):
        raise AssertionError("the weights were read")

    monkeypatch.setattr("slmdeploy.model.model.files_sha256", read)

    def export(target: str) -> str:
        done = cli("export", large, "--target", target)
        assert done.exit_code == 6
        assert list(project.iterdir()) == []
        return done.stderr

    return export


@pytest.mark.parametrize("target", ["local-executorch", "local-litert", "iphone16pro-coreml"])
def test_too_little_memory(refused, memory, disk, target):
    memory(16)
    disk(500)
    said = refused(target)
    assert "16384 MiB are available" in said
    assert "export on a larger computer" in said


def test_too_little_room_on_the_disk(refused, memory, disk):
    memory(500)
    disk(20)
    assert "20480 MiB free; an export may need" in refused("local-executorch")


def test_inspect_says_so_too(large, memory, cli_json):
    memory(16)
    code, document = cli_json("inspect", large)
    assert code == 0
    assert {fit["export_fits"] for fit in document["fits"]} - {None} == {False}


def test_inspect_names_the_limit_of_a_device_that_is_too_small(large, cli_json):
    assert load_target("rpi4-executorch", ()).limits.ram_bytes < 5 * 10**9
    fits = cli_json("inspect", large)[1]["fits"]
    (found,) = (fit for fit in fits if fit["target"] == "rpi4-executorch")
    (memory,) = (one for one in found["findings"] if one["check"] == "memory")
    assert memory["status"] == "fail"
    assert memory["needed_bytes"] > memory["limit_bytes"]


def test_inspect_does_not_guess_what_a_run_takes_on_an_apple_device(large, cli_json):
    fits = cli_json("inspect", large)[1]["fits"]
    (found,) = (fit for fit in fits if fit["target"] == "iphone16pro-coreml")
    assert found["device_peak_bytes"] is None
    assert "Apple device" in found["device_peak_reason"]
    # 10 billion weights of 8 bits.
    assert found["predicted_bytes"] == pytest.approx(10e9, rel=0.01)
    assert found["export_peak_bytes"] > found["predicted_bytes"]
