"""What a push would put on a device: which files, under which names, with which hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slmdeploy.bundle.folder import artifact_files
from slmdeploy.bundle.manifest import MANIFEST_NAME, Manifest
from slmdeploy.errors import BundleError, HostError
from slmdeploy.runtime.protocol import RunnerFiles

__all__ = ["Folder", "Item", "bundle_folder", "runner_folder", "runtime_folder"]

LICENSE = re.compile(r"(licen[cs]e|notice|copying)", re.IGNORECASE)
FILE_MODE = 0o644
PROGRAM_MODE = 0o755


@dataclass(frozen=True)
class Item:
    """A file and its place.

    Attributes:
        path: Relative to its folder on the device.
        source: On this computer.
        bytes: Its size.
        sha256: Of its content, hex.
        mode: Permissions on the device.
    """

    path: str
    source: Path
    bytes: int
    sha256: str
    mode: int


@dataclass(frozen=True)
class Folder:
    """A folder of the device, named by what is in it.

    Attributes:
        place: Relative to what slmdeploy owns there.
        digest: sha256 of the list of its files' paths and hashes, hex.
        items: Its files, by path.
    """

    place: str
    digest: str
    items: tuple[Item, ...]

    @property
    def parent(self) -> str:
        """The folder that its versions share, as in ``bundles/NAME``."""
        return self.place.rpartition("/")[0]


def bundle_folder(bundle_dir: Path, manifest: Manifest) -> Folder:
    """The part of a bundle that a board needs: artifact, manifest, licence.

    Golden vectors and the tokenizer stay here.

    Raises:
        BundleError: A file is missing, or has not the size that the manifest names; its
            content is looked at when it is sent.
    """
    # A manifest without its artifact is told by the file that is not there.
    paths = [*(artifact_files(manifest) or (manifest.artifact.file,)), MANIFEST_NAME]
    paths += [path for path in manifest.files if LICENSE.match(PurePosixPath(path).name)]
    items = [_bundle_item(bundle_dir, path, manifest) for path in dict.fromkeys(paths)]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", manifest.name).lstrip(".-") or "bundle"
    return _folder(f"bundles/{name}", items)


def runner_folder(files: Mapping[str, Path] | RunnerFiles) -> Folder:
    """A runner and its libraries; ExecuTorch's where only files are given.

    Raises:
        HostError: A file of the runner cannot be read.
    """
    if isinstance(files, RunnerFiles):
        return runtime_folder(files.name, files.files)
    return runtime_folder("executorch", files)


def runtime_folder(name: str, files: Mapping[str, Path]) -> Folder:
    """The files of a runtime, below ``runtimes/NAME``.

    Args:
        name: ``executorch``, ``litert``, ``tflite-runtime``.
        files: Path in the folder on the device, to the file on this computer.

    Raises:
        HostError: A file cannot be read.
    """
    try:
        items = [_item(path, source, PROGRAM_MODE) for path, source in files.items()]
    except OSError as error:
        raise HostError(
            f"A file of the runtime {name} cannot be read: {error}.",
            hint="Run: slmdeploy cache clean",
        ) from error
    return _folder(f"runtimes/{name}", items)


def _bundle_item(bundle_dir: Path, path: str, manifest: Manifest) -> Item:
    """A file of a bundle; what the manifest hashed is read only if it has to be sent."""
    source = bundle_dir / path
    known = manifest.files.get(path)
    try:
        if known is None:
            return _item(path, source, FILE_MODE)
        size = source.stat().st_size
    except OSError as error:
        raise BundleError(
            f"{bundle_dir} lacks {path!r}: {error.strerror or error}.",
            hint="Export it again, or copy the whole folder.",
        ) from error
    if size != known.bytes:
        raise BundleError(
            f"{source} is not the file that the manifest names: it has {size} bytes, "
            f"not {known.bytes}.",
            hint="Export it again: it was changed or damaged since.",
        )
    _refuse_name(path)
    return Item(path, source, size, known.sha256, FILE_MODE)


def _item(path: str, source: Path, mode: int) -> Item:
    _refuse_name(path)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Item(path, source, source.stat().st_size, digest, mode)


def _refuse_name(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not path.isprintable():
        raise BundleError(f"{path!r} cannot be the name of a file on a device.")


def _folder(parent: str, items: Iterable[Item]) -> Folder:
    ordered = tuple(sorted(items, key=lambda item: item.path))
    listing = "".join(f"{item.sha256} {item.mode:o} {item.path}\n" for item in ordered)
    digest = hashlib.sha256(listing.encode()).hexdigest()
    return Folder(f"{parent}/{digest[:12]}", digest, ordered)
