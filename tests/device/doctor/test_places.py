"""Where things go on a board: mounts, disk, swap, our folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.doctor.places import (
    Mount,
    Swap,
    parse_disk,
    parse_home,
    parse_mount,
    parse_swaps,
)

MOUNTS = r"""
/dev/mmcblk0p2 / ext4 rw,noatime 0 0
tmpfs /home tmpfs rw 0 0
/dev/sda1 /home/my\040disk vfat rw,noexec 0 0
/dev/sdb1 /home ext4 ro,relatime 0 0
"""
RECORD = (
    '{"schema": "slmdeploy/runtime/1", "name": "litert", "version": "2.3.0", "folder": '
    '"litert/0123456789ab", "python": "/usr/bin/python3", "python_version": "3.11.2", '
    '"python_path": ["litert/0123456789ab"], "numpy": "1.24.2", "numpy_brought": false}'
)


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/srv", Mount("/", "ext4", ("rw", "noatime"))),
        ("/home/my disk/x", Mount("/home/my disk", "vfat", ("rw", "noexec"))),
        ("/home/lab", Mount("/home", "ext4", ("ro", "relatime"))),  # the later hides the first
        ("/homes", Mount("/", "ext4", ("rw", "noatime"))),
    ],
)
def test_the_mount_that_holds_a_path(path: str, mount: Mount):
    assert parse_mount(MOUNTS, path) == mount


def test_disk_and_where_it_is_mounted():
    text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/a 9 4 5 44% /my disk\n"
    disk = parse_disk(text)
    assert (disk.point, disk.free_bytes) == ("/my disk", 5 * 1024)


def test_swap_areas():
    text = "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0  partition\t100\t\t7\t\t5\n"
    assert parse_swaps(text) == (Swap("/dev/zram0", 100 * 1024, 7 * 1024),)
    assert parse_swaps("Filename\tType\tSize\tUsed\tPriority\n") == ()


def test_our_folder_and_what_is_in_it():
    home = parse_home(
        "ours /home/lab/.slmdeploy\nread-only /home/lab\nblob abc\n"
        f"folder litert/0123456789ab\nfolder executorch/ffff\nrecord {RECORD}\n"
    )
    assert (home.path, home.near, home.writable) == ("/home/lab/.slmdeploy", "/home/lab", False)
    assert home.blobs == {"abc"}
    assert home.has_runtime("executorch")
    assert not home.has_runtime("tflite-runtime")
    assert [(runtime.name, runtime.version) for runtime in home.ready] == [("litert", "2.3.0")]


def test_settings_that_were_left_changed():
    home = "ours /home/lab/.slmdeploy\nwritable /home/lab/.slmdeploy\n"
    saved = "saved t0ken eve@lab (process 7)\nsaved mode\t-\t1\n"
    changed = parse_home(home + saved).changed
    assert changed is not None
    assert (changed.owner, changed.rows) == ("eve@lab (process 7)", (("mode", "-", "1"),))
    assert parse_home(home).changed is None


@pytest.mark.parametrize(
    "parse",
    [
        parse_disk,
        parse_home,
        parse_swaps,
        lambda text: parse_mount(text, "/home"),
    ],
)
@given(text=st.text(max_size=200))
def test_parsers_refuse_rubbish_in_one_way_only(parse: Callable[[str], object], text: str):
    with contextlib.suppress(ValueError):
        parse(text)
