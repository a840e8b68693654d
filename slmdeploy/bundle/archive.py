"""A bundle as one file, to be carried elsewhere.

An uncompressed tar: quantized weights do not get smaller. It holds exactly the files
of the manifest, in a fixed order and without times or owners, so that the same bundle
gives the same archive.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from slmdeploy.bundle.folder import read_manifest
from slmdeploy.bundle.manifest import MANIFEST_NAME, FileInfo, Manifest
from slmdeploy.errors import BundleError, DiskSpaceError, HostError

__all__ = ["ARCHIVE_SUFFIX", "pack", "unpack"]

ARCHIVE_SUFFIX = ".slmbundle.tar"


def pack(bundle: Path, archive: Path | None = None, *, force: bool = False) -> Path:
    """Write a bundle as one file.

    Args:
        bundle: The bundle's folder.
        archive: The file; by default beside the folder, as ``<name>.slmbundle.tar``.
        force: Write over a file that is there.

    Raises:
        BundleError: The folder is no bundle, lacks a file, or the archive is there.
        HostError: The archive cannot be written.
    """
    manifest = read_manifest(bundle)
    target = archive or bundle.resolve().with_name(bundle.resolve().name + ARCHIVE_SUFFIX)
    if target.exists() and not force:
        raise BundleError(f"{target} is there already.", hint="Write over it with --force.")
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
            for name in (MANIFEST_NAME, *sorted(manifest.files)):
                _add(tar, bundle, name)
        part.replace(target)
    except OSError as error:
        raise HostError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def unpack(archive: Path, output: Path) -> Path:
    """Make a bundle's folder of an archive; every file is checked against its sha256.

    Args:
        archive: What ``pack`` wrote.
        output: Folder that the bundle's folder is made in.

    Returns:
        The bundle's folder, named as the archive's manifest says.

    Raises:
        BundleError: It is no archive of a bundle, is damaged, or the folder is there.
        DiskSpaceError: There is not enough room.
        HostError: The folder cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        _require_space(archive, output)
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=output) as scratch:
            return _unpack(archive, Path(scratch) / "bundle", output)
    except OSError as error:
        raise HostError(f"{archive} cannot be unpacked: {error.strerror or error}.") from error


def _unpack(archive: Path, made: Path, output: Path) -> Path:
    try:
        with tarfile.open(archive, "r:") as tar:
            tar.extractall(made, filter="data")
    except tarfile.TarError as error:
        raise BundleError(f"{archive} is not an archive of a bundle: {error}.") from error
    manifest = read_manifest(made)
    for name, info in manifest.files.items():
        _check(made, name, info, archive)
    _forbid_others(made, manifest, archive)
    folder = output / _folder_name(manifest, archive)
    if folder.exists():
        raise BundleError(f"{folder} is there already.", hint="Remove it, or choose --output.")
    made.replace(folder)
    return folder


def _add(tar: tarfile.TarFile, bundle: Path, name: str) -> None:
    path = bundle / _inside(name)
    if not path.is_file():
        raise BundleError(f"{bundle} lacks {name!r}, which its manifest names.")
    info = tarfile.TarInfo(name)
    info.size = path.stat().st_size
    info.mode = 0o644
    with path.open("rb") as stream:
        tar.addfile(info, stream)


def _check(folder: Path, name: str, info: FileInfo, archive: Path) -> None:
    path = folder / _inside(name)
    if not path.is_file():
        raise BundleError(f"{archive} lacks {name!r}, which its manifest names.")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != info.sha256:
        raise BundleError(
            f"{archive} is damaged: {name!r} has sha256 {found}, its manifest says {info.sha256}."
        )


def _forbid_others(folder: Path, manifest: Manifest, archive: Path) -> None:
    known = {MANIFEST_NAME, *manifest.files}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in known:
            raise BundleError(f"{archive} holds {name!r}, which its manifest does not name.")


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BundleError(f"The manifest names {name!r}, which lies outside of the bundle.")
    return path


def _folder_name(manifest: Manifest, archive: Path) -> str:
    name = manifest.name
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise BundleError(f"{archive}: {name!r} cannot be the name of a bundle.")
    return name


def _require_space(archive: Path, output: Path) -> None:
    needed, free = archive.stat().st_size, shutil.disk_usage(output).free
    if needed > free:
        raise DiskSpaceError(f"{output} has {free} bytes free, and {archive} needs {needed}.")
