"""A Hugging Face checkpoint in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slmdeploy.errors import ModelReadError
from slmdeploy.model.audit import audit_headers
from slmdeploy.model.checks import check_vocabulary, refuse_quantized, tokenizer_remarks
from slmdeploy.model.families import family_for, has_family
from slmdeploy.model.foreign import foreign_config
from slmdeploy.model.licence import licence_of_folder
from slmdeploy.model.model import Model
from slmdeploy.model.pickle_source import find_pickles, open_pickles
from slmdeploy.model.pooling import read_pooling
from slmdeploy.model.ref import ModelRef
from slmdeploy.model.safetensors_source import open_safetensors
from slmdeploy.model.tasks import refuse_out_of_scope, task_of
from slmdeploy.model.tokenizer_files import read_tokenizer
from slmdeploy.model.weights import WeightSource

__all__ = ["read_directory"]


def read_directory(ref: ModelRef, folder: Path) -> Model:
    """Read a folder with ``config.json``, safetensors and, where there is one, a tokenizer.

    Raises:
        ModelReadError: A part is missing or damaged, or parts contradict each other.
        UnsupportedModelError: The architecture is not one we have.
        TokenizerError: The tokenizer is damaged or is not this model's.
    """
    hf_config = _read_config(folder)
    refuse_quantized(hf_config, str(folder))
    refuse_out_of_scope(hf_config)
    task = task_of(hf_config, folder)
    decoder = task is None
    foreign = foreign_config(hf_config) if decoder and not has_family(hf_config) else None
    family = family_for(hf_config) if decoder and foreign is None else None
    config = None if family is None else family.config(hf_config)
    pooling = read_pooling(folder, ref.pooling) if task == "embedding" else None
    weights = _open_weights(folder, allow_pickle=ref.allow_pickle)
    tokenizer, reason, of_tokenizer = read_tokenizer(folder, hf_config)
    known = config or foreign
    vocab_size = hf_config.get("vocab_size") if known is None else known.vocab_size
    agreement = check_vocabulary(weights, vocab_size, tokenizer)
    if family is not None and config is not None:
        agreement += audit_headers(config, family, weights)
    licence = licence_of_folder(folder, hf_config)
    return Model(
        ref=ref,
        path=folder,
        kind="decoder" if decoder else "generic",
        hf_config=hf_config,
        config=config,
        weights=weights,
        tokenizer=tokenizer,
        tokenizer_reason=reason,
        license=licence.name,
        license_text=licence.text,
        labels=() if task in (None, "embedding") else _labels(hf_config, weights),
        remarks=of_tokenizer + tokenizer_remarks(tokenizer, generates=decoder) + agreement,
        task=task,
        pooling=pooling,
        foreign=foreign,
    )


def _open_weights(folder: Path, *, allow_pickle: bool) -> WeightSource:
    """Safetensors where there are any; pickles only where they are allowed."""
    if allow_pickle and find_pickles(folder) and not any(folder.glob("*.safetensors")):
        return open_pickles(folder)
    return open_safetensors(folder)


def _read_config(folder: Path) -> Mapping[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise _not_a_checkpoint(folder)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelReadError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelReadError(f"{path} is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise ModelReadError(f"{path} is not a JSON object.")
    return config


def _not_a_checkpoint(folder: Path) -> ModelReadError:
    ggufs = sorted(folder.glob("*.gguf"))
    if (folder / "adapter_config.json").is_file():
        what = f"{folder} is a LoRA adapter, not a model."
        return ModelReadError(what, hint=f"Name its base model, and --adapter NAME={folder}")
    if (folder / "manifest.json").is_file():
        what = f"{folder} is a bundle, which was exported already, and not a model."
        return ModelReadError(what, hint=f"Try: slmdeploy verify {folder}")
    if ggufs:
        return ModelReadError(f"{folder} has no config.json.", hint=f"Name the file: {ggufs[0]}")
    return ModelReadError(
        f"{folder} has no config.json, so it is not a Hugging Face checkpoint.",
        hint="A checkpoint is a folder with config.json and *.safetensors.",
    )


def _labels(hf_config: Mapping[str, Any], weights: WeightSource) -> tuple[str, ...]:
    """Names of the classes in the order of the logits; ``LABEL_<i>`` where one has none."""
    named = hf_config.get("id2label")
    names = {int(k): str(v) for k, v in named.items()} if isinstance(named, Mapping) else {}
    heads = [
        n
        for n in weights.names()
        if n.startswith(("classifier.", "score.")) and n.endswith("weight")
    ]
    rows = weights.shape(heads[-1])[0] if heads else max(names, default=1) + 1
    return tuple(names.get(i, f"LABEL_{i}") for i in range(rows))
