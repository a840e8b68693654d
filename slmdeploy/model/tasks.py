"""What a checkpoint is for, and what is refused by name. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from slmdeploy.errors import UnsupportedModelError

__all__ = ["ENCODERS", "Task", "refuse_out_of_scope", "task_of"]

Task = Literal["classification", "token-classification", "embedding", "module"]
"""What a generic model gives: logits of a text, logits of its tokens, one vector of a text, or
whatever a module of the user's gives."""

ENCODERS = ("bert", "distilbert", "mobilebert", "modernbert", "roberta", "xlm-roberta")
"""Model types whose plain checkpoints are taken for embedding models."""

_BY_ENDING: Mapping[str, Task] = {
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "token-classification",
}
_PLAIN = ("Model", "ForMaskedLM", "ForPreTraining")

_SIGHT = ("vision_config", "vision_tower", "mm_vision_tower", "visual")
_SPEECH = ("audio_config", "speech_config", "audio_encoder_config", "num_mel_bins")
_SPEECH_TYPES = (
    *("whisper", "wav2vec2", "hubert", "wavlm", "moonshine", "speecht5", "speech_to_text"),
    *("seamless_m4t", "bark", "vits", "musicgen", "encodec", "clvp"),
)
_SPEECH_ENDINGS = ("ForSpeechSeq2Seq", "ForCTC", "ForAudioClassification", "ForTextToSpeech")
_SIGHT_ENDINGS = ("ForVision2Seq", "ForImageTextToText", "VisionEncoderDecoderModel")
_IMAGE_ENDINGS = ("ForImageClassification", "ForObjectDetection", "ForSemanticSegmentation")


def task_of(hf_config: Mapping[str, Any], folder: Path) -> Task | None:
    """What an encoder's checkpoint is for; ``None`` for a decoder.

    A folder with ``modules.json`` is one of sentence-transformers, whatever its
    architecture; a plain encoder is taken for an embedding model as well.
    """
    names = [str(name) for name in hf_config.get("architectures") or ()]
    for ending, task in _BY_ENDING.items():
        if any(name.endswith(ending) for name in names):
            return task
    if (folder / "modules.json").is_file():
        return "embedding"
    plain = not names or any(name.endswith(_PLAIN) for name in names)
    return "embedding" if plain and hf_config.get("model_type") in ENCODERS else None


def refuse_out_of_scope(hf_config: Mapping[str, Any]) -> None:
    """Refuse models that see or hear, by what their configuration names.

    Raises:
        UnsupportedModelError: It is one; the message names the architecture.
    """
    names = [str(name) for name in hf_config.get("architectures") or ()]
    model_type = str(hf_config.get("model_type") or "")
    what = names[0] if names else model_type or "The model"
    if (
        any(key in hf_config for key in _SPEECH)
        or model_type.startswith(_SPEECH_TYPES)
        or any(name.endswith(_SPEECH_ENDINGS) for name in names)
    ):
        raise UnsupportedModelError(
            f"{what} is a speech model, which slmdeploy does not take.",
            hint="Models of text are taken, and modules of your own: package.module:function",
        )
    if any(key in hf_config for key in _SIGHT) or any(n.endswith(_SIGHT_ENDINGS) for n in names):
        raise UnsupportedModelError(
            f"{what} is a vision-language model, which slmdeploy does not take.",
            hint="Take a text-only checkpoint of the family (as Gemma3ForCausalLM is).",
        )
    if any(name.endswith(_IMAGE_ENDINGS) for name in names):
        raise UnsupportedModelError(
            f"{what} takes images, and slmdeploy does not know how its checkpoint wants them.",
            hint="Write a function that gives the module and an example image, and name it: "
            "package.module:function",
        )
