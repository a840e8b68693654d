from __future__ import annotations

import re


def test_it_prints_what_the_sensors_say(cli):
    done = cli("devices", "probe", "local", "--probe", "memory", "--probe", "mode")
    assert done.exit_code == 0
    assert re.search(r"memory_total_bytes +[0-9,]+ +bytes +/proc/meminfo", done.stdout)
    assert "nvpmodel is not on this board" in done.stdout


def test_a_document_has_unit_sensor_and_reason(cli_json):
    code, document = cli_json("devices", "probe", "local", "--probe", "mode")
    assert (code, document["schema"]) == (0, "slmdeploy/devices-probe/1")
    assert document["values"] == [
        {
            "quantity": "power_mode",
            "of": "",
            "value": None,
            "sensor": "nvpmodel -q",
            "reason": "nvpmodel is not on this board",
            "unit": "",
            "estimate": False,
        }
    ]


def test_it_reads_for_a_while(cli_json):
    code, document = cli_json("devices", "probe", "local", "--probe", "memory", "--seconds", "0.5")
    assert (code, document["schema"]) == (0, "slmdeploy/devices-probe-series/1")
    (total,) = [one for one in document["series"] if one["quantity"] == "memory_total_bytes"]
    assert len(total["t_ns"]) == len(total["values"]) >= 2


def test_a_series_for_people_has_its_ends_and_extremes(cli):
    done = cli("devices", "probe", "local", "--probe", "memory", "--seconds", "0.5")
    assert "first" in done.stdout
    assert re.search(r"memory_total_bytes( +[0-9,]+){4} +bytes +[0-9]+", done.stdout)
    assert "no swap area is zram" in done.stdout or "zram_used_bytes" in done.stdout
    assert "of one core" in done.stderr


def test_an_unknown_probe_lists_those_that_exist(cli):
    done = cli("devices", "probe", "local", "--probe", "heat")
    assert done.exit_code == 2
    assert "temperature" in done.stderr
