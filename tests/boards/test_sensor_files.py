"""Sensors are files made from values; changing a value writes what shows it, in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.kinds import KINDS, Kind
from tests.boards.sensor_files import Folder, Link, Sensors, write_entry, write_in_place

each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)

ZONE = "sys/class/thermal/thermal_zone0/temp"
GOVERNOR = "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"


def sensors(kind: Kind, folder: Path) -> Sensors:
    made = Sensors(folder, kind.tree, kind.values)
    made.write_all()
    return made


@each_kind
def test_every_kind_shows_its_heat_and_its_processors(kind: Kind, tmp_path: Path) -> None:
    sensors(kind, tmp_path).set(temperature=71.25)
    assert (tmp_path / ZONE).read_text() == "71250\n"
    assert (tmp_path / "proc/cpuinfo").read_text().count("processor") >= 4


@each_kind
def test_links_of_a_tree_lead_somewhere(kind: Kind, tmp_path: Path) -> None:
    sensors(kind, tmp_path)
    links = [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert links != []
    assert [path for path in links if not path.exists()] == []


def test_a_file_that_is_held_open_shows_the_new_value(tmp_path: Path) -> None:
    pi = sensors(KINDS["rpi5"], tmp_path)
    with (tmp_path / ZONE).open() as held:
        pi.set(temperature=60.0)
        assert held.read() == "60000\n"


def test_what_a_program_changed_is_set_again_when_asked(tmp_path: Path) -> None:
    pi = sensors(KINDS["rpi5"], tmp_path)
    (tmp_path / GOVERNOR).write_text("performance\n")
    pi.set(temperature=60.0)
    assert (tmp_path / GOVERNOR).read_text() == "performance\n"
    pi.set(governor="ondemand")
    assert (tmp_path / GOVERNOR).read_text() == "ondemand\n"


def test_under_voltage_sets_its_bits_and_its_alarm(tmp_path: Path) -> None:
    sensors(KINDS["rpi4"], tmp_path).set(under_voltage=True, throttled=0x4)
    assert (tmp_path / "board/vc/get_throttled").read_text() == "throttled=0x10005\n"
    assert (tmp_path / "sys/class/hwmon/hwmon1/in0_lcrit_alarm").read_text() == "1\n"


def test_the_power_of_a_rail_can_be_set(tmp_path: Path) -> None:
    sensors(KINDS["rpi5"], tmp_path).set(rails={"VDD_CORE": (0.9, 2.0)})
    rows = (tmp_path / "board/vc/pmic_read_adc").read_text().splitlines()
    assert "      VDD_CORE_A current(7)=2.00000000A" in rows
    assert "      VDD_CORE_V volt(15)=0.90000000V" in rows
    assert len(rows) == 26


def test_a_jetson_says_the_same_power_everywhere(tmp_path: Path) -> None:
    rails = {"VDD_IN": (5.0, 2.0), "VDD_CPU_GPU_CV": (5.0, 0.5), "VDD_SOC": (5.0, 0.3)}
    sensors(KINDS["orin-nano"], tmp_path).set(rails=rails)
    hwmon = tmp_path / "sys/class/hwmon/hwmon3"
    assert [(hwmon / name).read_text() for name in ("in1_input", "curr1_input")] == [
        "5000\n",
        "2000\n",
    ]
    assert "VDD_IN 10000mW/10000mW" in (tmp_path / "board/tegrastats").read_text()


def test_a_zone_is_powered_up_and_down(tmp_path: Path) -> None:
    jetson = sensors(KINDS["orin-nano"], tmp_path)
    zone = tmp_path / "sys/class/thermal/thermal_zone2/temp"
    assert zone.is_dir()
    jetson.set(cv_temperature=50.0)
    assert zone.read_text() == "50000\n"
    jetson.set(cv_temperature=None)
    assert zone.is_dir()


def test_a_shorter_text_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    write_in_place(tmp_path / "file", b"100000\n")
    write_in_place(tmp_path / "file", b"9\n")
    assert (tmp_path / "file").read_bytes() == b"9\n"


def test_an_entry_takes_the_place_of_one_of_another_kind(tmp_path: Path) -> None:
    for entry in (Folder(), "text\n", Link("elsewhere"), Link("file")):
        write_entry(tmp_path / "entry", entry)
    assert (tmp_path / "entry").readlink() == Path("file")
