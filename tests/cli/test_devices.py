from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def lab(project):
    (project / "devices.toml").write_text(
        '[devices.pi5-a]\nhost = "pi5-a.lan"\nuser = "pi"\nport = 2222\nboard = "rpi5"\n'
        'labels = {rack = "one"}\n'
    )


def test_list_has_the_lab_and_this_computer(cli_json):
    code, document = cli_json("devices", "list")
    assert (code, document["schema"]) == (0, "slmdeploy/devices-list/1")
    assert [device["name"] for device in document["devices"]] == ["local", "pi5-a"]


def test_list_says_how_a_device_is_reached(cli):
    out = cli("devices", "list").stdout
    assert "pi@pi5-a.lan:2222" in out
    assert "rack=one" in out


def test_show_gives_one_device(cli_json):
    _, document = cli_json("devices", "show", "pi5-a")
    assert document["device"]["board"] == "rpi5"
    assert document["device"]["identity_file"] is None


def test_show_of_an_unknown_device_ends_with_2(cli):
    done = cli("devices", "show", "pi5-b")
    assert done.exit_code == 2
    assert "Did you mean 'pi5-a'?" in done.stderr
