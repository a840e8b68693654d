"""Tier B: boards that answer as boards do, and fail as boards do."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import pytest

from slmdeploy.device.connect import connect
from tests.boards.emulated import OwnBoard, running_board
from tests.boards.emulated_board import EmulatedBoard

pytestmark = pytest.mark.board

ROOT = Path(__file__).resolve().parent.parent.parent
BOOT_ONE = """
import sys
from tests.boards.emulated_board import EmulatedBoard
from tests.boards.kinds import KINDS
board = EmulatedBoard(KINDS["rpi4"], name="orphan")
board.boot()
print(board._init, flush=True)
sys.stdin.read()
"""
GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
ZONE = "/sys/class/thermal/thermal_zone0/temp"


@pytest.fixture(scope="module")
def mended() -> Iterator[EmulatedBoard]:
    """A board for tests that break it and mend it again."""
    with running_board("rpi5", name="mended") as board:
        yield board


def say(board: EmulatedBoard, *argv: str) -> str:
    """What a command prints on the board, for the user that slmdeploy logs in."""
    with closing(connect(board.device())) as transport:
        done = transport.run(argv)
    return (done.stdout + done.stderr).strip()


def shell(board: EmulatedBoard, script: str) -> str:
    return say(board, "sh", "-c", script)


def _need_isolation(board: EmulatedBoard) -> None:
    if not board.isolated:
        pytest.skip("a board under PRoot has no name and no root of its own")


def test_a_board_is_an_aarch64_computer_with_a_name_and_a_kernel_of_its_own(
    rpi5: EmulatedBoard,
) -> None:
    _need_isolation(rpi5)
    assert say(rpi5, "uname", "-mnr") == "rpi5 6.6.51+rpt-rpi-2712 aarch64"


def test_a_board_shows_its_own_processors(rpi5: EmulatedBoard) -> None:
    assert "CPU part\t: 0xd0b" in say(rpi5, "cat", "/proc/cpuinfo")
    assert say(rpi5, "cat", "/sys/devices/system/cpu/present") == "0-3"


def test_sensors_change_while_a_board_runs(rpi5: EmulatedBoard) -> None:
    script = f"cat {ZONE}; vcgencmd measure_temp; vcgencmd get_throttled"
    before = dict(rpi5.sensors.values)
    rpi5.set(temperature=82.5, throttled=0x50005)
    try:
        assert shell(rpi5, script).splitlines() == ["82500", "temp=82.5'C", "throttled=0x50005"]
    finally:
        rpi5.set(**before)
    assert shell(rpi5, script).splitlines() == ["48900", "temp=48.9'C", "throttled=0x0"]


def test_a_value_that_a_kind_does_not_have_is_refused(rpi5: EmulatedBoard) -> None:
    with pytest.raises(KeyError, match="gpu_load"):
        rpi5.set(gpu_load=3)


def test_the_user_changes_the_governor_only_as_root(rpi5: EmulatedBoard) -> None:
    _need_isolation(rpi5)
    assert "Permission denied" in shell(rpi5, f"echo performance > {GOVERNOR}")
    script = f'sudo -n sh -c "echo performance > {GOVERNOR}"; cat {GOVERNOR}'
    try:
        assert shell(rpi5, script) == "performance"
    finally:
        rpi5.set(governor="ondemand")
    assert say(rpi5, "cat", GOVERNOR) == "ondemand"


def test_where_sudo_is_refused_it_asks_for_a_password(own_board: OwnBoard) -> None:
    board = own_board("rpi5", sudo=False)
    assert "password" in say(board, "sudo", "-n", "true")


def test_a_raspberry_pi_4_measures_no_current(rpi4: EmulatedBoard) -> None:
    said = say(rpi4, "vcgencmd", "pmic_read_adc")
    assert said == 'error=1 error_msg="Command not registered"'


def test_a_jetson_tells_its_power_by_rail(orin_nano: EmulatedBoard) -> None:
    script = "grep . /sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon*/*1_input"
    rows = shell(orin_nano, script).splitlines()
    assert [row.rpartition("/")[2] for row in rows] == ["curr1_input:1008", "in1_input:4944"]


def test_a_jetson_changes_its_power_mode_as_root(own_board: OwnBoard) -> None:
    board = own_board("agx-orin")
    assert "privilege" in say(board, "nvpmodel", "-m", "0")
    assert shell(board, "sudo -n nvpmodel -m 0; nvpmodel -q") == "NV Power Mode: MAXN\n0"


def test_a_powered_down_zone_cannot_be_read(agx_orin: EmulatedBoard) -> None:
    assert say(agx_orin, "cat", "/sys/class/thermal/thermal_zone2/type") == "cv0-thermal"
    assert "directory" in say(agx_orin, "cat", "/sys/class/thermal/thermal_zone2/temp")


def test_python_and_numpy_are_there(rpi5: EmulatedBoard) -> None:
    script = "import numpy, platform; print(numpy.arange(4).sum(), platform.machine())"
    assert say(rpi5, "python3", "-c", script) == "6 aarch64"


def test_files_stay_over_a_power_cut_and_processes_do_not(own_board: OwnBoard) -> None:
    board = own_board("rpi5")
    shell(board, "echo kept > kept; echo gone > /tmp/gone; setsid sleep 600 > /dev/null 2>&1 &")
    boot = say(board, "cat", "/proc/sys/kernel/random/boot_id")
    board.power_cycle()
    assert shell(board, "cat kept; ls /tmp; pgrep sleep") == "kept"
    assert say(board, "cat", "/proc/sys/kernel/random/boot_id") != boot
    assert float(say(board, "cat", "/proc/uptime").split()[0]) < 60


def test_a_pulled_cable_is_silence(mended: EmulatedBoard) -> None:
    address = (mended.address, mended.port)
    with socket.create_connection(address) as open_one:
        open_one.settimeout(30)
        open_one.recv(100)
        open_one.settimeout(0.2)
        mended.unplug()
        with pytest.raises(TimeoutError):
            open_one.recv(100)
        mended.plug()
    assert say(mended, "echo", "back") == "back"


def test_two_boards_have_addresses_of_their_own(own_board: OwnBoard) -> None:
    one, two = own_board("rpi5", name="one"), own_board("rpi4", name="two")
    assert one.address != two.address
    assert [say(board, "hostname") for board in (one, two)] == ["one", "two"]


def test_a_stopped_sshd_refuses_and_a_hanging_one_says_nothing(mended: EmulatedBoard) -> None:
    address = (mended.address, mended.port)
    mended.stop_sshd()
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address).close()
    finally:
        mended.start_sshd()
    mended.hang_sshd()
    with socket.create_connection(address) as hanging:
        hanging.settimeout(0.2)
        with pytest.raises(TimeoutError):
            hanging.recv(100)
    mended.unhang_sshd()
    mended.wait_for_sshd()


def test_a_program_that_wants_too_much_memory_is_killed_and_the_board_lives(
    mended: EmulatedBoard,
) -> None:
    if not mended.can_limit_memory:
        pytest.skip("this computer lets us limit no memory")
    mended.limit_memory(200 << 20)
    script = "python3 -c 'bytearray(500 << 20)' 2> /dev/null; echo $?"
    assert shell(mended, script).splitlines()[-1] == "137"
    mended.limit_memory(None)
    assert say(mended, "echo", "alive") == "alive"


def test_a_small_disk_gets_full(own_board: OwnBoard) -> None:
    board = own_board("rpi5", home_disk=8 << 20)
    assert "No space left on device" in shell(board, "dd if=/dev/zero of=much bs=1M count=9")
    assert shell(board, "rm much && echo room > little && cat little") == "room"


def test_a_home_folder_can_be_read_only(mended: EmulatedBoard) -> None:
    mended.make_home_read_only()
    assert "Read-only file system" in say(mended, "touch", "new")
    mended.make_home_writable()
    assert say(mended, "touch", "new") == ""


def test_a_clock_can_be_a_year_behind(mended: EmulatedBoard) -> None:
    year = int(say(mended, "date", "+%Y"))
    mended.set_clock(-365 * 86400)
    assert int(say(mended, "date", "+%Y")) == year - 1
    mended.set_clock(0)
    assert int(say(mended, "date", "+%Y")) == year


def test_a_reimaged_board_has_another_key(mended: EmulatedBoard) -> None:
    before = mended.host_key
    mended.change_host_key()
    scan = ["ssh-keyscan", "-t", "ed25519", mended.address]
    shown = subprocess.run(scan, capture_output=True, text=True, check=True).stdout
    assert before not in shown
    assert mended.host_key in shown


def test_nothing_is_left_of_a_board(own_board: OwnBoard) -> None:
    board = own_board("rpi5")
    folder, bridge = board.folder, board._slot.bridge
    assert bridge in dict(socket.if_nameindex()).values()
    board.down()
    assert bridge not in dict(socket.if_nameindex()).values()
    assert not folder.exists()


def test_a_board_ends_with_whoever_made_it(mended: EmulatedBoard) -> None:
    assert mended.is_on
    argv = [sys.executable, "-c", BOOT_ONE]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen(argv, stdin=PIPE, stdout=PIPE, text=True, env=environment)
    with owner:
        assert owner.stdout is not None
        first_process = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    ended, _, _ = select.select([first_process], [], [], 30)
    os.close(first_process)
    assert ended == [first_process]
