"""Steps of an export that are kept, so that an interrupted one starts again from there.

A folder of the cache per export, named by a hash of everything that decides its result.
A file is written beside its place and renamed, so that what is there is whole.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import DiskSpaceError
from slmdeploy.export.artifact import Artifact
from slmdeploy.places import cache_dir

__all__ = ["Checkpoints", "checkpoints_for", "code_sha256"]


@dataclass(frozen=True)
class Checkpoints:
    """The kept steps of one export.

    Attributes:
        folder: Where they are.
    """

    folder: Path

    def path(self, name: str) -> Path:
        """Where a file is, or would be."""
        return self.folder / name

    def has(self, *names: str) -> bool:
        """Whether all these files or folders are there."""
        return all(self.path(name).exists() for name in names)

    def write(self, name: str, make: Callable[[Path], None]) -> Path:
        """Let ``make`` write a file or a folder, and give it its name when it is whole.

        Raises:
            DiskSpaceError: The disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.path(f"{name}.part-{os.getpid()}")
        try:
            make(part)
            if self.path(name).is_dir():
                shutil.rmtree(self.path(name))
            part.replace(self.path(name))
        except OSError as error:
            raise DiskSpaceError(
                f"{self.path(name)} cannot be written: {error.strerror}.",
                hint="Make room, or move the cache with SLMDEPLOY_CACHE_DIR.",
            ) from error
        finally:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)
        return self.path(name)

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a JSON document."""
        self.write(name, lambda path: _write_text(path, json.dumps(document)))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON document that was kept."""
        found: dict[str, Any] = json.loads(self.path(name).read_text(encoding="utf-8"))
        return found

    def write_arrays(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep arrays, without pickles."""

        def save(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)

        self.write(name, save)

    def read_arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Arrays that were kept."""
        with np.load(self.path(name), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    @contextmanager
    def forgotten_on(self, error: type[Exception]) -> Iterator[None]:
        """Forget all steps if this error comes: the next try must not start from them."""
        try:
            yield
        except error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def read_artifact(self, file: str) -> Artifact:
        """The artifact that was kept under this name, with ``artifact.json``."""
        document = {**self.read_json("artifact.json"), "path": self.path(file)}
        return Artifact.model_validate(document)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@functools.cache
def code_sha256() -> str:
    """A hash of the code that decides an export's result, so that a change of it starts anew."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for room in ("model", "compress", "export", "steps"):
        for path in sorted((package / room).rglob("*.py")):
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def checkpoints_for(decides: Mapping[str, Any]) -> Checkpoints:
    """The checkpoints of an export.

    Args:
        decides: All that its result depends on, as JSON values.
    """
    text = json.dumps(decides, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Checkpoints(cache_dir() / "exports" / digest[:24])
