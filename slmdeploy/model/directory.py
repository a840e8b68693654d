"""A Hugging Face checkpoint in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slmdeploy.errors import ModelReadError
from slmdeploy.model.checks import check_vocabulary, refuse_quantized, tokenizer_remarks
from slmdeploy.model.families import family_for
from slmdeploy.model.licence import licence_of_folder
from slmdeploy.model.model import Model
from slmdeploy.model.ref import ModelRef
from slmdeploy.model.safetensors_source import open_safetensors
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.model.weights import WeightSource

__all__ = ["is_classifier", "read_directory"]

_CLASSIFIER = "ForSequenceClassification"
_OTHER_TOKENIZERS = ("tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


def read_directory(ref: ModelRef, folder: Path) -> Model:
    """Read a folder with ``config.json``, safetensors and, where there is one, a tokenizer.

    Raises:
        ModelReadError: A part is missing or damaged, or parts contradict each other.
        UnsupportedModelError: The architecture is not one we have.
        TokenizerError: The tokenizer is damaged or is not this model's.
    """
    hf_config = _read_config(folder)
    refuse_quantized(hf_config, str(folder))
    generic = is_classifier(hf_config)
    config = None if generic else family_for(hf_config).config(hf_config)
    weights = open_safetensors(folder)
    tokenizer, reason = _read_tokenizer(folder, hf_config)
    vocab_size = hf_config.get("vocab_size") if config is None else config.vocab_size
    agreement = check_vocabulary(weights, vocab_size, tokenizer)
    licence = licence_of_folder(folder, hf_config)
    return Model(
        ref=ref,
        path=folder,
        kind="generic" if generic else "decoder",
        hf_config=hf_config,
        config=config,
        weights=weights,
        tokenizer=tokenizer,
        tokenizer_reason=reason,
        license=licence.name,
        license_text=licence.text,
        labels=_labels(hf_config, weights) if generic else (),
        remarks=tokenizer_remarks(tokenizer) + agreement,
    )


def is_classifier(hf_config: Mapping[str, Any]) -> bool:
    """Whether the checkpoint is a sequence classifier, which ``transformers`` loads."""
    names = hf_config.get("architectures") or ()
    return any(str(name).endswith(_CLASSIFIER) for name in names)


def _read_config(folder: Path) -> Mapping[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise _not_a_checkpoint(folder)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelReadError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ModelReadError(f"{path} is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise ModelReadError(f"{path} is not a JSON object.")
    return config


def _not_a_checkpoint(folder: Path) -> ModelReadError:
    ggufs = sorted(folder.glob("*.gguf"))
    if (folder / "adapter_config.json").is_file():
        what = f"{folder} is a LoRA adapter, not a model; adapters are not read yet."
        return ModelReadError(what, hint="Merge it into its base model first.")
    if (folder / "manifest.json").is_file():
        what = f"{folder} is a bundle, which was exported already, and not a model."
        return ModelReadError(what, hint=f"Try: slmdeploy verify {folder}")
    if ggufs:
        return ModelReadError(f"{folder} has no config.json.", hint=f"Name the file: {ggufs[0]}")
    return ModelReadError(
        f"{folder} has no config.json, so it is not a Hugging Face checkpoint.",
        hint="A checkpoint is a folder with config.json and *.safetensors.",
    )


def _read_tokenizer(
    folder: Path, hf_config: Mapping[str, Any]
) -> tuple[Tokenizer | None, str | None]:
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_directory(folder, hf_config=hf_config), None
    other = next((name for name in _OTHER_TOKENIZERS if (folder / name).is_file()), None)
    if other is None:
        return None, f"{folder} has no tokenizer.json."
    return None, (
        f"{folder} has {other} but no tokenizer.json; AutoTokenizer.from_pretrained(FOLDER)"
        ".save_pretrained(FOLDER) of transformers writes one."
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
