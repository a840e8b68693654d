"""Facts: a command and a pure parser each.

The outputs of Debian were recorded there; those of the boards follow the documented
layouts (field names of ``/proc``, part numbers of Arm), shortened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device import facts
from slmdeploy.errors import ConnectError
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport

DF_DEBIAN = """\
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/vda         264212084 26170616  80220296      25% /
"""
DF_OVERLAY = """\
Filesystem 1024-blocks Used Available Capacity Mounted on
my disk 100 40 60 40% /media/my disk
"""
DF_UNKNOWN_CAPACITY = """\
Filesystem 1024-blocks Used Available Capacity Mounted on
proc 0 0 0 - /proc
"""
MEMINFO = """\
MemTotal:        8255932 kB
MemFree:         6012345 kB
MemAvailable:    7301234 kB
CmaTotal:          65536 kB
HugePages_Total:       0
"""
CPUINFO_PI5 = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes atomics asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

processor\t: 1
Features\t: fp asimd evtstrm aes atomics asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Revision\t: c04170
Serial\t\t: 0123456789abcdef
Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
CPUINFO_X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Processor @ 2.60GHz
flags\t\t: fpu vme avx2 avx512f

processor\t: 1
model name\t: Intel(R) Xeon(R) Processor @ 2.60GHz
flags\t\t: fpu vme avx2 avx512f
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("glibc 2.36\n", (2, 36)),
        ("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36\nCopyright (C) 2022\n", (2, 36)),
        ("ldd (Ubuntu GLIBC 2.31-0ubuntu9.9) 2.31\n", (2, 31)),
        ("ldd (GNU libc) 2.17\n", (2, 17)),
    ],
)
def test_glibc(text: str, version: tuple[int, int]):
    assert facts.parse_glibc(text) == version


@pytest.mark.parametrize("text", ["", "musl libc (aarch64)\nVersion 1.2.4\n", "BusyBox v1.36"])
def test_no_glibc_has_a_reason(text: str):
    with pytest.raises(ValueError, match="glibc"):
        facts.parse_glibc(text)


@pytest.mark.parametrize(
    ("text", "kib"), [(DF_DEBIAN, 80220296), (DF_OVERLAY, 60), (DF_UNKNOWN_CAPACITY, 0)]
)
def test_free_disk(text: str, kib: int):
    assert facts.parse_df(text) == kib * 1024


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_any_row_of_df(total: int, used: int, free: int):
    row = f"/dev/mmcblk0p2 {total} {used} {free} 7% /"
    assert facts.parse_df(f"Filesystem ...\n{row}\n") == free * 1024


@pytest.mark.parametrize("text", ["", "df: no such file\n", "Filesystem\n"])
def test_no_row_of_df_is_no_zero(text: str):
    with pytest.raises(ValueError, match="no free space"):
        facts.parse_df(text)


def test_memory():
    assert facts.parse_memory(MEMINFO) == facts.Memory(8255932 * 1024, 7301234 * 1024)


def test_memory_of_an_old_kernel_has_a_reason():
    with pytest.raises(ValueError, match="MemAvailable"):
        facts.parse_memory("MemTotal: 100 kB\nMemFree: 50 kB\n")


def test_the_processor_of_a_pi():
    cpu = facts.parse_cpu(CPUINFO_PI5)
    assert (cpu.count, cpu.model) == (2, "Cortex-A76")
    assert "asimddp" in cpu.features


def test_the_processor_of_a_pc():
    cpu = facts.parse_cpu(CPUINFO_X86)
    assert (cpu.count, cpu.model) == (2, "Intel(R) Xeon(R) Processor @ 2.60GHz")
    assert cpu.features == ("avx2", "avx512f", "fpu", "vme")


def test_big_and_little_cores_are_both_named():
    text = "".join(
        f"processor\t: {index}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n"
        for index, part in enumerate(["0xd05", "0xd05", "0xd0b"])
    )
    assert facts.parse_cpu(text).model == "Cortex-A55 + Cortex-A76"


def test_an_unknown_core_keeps_its_numbers():
    text = "processor\t: 0\nCPU implementer\t: 0x61\nCPU part\t: 0x022\n"
    assert facts.parse_cpu(text).model == "implementer 0x61 part 0x022"


def test_a_processor_without_a_name_is_none_and_not_a_guess():
    assert facts.parse_cpu("processor\t: 0\n").model is None


@pytest.mark.parametrize("text", ["", "Hardware\t: BCM2835\n", "CPU part\t: soon\n"])
def test_no_processor_has_a_reason(text: str):
    with pytest.raises(ValueError, match="no processor"):
        facts.parse_cpu(text)


def test_the_model_of_a_board_ends_in_nul():
    assert facts.parse_board_model("Raspberry Pi 5 Model B Rev 1.0\0") == (
        "Raspberry Pi 5 Model B Rev 1.0"
    )


@pytest.mark.parametrize(
    "parse",
    [
        facts.parse_line,
        facts.parse_board_model,
        facts.parse_glibc,
        facts.parse_df,
        facts.parse_memory,
        facts.parse_cpu,
    ],
)
@given(text=st.text(max_size=300))
def test_parsers_refuse_rubbish_in_one_way_only(parse: Callable[[str], object], text: str):
    with contextlib.suppress(ValueError):
        parse(text)


def test_a_command_that_fails_is_a_reason(tmp_path: Path):
    fake = FakeTransport(tmp_path, handler=lambda _: Result(1, "", "cat: no such file\n"))
    reading = facts.read_fact(fake, facts.BOARD_MODEL)
    assert reading == facts.Reading(None, "cat /proc/device-tree/model: cat: no such file")


def test_an_output_that_cannot_be_read_is_a_reason(tmp_path: Path):
    fake = FakeTransport(tmp_path, handler=lambda _: Result(0, "musl libc\n", ""))
    assert facts.read_fact(fake, facts.GLIBC).reason == "the board has musl, not glibc"


def test_a_device_that_is_away_is_an_error_and_not_a_reason(tmp_path: Path):
    fake = FakeTransport(tmp_path)
    fake.faults.away = True
    with pytest.raises(ConnectError):
        facts.read_fact(fake, facts.KERNEL)


def test_this_computer_tells_its_own(tmp_path: Path):
    here = LocalTransport(root=tmp_path)
    for fact in (
        facts.ARCHITECTURE,
        facts.KERNEL,
        facts.MEMORY,
        facts.CPU,
        facts.disk_free(str(tmp_path)),
    ):
        assert facts.read_fact(here, fact).value is not None
