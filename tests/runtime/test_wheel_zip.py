from __future__ import annotations

import errno
import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmdeploy.errors import OfflineError
from slmdeploy.runtime.wheel_zip import unpack
from tests.runtime.pips import wheel_of


def everything(name: str) -> bool:
    return True


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return tmp_path / "some-1.0-py3-none-any.whl"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


def test_only_what_is_wanted_is_taken(wheel: Path, into: Path) -> None:
    wheel.write_bytes(wheel_of({"a/b.py": "b", "a/c.so": "c", "a/": ""}))
    assert unpack(wheel, lambda name: name.endswith(".py"), into) == ("a/b.py",)
    assert files(into) == ["a/b.py"]


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/out", "a\\..\\out", "a\nb", "C:\\out"])
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(
    wheel: Path, into: Path, name: str
) -> None:
    wheel.write_bytes(wheel_of({"fine": "fine", name: "bad"}))
    with pytest.raises(OfflineError, match="damaged"):
        unpack(wheel, everything, into)
    assert files(wheel.parent) == [wheel.name]


def test_a_name_that_ends_early_is_refused(wheel: Path, into: Path) -> None:
    wheel.write_bytes(wheel_of({"x.py_y": "print()"}).replace(b"x.py_y", b"x.py\0y"))
    with pytest.raises(OfflineError, match="damaged"):
        unpack(wheel, everything, into)


def test_a_full_disk_is_not_taken_for_a_damaged_wheel(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    wheel.write_bytes(wheel_of({"a": "a"}))
    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    with pytest.raises(OSError, match="No space"):
        unpack(wheel, everything, into)


def test_a_link_is_refused(wheel: Path, into: Path) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(OfflineError, match="link"):
        unpack(wheel, everything, into)


def test_a_bomb_is_refused_before_anything_is_written(wheel: Path, into: Path) -> None:
    wheel.write_bytes(wheel_of({"a": "x" * 600, "b": "x" * 600}))
    with pytest.raises(OfflineError, match="1200 bytes"):
        unpack(wheel, everything, into, most_bytes=1000)
    assert files(into) == []


def test_a_member_that_was_changed_is_found_by_its_checksum(wheel: Path, into: Path) -> None:
    wheel.write_bytes(wheel_of({"a": "contents"}).replace(b"contents", b"Contents"))
    with pytest.raises(OfflineError, match="damaged"):
        unpack(wheel, everything, into)


def test_a_wheel_with_a_password_is_refused(wheel: Path, into: Path) -> None:
    data = bytearray(wheel_of({"a": "contents"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    wheel.write_bytes(data)
    with pytest.raises(OfflineError, match="password"):
        unpack(wheel, everything, into)


WHOLE = wheel_of({"a/b.py": "print()\n" * 20, "a/c.py": "", "a.dist-info/RECORD": "a/b.py,,\n"})
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@relaxed
@given(st.binary(max_size=200))
def test_junk_is_refused_in_our_words(wheel: Path, into: Path, junk: bytes) -> None:
    wheel.write_bytes(junk)
    with pytest.raises(OfflineError, match="damaged"):
        unpack(wheel, everything, into)


@relaxed
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_ends_in_another_error_or_outside(
    wheel: Path, into: Path, at: int, change: int
) -> None:
    data = bytearray(WHOLE)
    data[at] ^= change
    wheel.write_bytes(data)
    try:
        taken = unpack(wheel, everything, into)
    except OfflineError:
        return
    assert {(into / name).resolve().is_relative_to(into.resolve()) for name in taken} <= {True}


@relaxed
@given(st.integers(0, len(WHOLE) - 1))
def test_a_wheel_that_was_cut_off_is_refused(wheel: Path, into: Path, end: int) -> None:
    wheel.write_bytes(WHOLE[:end])
    with pytest.raises(OfflineError, match="damaged"):
        unpack(wheel, everything, into)


def test_the_smallest_zip_has_nothing_to_take(wheel: Path, into: Path) -> None:
    with zipfile.ZipFile(out := io.BytesIO(), "w"):
        pass
    wheel.write_bytes(out.getvalue())
    assert unpack(wheel, everything, into) == ()
