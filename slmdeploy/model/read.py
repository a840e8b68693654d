"""From a model's name to a model: the one door of this room."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.errors import UsageError
from slmdeploy.model.directory import read_directory
from slmdeploy.model.gguf import read_gguf
from slmdeploy.model.model import Model
from slmdeploy.model.ref import DEMO_EMBEDDING, ModelRef
from slmdeploy.progress import Progress, silent

__all__ = ["Model", "read_model"]


def read_model(ref: ModelRef, *, fetch: bool = False, progress: Progress = silent) -> Model:
    """Find a model and read everything of it but the values of its weights.

    Args:
        ref: What ``parse_ref`` made of its name.
        fetch: Download it where it is not on this computer yet.
        progress: Is told of a download.

    Raises:
        ModelReadError: It cannot be read; the message names the file and what is wrong.
        UnsupportedModelError: Its architecture is not one we have.
        TokenizerError: Its tokenizer is damaged or is another model's.
        OfflineError: It is not on this computer, and ``fetch`` was not asked for or
            failed.
        DiskSpaceError: There is no room for the download.
        MissingExtraError: A package that reads it is not installed.
    """
    if ref.kind == "demo":
        return _demo(ref, fetch=fetch, progress=progress)
    if ref.kind in ("factory", "program", "torchscript"):
        from slmdeploy.model.modules import read_module

        return read_module(ref)
    if ref.kind == "hub":
        return read_directory(ref, _hub(ref, fetch=fetch, progress=progress))
    if ref.path is None:
        raise UsageError(f"The model {ref.text!r} has no path.")
    return read_gguf(ref, ref.path) if ref.kind == "gguf" else read_directory(ref, ref.path)


def _demo(ref: ModelRef, *, fetch: bool, progress: Progress) -> Model:
    from slmdeploy.model.fetch import demo_path, fetch_demo
    from slmdeploy.model.fetch_embedding import demo_embedding_path, fetch_demo_embedding

    if ref.text == DEMO_EMBEDDING:
        folder = fetch_demo_embedding(progress=progress) if fetch else demo_embedding_path()
        return read_directory(ref, folder)
    return read_gguf(ref, fetch_demo(progress=progress) if fetch else demo_path())


def _hub(ref: ModelRef, *, fetch: bool, progress: Progress) -> Path:
    from slmdeploy.model.hub import fetch_hub, hub_path

    hub_id = ref.hub_id or ref.text
    if fetch:
        return fetch_hub(hub_id, ref.revision, progress=progress)
    return hub_path(hub_id, ref.revision)
