from __future__ import annotations

import errno
import fcntl
import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from slmdeploy.errors import DiskSpaceError, HostError
from slmdeploy.runtime import once
from slmdeploy.runtime.once import make_once


def write(folder: Path) -> None:
    (folder / "file").write_text("whole")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []
    for _ in range(2):
        make_once(tmp_path / "deep" / "folder", made.append, "it")
    assert len(made) == 1
    assert names(tmp_path / "deep") == ["folder"]


def test_what_another_process_made_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, made = once._lock, list[Path]()

    def late(path: Path) -> AbstractContextManager[None]:
        monkeypatch.setattr(once, "_lock", lock)
        make_once(tmp_path / "folder", made.append, "it")  # done before we get the lock
        return lock(path)

    monkeypatch.setattr(once, "_lock", late)
    make_once(tmp_path / "folder", made.append, "it")
    assert len(made) == 1


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as other:
        with once._lock(tmp_path / "lock"), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_lacks_something_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "rest").touch()
    make_once(tmp_path / "folder", write, "it", whole=lambda folder: (folder / "file").is_file())
    assert names(tmp_path / "folder") == ["file"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fails(folder: Path) -> None:
        write(folder)
        raise error

    with pytest.raises(type(error)):
        make_once(tmp_path / "folder", fails, "it")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskSpaceError), (errno.EACCES, HostError)]
)
def test_a_disk_that_takes_no_files_is_told(
    tmp_path: Path, number: int, kind: type[HostError]
) -> None:
    def fails(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=r"the runner") as caught:
        make_once(tmp_path / "folder", fails, "the runner")
    assert type(caught.value) is kind
