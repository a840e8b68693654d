"""The one table of limits: by kind of rung and by precision of the recipe.

A rung is held against the last present one before it. Three rules make the table:

* In fp32 nothing but the order of additions differs, so the limit is an absolute
  one on logits: 1e-4 between implementations, 1e-5 between the same artifact on two
  machines, if it promises the same bits on both. ExecuTorch's with the ``llm`` kernels
  do, and gave them: a difference of 0. One step of float32 in a hidden state of 84
  moves a logit by 1e-5, so an artifact whose kernels add in the order of their
  instruction set cannot hold that: LiteRT's, the ``portable`` kernels' (softmax), those
  of other models than decoders, and bundles made before. They are held as an artifact
  is against eager.
* Across compression (kind ``compressed``) the function changes on purpose. How far
  it moved is reported; there is no limit, and only degenerate output fails.
* Quantized artifacts are held against the compressed eager model. Dynamic
  quantization rounds activations while running, so a difference in the last bit of
  a sum becomes a step of the quantizer, and a deep network carries it on: an
  absolute limit would say nothing. On random weights, where no logit stands out,
  correct artifacts of 30 layers gave 18 to 20 dB at 4 bits, and shallow ones 40 dB
  at 8 bits. The demo model (30 layers, 8da8w) in eager torch, its golden tokens fed in
  one chunk and then step by step, differs from itself by 22.4 dB and agrees with itself
  in 0.88 of its choices; its LiteRT artifact gave 19.9 dB. Miscompiled ones gave 0 dB
  and less, most below -80. The limits stand between, nearer to the first.
  ``top1_agreement`` is looser, since near-ties of the reference flip for free.

An artifact of Core ML has two rungs in the place of ``artifact``. In ``float32`` our
evaluator computes with the weights as stored, which differ from the model's in nothing:
only the order of additions is left (1e-4), and that of scales with weights (1e-3).
In ``float16`` each result is rounded, as on a device; it is held against ``float32``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = ["RUNG_KINDS", "THRESHOLDS", "Limits", "Precision", "RungKind", "limits_for"]

Precision = Literal["fp32", "fp16", "int8", "int4"]
RungKind = Literal[
    "source", "decoder", "compressed", "exported", "float32", "float16", "artifact", "device"
]

RUNG_KINDS: tuple[RungKind, ...] = (
    "source",
    "decoder",
    "compressed",
    "exported",
    "float32",
    "float16",
    "artifact",
    "device",
)
"""The order of the ladder."""

Limits = Mapping[str, float]
"""The worst value that passes, by the comparator's name."""

_ABSOLUTE: Limits = {"max_abs_error": 1e-4}
_FP16: Limits = {"snr_db": 40.0, "top1_agreement": 0.9}
_INT8: Limits = {"snr_db": 16.0, "top1_agreement": 0.8}
_INT4: Limits = {"snr_db": 14.0, "top1_agreement": 0.75}
_CARRIED: Limits = {"max_abs_error": 1e-3}
_NONE: Limits = {}

THRESHOLDS: Mapping[RungKind, Mapping[Precision, Limits]] = {
    "source": {"fp32": _NONE, "fp16": _NONE, "int8": _NONE, "int4": _NONE},
    # Both sides are float32, whatever the recipe will do later.
    "decoder": {"fp32": _ABSOLUTE, "fp16": _ABSOLUTE, "int8": _ABSOLUTE, "int4": _ABSOLUTE},
    "compressed": {"fp32": _ABSOLUTE, "fp16": _NONE, "int8": _NONE, "int4": _NONE},
    "exported": {"fp32": _ABSOLUTE, "fp16": _FP16, "int8": _INT8, "int4": _INT4},
    "float32": {"fp32": _ABSOLUTE, "fp16": _ABSOLUTE, "int8": _CARRIED, "int4": _CARRIED},
    "float16": {"fp32": _FP16, "fp16": _FP16, "int8": _FP16, "int4": _FP16},
    "artifact": {"fp32": _ABSOLUTE, "fp16": _FP16, "int8": _INT8, "int4": _INT4},
    # Quantizers amplify what another instruction set rounds otherwise, as above.
    "device": {"fp32": {"max_abs_error": 1e-5}, "fp16": _FP16, "int8": _INT8, "int4": _INT4},
}


def limits_for(
    kind: RungKind, against: RungKind, precision: Precision, *, same_bits: bool = False
) -> Limits:
    """Limits of a rung held against an earlier one; empty for "report only".

    Where the compressed eager model is gone, an artifact is held against a rung
    from before compression: the step then contains the compression, and a quantized
    artifact cannot be judged by it.

    Args:
        kind: The rung.
        against: The rung that it is compared with.
        precision: ``Recipe.precision``.
        same_bits: A device's artifact promises the bits of the host.
    """
    place, before = RUNG_KINDS.index(kind), RUNG_KINDS.index(against)
    if before < RUNG_KINDS.index("compressed") <= place:
        return THRESHOLDS["compressed"][precision]
    # A device may be held against more than the artifact's own host run.
    if kind == "device" and (against != "artifact" or not same_bits):
        return THRESHOLDS["artifact"][precision]
    return THRESHOLDS[kind][precision]
