"""A bundle's folder: opened and checked, and put in its place whole or not at all.

Nothing here imports torch.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from slmdeploy.bundle.manifest import MANIFEST_NAME, MANIFEST_VERSION, FileInfo, Manifest
from slmdeploy.errors import BundleError, DiskSpaceError, HostError, TokenizerError

if TYPE_CHECKING:
    import numpy as np

    from slmdeploy.model.tokenizer import Tokenizer

__all__ = [
    "Bundle",
    "artifact_files",
    "file_table",
    "finish",
    "open_bundle",
    "read_manifest",
    "tree_bytes",
    "tree_sha256",
]

_PART = MANIFEST_NAME + ".part"
_EXPORT_AGAIN = "Export it again, or copy the whole folder."


@dataclass(frozen=True)
class Bundle:
    """A bundle on this computer.

    Attributes:
        path: The folder.
        manifest: What its ``manifest.json`` says.
    """

    path: Path
    manifest: Manifest

    @property
    def artifact_path(self) -> Path:
        """The runtime's file, or its folder."""
        return self.path / self.manifest.artifact.file

    def tokenizer(self) -> Tokenizer | None:
        """The model's tokenizer; ``None`` where ``manifest.tokenizer_reason`` says why.

        Raises:
            BundleError: Its files are damaged.
        """
        from slmdeploy.model.tokenizer import Tokenizer

        info = self.manifest.tokenizer
        if info is None:
            return None
        try:
            return Tokenizer.from_directory((self.path / info.file).parent)
        except TokenizerError as error:
            raise BundleError(
                f"The tokenizer of {self.path} cannot be read: {error.message}", hint=_EXPORT_AGAIN
            ) from error

    def golden(self) -> dict[str, np.ndarray[Any, Any]]:
        """The golden vectors by name (see ``GoldenInfo``); empty where none were kept.

        Raises:
            BundleError: The file is damaged, or holds anything but plain arrays.
        """
        import zipfile

        import numpy as np

        info = self.manifest.golden
        if info is None:
            return {}
        try:
            with (
                (self.path / info.file).open("rb") as file,
                np.load(file, allow_pickle=False) as arrays,
            ):
                return dict(arrays)
        # Objects in it would be pickles; a file that is no .npz may give a bare array.
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"{self.path / info.file} is not an .npz file of plain arrays.",
                hint=_EXPORT_AGAIN,
            ) from error


def open_bundle(path: Path, *, verify: bool = False) -> Bundle:
    """Open a bundle; every file that its manifest names must be there in its size.

    Args:
        path: The folder.
        verify: Hold every file against its sha256 too, which reads them all.

    Raises:
        BundleError: The folder is no bundle, was made by a newer slmdeploy, or a file
            is missing or is not the one that the manifest names.
    """
    with suppress(OSError):  # what cannot be put back is reported as missing below
        _put_back(path)
    bundle = Bundle(path, read_manifest(path))
    files = bundle.manifest.files
    if not artifact_files(bundle.manifest):
        raise BundleError(
            f"{path / MANIFEST_NAME} does not list its artifact "
            f"{bundle.manifest.artifact.file!r} among its files.",
            hint=_EXPORT_AGAIN,
        )
    for name, info in files.items():
        _check(path, name, info, verify=verify)
    return bundle


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json``, of this version or an older one.

    Raises:
        BundleError: There is none, it is of a newer version, or is not right.
    """
    path = folder / MANIFEST_NAME
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST_NAME}.",
            hint="Make one with: slmdeploy export MODEL --target TARGET",
        ) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # not JSON, or not even text
        raise BundleError(f"{path} is not JSON: {error}.", hint=_EXPORT_AGAIN) from error
    version = document.get("version") if isinstance(document, dict) else None
    if type(version) is int and version > MANIFEST_VERSION:
        raise BundleError(
            f"{path} has version {version}; this slmdeploy reads up to {MANIFEST_VERSION}.",
            hint="Update slmdeploy, or export the model again with this one.",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise BundleError(f"{path}: {where}: {first['msg']}.", hint=_EXPORT_AGAIN) from error


def artifact_files(manifest: Manifest) -> tuple[str, ...]:
    """The artifact's files among those of the manifest: of a folder all that is in it."""
    file = manifest.artifact.file
    return tuple(name for name in manifest.files if name == file or name.startswith(f"{file}/"))


def tree_bytes(path: Path) -> int:
    """Size of a file, or of all files of a folder."""
    return sum(one.stat().st_size for one in _tree(path))


def tree_sha256(path: Path) -> str:
    """sha256 of a file; of a folder that of its files' hashes and paths, a line each."""
    if path.is_file():
        return _sha256(path)
    lines = [f"{_sha256(one)}  {one.relative_to(path).as_posix()}\n" for one in _tree(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _tree(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())


def file_table(folder: Path) -> dict[str, FileInfo]:
    """Every file under a folder but the manifest, by its path in it (``/`` between).

    Raises:
        BundleError: There is a link among them, which would lead out of the bundle.
        HostError: A file cannot be read.
    """
    table = {}
    with _translated(folder):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise BundleError(f"{path} is a link; a bundle holds plain files only.")
            if path.is_file() and name not in (MANIFEST_NAME, _PART):
                table[name] = FileInfo(bytes=path.stat().st_size, sha256=_sha256(path))
    return table


def finish(manifest: Manifest, staging: Path, final: Path) -> Bundle:
    """Turn a staged folder into a bundle at its place, in the room of an older one.

    Whatever stops this leaves the old bundle or the new one. Between two renames the old
    one stands aside under a hidden name; if the process is killed just there, the next
    ``open_bundle`` or ``finish`` puts it back.

    Args:
        manifest: All of it but ``files``, which are taken from the staged folder.
        staging: Holds every file; on the file system of ``final``.
        final: The bundle's folder; may hold an older bundle.

    Raises:
        BundleError: ``final`` is there and is not a bundle.
        DiskSpaceError: There is no room for the manifest.
        HostError: A folder cannot be moved.
    """
    complete = manifest.model_copy(update={"files": file_table(staging)})
    with _translated(final):
        part = staging / _PART
        part.write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(staging / MANIFEST_NAME)
        _replace_folder(staging, final.resolve())
    return Bundle(final, complete)


def _replace_folder(staging: Path, final: Path) -> None:
    _put_back(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(final)
    if aside.exists():  # left when a process was killed after the new one was in place
        shutil.rmtree(aside)
    if not final.exists():
        staging.replace(final)
        return
    if not (final / MANIFEST_NAME).is_file() and (not final.is_dir() or any(final.iterdir())):
        raise BundleError(
            f"{final} is there and is not a bundle.", hint="Remove it, or choose --output."
        )
    final.replace(aside)
    try:
        staging.replace(final)
    except BaseException:
        aside.replace(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _aside(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")


def _put_back(final: Path) -> None:
    """Undo what a process that was killed between two renames left."""
    if not final.exists() and final.name and _aside(final).is_dir():
        _aside(final).replace(final)


def _check(folder: Path, name: str, info: FileInfo, *, verify: bool) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise BundleError(f"The manifest names {name!r}, which lies outside of the bundle.")
    path = folder / pure
    try:
        found = FileInfo(bytes=path.stat().st_size, sha256=_sha256(path) if verify else info.sha256)
    except OSError as error:
        raise BundleError(
            f"{folder} lacks {name!r}: {error.strerror or error}.", hint=_EXPORT_AGAIN
        ) from error
    if found.bytes != info.bytes:
        why = f"it has {found.bytes} bytes, not {info.bytes}"
    elif found.sha256 != info.sha256:
        why = f"its sha256 is {found.sha256}, not {info.sha256}"
    else:
        return
    raise BundleError(f"{path} is not the file that the manifest names: {why}.", hint=_EXPORT_AGAIN)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskSpaceError(f"There is no room left for {place}.") from error
        raise HostError(
            f"{place} cannot be written: {error.strerror or error}.",
            hint="Look at its permissions, or choose --output.",
        ) from error
