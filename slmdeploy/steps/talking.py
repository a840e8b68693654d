"""Answer a prompt: the tokenizer here, the model on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slmdeploy.bundle.folder import Bundle
from slmdeploy.device.runs.settings_plan import USUAL, Use
from slmdeploy.device.types import Device
from slmdeploy.errors import TokenizerError, UsageError
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.progress import Progress
from slmdeploy.runtime.protocol import Event, GenerateRequest, Sampling
from slmdeploy.steps.outcomes import Generated, GenerationEnd
from slmdeploy.steps.ready import ready
from slmdeploy.steps.runnerless import refuse_without_runner

__all__ = ["pieces", "prompt_ids", "talk"]


def prompt_ids(
    bundle: Bundle, tokenizer: Tokenizer, prompt: str, *, system: str | None, raw: bool
) -> list[int]:
    """Token ids of a prompt, through the chat template unless ``raw``.

    Raises:
        UsageError: A system message without a template, nothing to continue, or a
            prompt that fills the context.
    """
    if raw or tokenizer.chat_template is None:
        if system is not None:
            raise UsageError(f"{bundle.manifest.name} has no chat template to put --system in.")
        ids = tokenizer.encode(prompt)
    else:
        messages: list[Mapping[str, str]] = [{"role": "user", "content": prompt}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        ids = tokenizer.encode(tokenizer.render_chat(messages))
    context = bundle.manifest.context or 0
    if not prompt or not ids:
        raise UsageError("The prompt is empty.")
    if len(ids) >= context:
        raise UsageError(
            f"The prompt has {len(ids)} tokens; {bundle.manifest.name} holds {context} in all.",
            hint="Shorten it, or export again with a larger --context.",
        )
    return ids


def talk(
    bundle: Bundle,
    device: Device,
    prompt: str,
    *,
    max_new: int,
    sampling: Sampling,
    system: str | None,
    raw: bool,
    threads: int | None,
    use: Use = USUAL,
    progress: Progress,
) -> Iterator[Generated | GenerationEnd]:
    """Yield the answer in pieces of whole characters, then how it ended.

    Raises:
        TokenizerError: The bundle has no tokenizer.
        UsageError: The prompt does not fit, or the model writes no text.
        DeviceError: The device or the runner failed, or nothing of ours runs there.
    """
    refuse_without_runner(bundle, device)
    if bundle.manifest.model.kind != "decoder":
        raise UsageError(
            f"{bundle.manifest.name} writes no text: it gives {_given(bundle)}.",
            hint="Measure it with: slmdeploy bench",
        )
    tokenizer = bundle.tokenizer()
    if tokenizer is None:
        raise TokenizerError(
            f"{bundle.manifest.name} has no tokenizer: {bundle.manifest.tokenizer_reason}",
            hint="Export the model again from a folder that has its tokenizer.json.",
        )
    ids = prompt_ids(bundle, tokenizer, prompt, system=system, raw=raw)
    request = GenerateRequest(
        prompt=tuple(ids),
        max_new=min(max_new, (bundle.manifest.context or 0) - len(ids)),
        stop_ids=tokenizer.stop_ids,
        sampling=sampling,
        threads=threads or bundle.manifest.threads,
    )
    with ready(bundle, device, progress, use=use, live=True) as on:
        yield from pieces(on.runner.generate(request), tokenizer, len(ids))


def _given(bundle: Bundle) -> str:
    """Names of what a model gives that is no decoder."""
    method = next(iter(bundle.manifest.artifact.methods.values()))
    return ", ".join(one.name for one in method.outputs)


def pieces(
    events: Iterator[Event], tokenizer: Tokenizer, prompt_tokens: int
) -> Iterator[Generated | GenerationEnd]:
    """Pieces of whole characters from a runner's events, then how it ended."""
    stream, stamps, reason, started = tokenizer.stream(), list[int](), "length", None
    for event in events:
        if event.kind == "prefill" and started is None:
            started = int(event.data["start_ns"])
        elif event.kind == "token":
            stamps.append(int(event.data["t_ns"]))
            token = int(event.data["id"])
            if token not in tokenizer.stop_ids:
                yield Generated(stream.push(token), len(stamps) - 1, token, stamps[-1])
        elif event.kind == "done":
            reason = str(event.data["reason"])
    rest = stream.finish()
    if rest:
        yield Generated(rest, len(stamps), None, None)
    yield GenerationEnd(
        reason=reason,
        prompt_tokens=prompt_tokens,
        generated_tokens=len(stamps),
        ttft_ns=None if started is None or not stamps else stamps[0] - started,
        decode_tokens_per_s=_rate(stamps),
    )


def _rate(stamps: list[int]) -> float | None:
    if len(stamps) < 2 or stamps[-1] <= stamps[0]:
        return None
    return (len(stamps) - 1) / ((stamps[-1] - stamps[0]) / 1e9)
