"""What a command line asks of a model, beyond its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from slmdeploy.errors import UsageError
from slmdeploy.model.ref import ModelRef, parse_ref

__all__ = ["ModelRequest", "parse_adapters", "parse_lengths", "request_of"]


@dataclass(frozen=True)
class ModelRequest:
    """A model with what the user says of it.

    Attributes:
        text: The model, as ``parse_ref`` takes it.
        allow_pickle: Read files that hold pickles, which can run code.
        adapters: LoRA adapters by name: one model each, with that adapter merged.
        pooling: How an encoder's tokens become an embedding, as ``parse_pooling`` takes
            it; ``None`` for what the checkpoint says.
        inputs: Example inputs of a file that brings none, as ``parse_input`` takes them.
        labelled: A file of labelled texts, on which a classifier is judged on the device.
        lengths: Tokens of the texts that an encoder shall take: a method each.
    """

    text: str
    allow_pickle: bool = False
    adapters: Mapping[str, Path] = field(default_factory=dict)
    pooling: str | None = None
    inputs: tuple[str, ...] = ()
    labelled: Path | None = None
    lengths: tuple[int, ...] = ()

    def ref(self) -> ModelRef:
        """The model without adapters.

        Raises:
            UsageError: As ``parse_ref``.
            ModelReadError: As ``parse_ref``.
        """
        return replace(
            parse_ref(self.text),
            allow_pickle=self.allow_pickle,
            pooling=self.pooling,
            inputs=self.inputs,
            labelled=self.labelled,
            lengths=self.lengths,
        )


def request_of(model: str | ModelRequest) -> ModelRequest:
    """A request, where only a name may be given."""
    return model if isinstance(model, ModelRequest) else ModelRequest(model)


def parse_lengths(given: str | None) -> tuple[int, ...]:
    """Lengths in tokens, of ``32,128,512``; empty where nothing is given.

    Raises:
        UsageError: It has another form.
    """
    if given is None:
        return ()
    try:
        found = tuple(int(part) for part in given.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise UsageError(
            f"{given!r} are no lengths.", hint="Write tokens with commas between: 32,128,512"
        )
    return found


def parse_adapters(given: tuple[str, ...]) -> dict[str, Path]:
    """Adapters by name, of ``NAME=DIR`` each.

    Raises:
        UsageError: One has another form, or a name comes twice.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, sign, folder = text.partition("=")
        if not sign or not folder or not name.replace("-", "").replace("_", "").isalnum():
            raise UsageError(
                f"{text!r} is not an adapter.",
                hint="Write NAME=DIR; a name is made of letters, digits, '-' and '_'.",
            )
        if name in found:
            raise UsageError(f"Two adapters are called {name!r}.")
        found[name] = Path(folder).expanduser()
    return found
