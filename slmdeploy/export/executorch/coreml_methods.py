"""The methods of a decoder for the Core ML delegate: the cache goes in and comes out.

Both methods take the cache in float16 as Core ML holds it, so that nothing is converted on the
way. Keys and values are blended into the whole cache (``onehot``): a place that is known only
when it runs is no static slice to ``torch.export``.
"""

from __future__ import annotations

from torch import Tensor, nn

from slmdeploy.export.coreml.exporter import DECODE, PREFILL
from slmdeploy.export.coreml.steps import KEYS, NEW, VALUES, DecoderStep, step_inputs
from slmdeploy.export.executorch.coreml_delegate import DelegateMethod, delegate_method
from slmdeploy.model.decoder import Decoder

__all__ = ["OUTPUTS", "decoder_methods", "decoder_steps", "input_names"]

OUTPUTS = ("logits", NEW.format(KEYS), NEW.format(VALUES))
"""Names of what each method gives."""

_Given = tuple[Tensor, Tensor, Tensor]


class _EveryRow(nn.Module):
    """A step whose inputs have names, since those of the package are made of them."""

    def __init__(self, step: DecoderStep) -> None:
        super().__init__()
        self.step = step

    def forward(self, ids: Tensor, position: Tensor, k_cache: Tensor, v_cache: Tensor) -> _Given:
        """As ``DecoderStep.forward``; logits and cache float16."""
        return _halves(self.step(ids, position, k_cache.float(), v_cache.float()))


class _OneRow(nn.Module):
    """The same, where a row is asked for."""

    def __init__(self, step: DecoderStep) -> None:
        super().__init__()
        self.step = step

    def forward(
        self, ids: Tensor, position: Tensor, last: Tensor, k_cache: Tensor, v_cache: Tensor
    ) -> _Given:
        """As ``DecoderStep.forward``; logits and cache float16."""
        return _halves(self.step(ids, position, last, k_cache.float(), v_cache.float()))


def _halves(given: _Given) -> _Given:
    logits, keys, values = given
    return logits.half(), keys.half(), values.half()


def decoder_steps(plain: Decoder, *, last: bool) -> dict[str, DecoderStep]:
    """The step of each method.

    Args:
        plain: What ``plain_decoder`` gave.
        last: Whether ``prefill`` is asked for a row, or gives all.
    """

    def step(*, row: bool) -> DecoderStep:
        return DecoderStep(plain, "onehot", states=False, last=row).eval()

    return {DECODE: step(row=False), PREFILL: step(row=last)}


def input_names(step: DecoderStep) -> tuple[str, ...]:
    """Names of a method's inputs, in their order."""
    return (*step_inputs(1, last=step.last), KEYS, VALUES)


def decoder_methods(steps: dict[str, DecoderStep], chunk: int) -> dict[str, DelegateMethod]:
    """What is lowered.

    Args:
        steps: What ``decoder_steps`` gave.
        chunk: Tokens of a call of ``prefill``.
    """
    methods = {}
    for name, step in steps.items():
        length = 1 if name == DECODE else chunk
        cache = step.empty_cache().half()
        inputs = (*step_inputs(length, last=step.last).values(), cache, cache.clone())
        module = _OneRow(step) if step.last else _EveryRow(step)
        methods[name] = delegate_method(module, inputs)
    return methods
