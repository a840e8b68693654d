"""What a user may name a model by: a folder, a file, a factory, a demo or a hub id."""

from __future__ import annotations

import difflib
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slmdeploy.errors import ModelReadError, UsageError

__all__ = ["DEMO", "DEMO_EMBEDDING", "ModelRef", "RefKind", "parse_ref"]

RefKind = Literal["directory", "gguf", "hub", "demo", "factory", "program", "torchscript"]

DEMO = "demo"
DEMO_EMBEDDING = "demo-embedding"
_DEMOS = (DEMO, DEMO_EMBEDDING)
_FACTORY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:(?P<function>[A-Za-z_]\w*)")
_HUB_ID = re.compile(
    r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII
)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_FILES = (*_PICKLES, ".gguf", ".safetensors", ".json", ".pt2", ".onnx", ".tflite", ".pte")


@dataclass(frozen=True)
class ModelRef:
    """A model as it was named, before anything of it is read.

    Attributes:
        text: What the user wrote.
        kind: What that is; ``program`` is a ``.pt2`` file, ``factory`` a function that
            gives a module.
        path: The folder or file, where there is one.
        hub_id: ``org/name``, for ``hub``.
        name: A short name that can stand in a file name.
        revision: Branch, tag or commit on the hub; ``None`` for its default.
        allow_pickle: The user lets files be read that hold pickles.
        pooling: What the user says of an encoder's pooling.
        inputs: What the user says of example inputs.
        labelled: A file of labelled texts to hold a classifier against.
        lengths: Of the texts that an encoder shall take; empty for the target's.
    """

    text: str
    kind: RefKind
    path: Path | None
    hub_id: str | None
    name: str
    revision: str | None = None
    allow_pickle: bool = False
    pooling: str | None = None
    inputs: tuple[str, ...] = ()
    labelled: Path | None = None
    lengths: tuple[int, ...] = ()


def parse_ref(text: str) -> ModelRef:
    """Tell what a model's name stands for.

    What exists on the disk goes before a hub id of the same spelling, and ``demo`` is
    the demo model unless a folder of that name is written as ``./demo``.

    Args:
        text: A folder, a file (``.gguf``, ``.pt2`` or TorchScript), ``demo``,
            ``demo-embedding``, ``package.module:function``, or ``org/name[@revision]``.

    Raises:
        UsageError: It is none of these; the message says what was looked for.
        ModelReadError: It is a file of a kind that slmdeploy does not read.
    """
    if text in _DEMOS:
        return ModelRef(text, "demo", None, None, text)
    path = Path(text).expanduser()
    if text and path.is_dir():
        return ModelRef(text, "directory", path, None, _safe(path.resolve().name))
    if text and path.exists():
        return _file_ref(text, path)
    if (factory := _FACTORY.fullmatch(text)) is not None:
        return ModelRef(text, "factory", None, None, _safe(factory["function"]))
    match = _HUB_ID.fullmatch(text)
    if match is None or _looks_like_a_path(text):
        raise _not_found(text)
    hub_id = match["id"]
    return ModelRef(text, "hub", None, hub_id, _safe(hub_id.split("/")[1]), match["revision"])


def _file_ref(text: str, path: Path) -> ModelRef:
    if path.suffix.lower() == ".gguf":
        return ModelRef(text, "gguf", path, None, _safe(path.resolve().stem))
    if path.suffix == ".pt2":
        return ModelRef(text, "program", path, None, _safe(path.resolve().stem))
    if path.suffix in _PICKLES and _is_torchscript(path):
        return ModelRef(text, "torchscript", path, None, _safe(path.resolve().stem))
    if path.suffix == ".safetensors" or path.name == "config.json":
        hint = f"Name the folder that it is in: {path.parent}"
    elif path.suffix in _PICKLES:
        hint = "A pickle can run code when it is read. Convert it to safetensors first."
    else:
        hint = "A model is a folder with config.json and safetensors, or a .gguf or .pt2 file."
    raise ModelReadError(f"{path} is not a model that slmdeploy reads.", hint=hint)


def _is_torchscript(path: Path) -> bool:
    """Whether a zip file has TorchScript's code in it; nothing of it is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return any("/code/" in name for name in names)


def _looks_like_a_path(text: str) -> bool:
    path = text.partition("@")[0].lower()
    return path.startswith(("/", ".", "~")) or path.endswith(_FILES)


def _not_found(text: str) -> UsageError:
    if _looks_like_a_path(text) or text.count("/") > 1 or text.endswith("/"):
        path = Path(text).expanduser()
        near = _near(path.name, path.parent)
        return UsageError(
            f"There is no file or folder {text!r}.",
            hint=f"Did you mean {str(path.parent / near)!r}?" if near else None,
        )
    near = _near(text, Path())
    return UsageError(
        f"There is no model {text!r}: no folder or .gguf file of that name is in {Path.cwd()}, "
        "and it is not a hub id such as 'org/name'.",
        hint=f"Did you mean {near!r}?" if near else "The model 'demo' always exists.",
    )


def _near(name: str, folder: Path) -> str | None:
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()] + [
            entry.name for entry in folder.glob("*.gguf")
        ]
    except OSError:
        names = []
    found = difflib.get_close_matches(name, [*names, *_DEMOS], n=1)
    return found[0] if found else None


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
