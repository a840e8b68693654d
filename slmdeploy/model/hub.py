"""Checkpoints from the Hugging Face hub, through ``huggingface_hub`` and its cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from slmdeploy.errors import MissingExtraError, ModelReadError, OfflineError
from slmdeploy.model.fetch import require_space
from slmdeploy.progress import Progress, Step, silent

__all__ = ["FILES", "fetch_hub", "hub_path"]

FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*")
"""What is fetched of a repository: no pickles, no code."""

_WEIGHTS = ".safetensors"
_HTTP_LIBRARIES = ("http", "requests", "urllib3")  # which one depends on the hub's version


def hub_path(hub_id: str, revision: str | None = None) -> Path:
    """The folder of a checkpoint that was fetched before.

    Raises:
        OfflineError: It is not on this computer.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    hub = _import_hub()
    try:
        found = hub.snapshot_download(
            hub_id, revision=revision, allow_patterns=list(FILES), local_files_only=True
        )
    except (hub.errors.LocalEntryNotFoundError, OSError, ValueError) as error:
        raise OfflineError(
            f"The model {_name(hub_id, revision)} is not on this computer, neither as a folder "
            "nor in the hub's cache.",
            hint=f"Run: slmdeploy fetch {_name(hub_id, revision)}",
        ) from error
    return Path(found)


def fetch_hub(hub_id: str, revision: str | None = None, *, progress: Progress = silent) -> Path:
    """Download a checkpoint's configuration, weights, tokenizer and licence.

    Args:
        hub_id: ``org/name``.
        revision: Branch, tag or commit; ``None`` for the default branch.
        progress: Is told what is being done.

    Returns:
        The folder in the hub's cache.

    Raises:
        OfflineError: The hub cannot be reached.
        ModelReadError: There is no such model, it needs an account, or it has no
            safetensors.
        DiskSpaceError: There is not enough room.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    hub = _import_hub()
    name, step = _name(hub_id, revision), f"fetch {hub_id}"
    try:
        progress(Step(step, note="asking the hub"))
        info = hub.HfApi().model_info(hub_id, revision=revision, files_metadata=True)
        sizes = {str(item.rfilename): int(item.size or 0) for item in info.siblings or ()}
        wanted = hub.utils.filter_repo_objects(sizes, allow_patterns=list(FILES))
        _check(name, sizes, total := sum(sizes[file] for file in wanted), hub)
        found = _download(hub, hub_id, revision, lambda n: progress(Step(step, n, total, "bytes")))
    except hub.errors.HfHubHTTPError as error:
        _raise_http(hub, name, error)
    except (hub.errors.OfflineModeIsEnabled, hub.errors.LocalEntryNotFoundError, OSError) as error:
        raise _unreachable(name, error) from error
    except Exception as error:  # the HTTP library's own kinds, which are not the hub's
        if type(error).__module__.startswith(_HTTP_LIBRARIES):
            raise _unreachable(name, error) from error
        raise
    progress(Step(step, total, total, "bytes", finished=True))
    return Path(found)


def _download(
    hub: ModuleType, hub_id: str, revision: str | None, tell: Callable[[int], None]
) -> str:
    """Download with the library's own bars and warnings off the terminal, which is ours."""
    logging = hub.utils.logging
    loudness = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        found: str = hub.snapshot_download(
            hub_id, revision=revision, allow_patterns=list(FILES), tqdm_class=_bar_class(tell)
        )
    finally:
        logging.set_verbosity(loudness)
    return found


def _bar_class(tell: Callable[[int], None]) -> type:
    """A progress bar that shows nothing and tells the bytes that have come so far.

    The library keeps a bar for the bytes it receives and one for those it writes; the
    one that is ahead counts.
    """
    from tqdm import tqdm  # type: ignore[import-untyped]

    furthest = 0

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self._counts_bytes, self._bytes = options.get("unit") == "B", 0
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal furthest
            if self._counts_bytes:
                self._bytes += int(n or 0)
                furthest = max(furthest, self._bytes)
                tell(furthest)
            return None

    return Bar


def _import_hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtraError("models", "Fetching from the hub") from error
    return huggingface_hub


def _name(hub_id: str, revision: str | None) -> str:
    return hub_id if revision is None else f"{hub_id}@{revision}"


def _check(name: str, sizes: dict[str, int], total_bytes: int, hub: ModuleType) -> None:
    if not any(file.endswith(_WEIGHTS) for file in sizes):
        pickles = [file for file in sizes if file.endswith((".bin", ".pt", ".pth"))]
        only = f" (only {pickles[0]}, a pickle)" if pickles else ""
        raise ModelReadError(f"The model {name} has no safetensors on the hub{only}.")
    cache = Path(hub.constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    require_space(cache, total_bytes, f"The model {name}")


def _raise_http(hub: ModuleType, name: str, error: Any) -> NoReturn:
    if isinstance(error, hub.errors.GatedRepoError):
        raise ModelReadError(
            f"The model {name} asks you to accept its terms first.",
            hint="Accept them on its page on the hub, then run: hf auth login",
        ) from error
    if isinstance(error, hub.errors.RevisionNotFoundError):
        raise ModelReadError(f"The model {name} has no such revision on the hub.") from error
    if isinstance(error, hub.errors.RepositoryNotFoundError):
        raise ModelReadError(
            f"There is no model {name} on the hub, or it is private.",
            hint="Check its spelling; for a private one run: hf auth login",
        ) from error
    raise _unreachable(name, error) from error


def _unreachable(name: str, error: Exception) -> OfflineError:
    why = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return OfflineError(
        f"The hub could not give {name}: {why[0]}",
        hint="Check the network (and HF_HUB_OFFLINE), or copy the checkpoint here as a folder.",
    )
