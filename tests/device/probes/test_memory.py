from __future__ import annotations

from slmdeploy.device.probes.memory import MEMORY, parse_memory
from slmdeploy.device.probes.process import PROCESS, parse_process
from slmdeploy.device.probes.types import Text

from .recorded import reasons, values

STATUS = """\
Name:\tslmd-runner
VmHWM:\t  123456 kB
VmRSS:\t  120000 kB
RssAnon:\t   20000 kB
RssFile:\t  100000 kB
VmSwap:\t      64 kB
"""
ROLLUP = "5590-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 120000 kB\nPss:              99000 kB\n"
STAT = "42 (slmd runner) R 1 42 42 0 -1 4194304 1289 0 7 0 120 30 0 0 20 0 4 0 298 0 0\n"


def test_memory_and_swap_of_a_board():
    known = values(MEMORY, "orin-nano")
    assert known["memory_total_bytes"] == 7802880 * 1024
    assert known["swap_total_bytes"] == 3901440 * 1024
    assert known["swap_used_bytes"] == 0.0
    assert known["zram_used_bytes"] == 0.0


def test_a_board_whose_swap_is_a_file_has_no_zram():
    assert reasons(MEMORY, "rpi5") == {"zram_used_bytes": "no swap area is zram"}


def test_what_lies_in_zram_is_summed():
    swaps = (
        "Filename\tType\tSize\tUsed\tPriority\n"
        "/dev/zram0                   partition\t3901440\t\t1000\t\t5\n"
        "/dev/zram1                   partition\t3901440\t\t24\t\t5\n"
        "/var/swap                    file\t204784\t\t9\t\t-2\n"
    )
    found = {one.quantity: one.value for one in parse_memory({"/proc/swaps": Text(swaps)})}
    assert found["zram_used_bytes"] == 1024 * 1024


def test_the_watched_process_has_its_peak_its_parts_and_its_faults():
    texts = {
        "/proc/{pid}/status": Text(STATUS),
        "/proc/{pid}/smaps_rollup": Text(ROLLUP),
        "/proc/{pid}/stat": Text(STAT),
    }
    assert {one.quantity: one.value for one in parse_process(texts)} == {
        "process_peak_rss_bytes": 123456 * 1024,
        "process_anon_bytes": 20000 * 1024,
        "process_file_bytes": 100000 * 1024,
        "process_swap_bytes": 64 * 1024,
        "process_pss_bytes": 99000 * 1024,
        "process_major_faults": 7.0,
    }


def test_a_process_of_another_user_hides_its_pages():
    found = parse_process({"/proc/{pid}/smaps_rollup": Text(None, "Permission denied")})
    reason = {one.quantity: one.reason for one in found}
    assert reason["process_pss_bytes"] == "Permission denied"


def test_a_process_was_read_on_every_board():
    for board in ("rpi4", "rpi5", "orin-nano", "agx-orin"):
        known = values(PROCESS, board)
        assert isinstance(known["process_pss_bytes"], float), board
        assert known["process_major_faults"] is not None
