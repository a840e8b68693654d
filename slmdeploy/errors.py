"""Every error that slmdeploy raises on purpose, in one tree.

The message says what was wrong and with which value; ``hint`` says what to do.
Each class carries the exit code that ``cli/`` returns for it.

* SlmdeployError                 70  (never raised itself)
  x UsageError                    2  the command line, or a file that the user wrote
    + UnknownNameError               a name that is not among the known ones
    + ProfileError                   a target profile, recipe or inventory with a fault
    + BundleError                    a folder that is not a bundle, or a damaged one
    + MissingExtraError              an optional package that is not installed
  x ModelError                    3  this model or recipe cannot pass on this computer
    + ModelReadError                 a checkpoint that cannot be read
    + UnsupportedModelError          an architecture that we do not have
    + TokenizerError                 no tokenizer, or one that disagrees
    + RecipeError                    a recipe that this model or runtime cannot take
    + ExportError                    the exporter failed
    + EvaluationError                an artifact that our evaluator cannot compute
    + ParityError                    a rung of the ladder broke on the host
  x DeviceError                   4  a device failed, or its rung did
    + ConnectError                   away, refused, timed out
    + HostKeyError                   unknown or changed host key
    + AuthError                      the device would not let us in
    + CommandError                   a command on the device ended with non-zero
    + TransferError                  a file did not arrive whole
    + RunnerError                    the runner reported an error
    + DeviceParityError              a rung of the ladder broke on the device
  x HostError                     6  this computer: compiler, space, network
    + CompilerError                  no compiler, or it failed
    + DiskSpaceError                 not enough room
    + OfflineError                   something must be fetched first
  x BarError                      1  a limit that was fixed beforehand was missed
  x UndecidedError                5  the data do not decide
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "AuthError",
    "BarError",
    "BundleError",
    "CommandError",
    "CompilerError",
    "ConnectError",
    "DeviceError",
    "DeviceParityError",
    "DiskSpaceError",
    "EvaluationError",
    "ExportError",
    "HostError",
    "HostKeyError",
    "MissingExtraError",
    "ModelError",
    "ModelReadError",
    "OfflineError",
    "ParityError",
    "ProfileError",
    "RecipeError",
    "RunnerError",
    "SlmdeployError",
    "TokenizerError",
    "TransferError",
    "UndecidedError",
    "UnknownNameError",
    "UnsupportedModelError",
    "UsageError",
]


class SlmdeployError(Exception):
    """Base of all errors that slmdeploy raises on purpose.

    Args:
        message: What was wrong, and with which value; one sentence.
        hint: What the user can do about it, as a command where there is one.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class UsageError(SlmdeployError):
    """The command line, or a file that the user wrote, is wrong."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not among the known ones; the message lists what exists.

    Args:
        kind: What the name should have named, as in ``"target"``.
        name: The name that was given.
        known: The names that exist.
        hint: What to do; by default the nearest known name is suggested.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, hint: str | None = None
    ) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        listing = ", ".join(names) if names else "none"
        suggestion = f"Did you mean {near[0]!r}? " if near else ""
        super().__init__(f"Unknown {kind} {name!r}.", hint=hint or f"{suggestion}Known: {listing}.")
        self.name = name
        self.known = names


class ProfileError(UsageError):
    """A target profile, a recipe or an inventory file has a fault."""


class BundleError(UsageError):
    """A folder is not a bundle, or its files do not match its manifest."""


class MissingExtraError(UsageError):
    """An optional package is needed for this step and is not installed.

    Args:
        extra: The extra of slmdeploy that brings it, as in ``"executorch"``.
        what: What it is needed for.
    """

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(
            f"{what} needs the extra {extra!r}, which is not installed.",
            hint=f"Run: pip install 'slmdeploy[{extra}]'",
        )
        self.extra = extra


class ModelError(SlmdeployError):
    """This model or recipe cannot be read, exported or verified on the host."""

    exit_code = 3


class ModelReadError(ModelError):
    """A checkpoint is missing a part, is damaged or holds unusable values."""


class UnsupportedModelError(ModelError):
    """The architecture is not one that slmdeploy has."""


class TokenizerError(ModelError):
    """The tokenizer is missing, unreadable or disagrees with the model."""


class RecipeError(ModelError):
    """The recipe cannot be applied to this model, or not run by this runtime."""


class ExportError(ModelError):
    """The exporter could not make an artifact of this model."""


class EvaluationError(ModelError):
    """An artifact asks for an operator, or a form of one, that our evaluator does not compute."""


class ParityError(ModelError):
    """A rung of the parity ladder broke on the host."""


class DeviceError(SlmdeployError):
    """A device failed."""

    exit_code = 4


class ConnectError(DeviceError):
    """The device is away, refused the connection or did not answer in time."""


class HostKeyError(DeviceError):
    """The host key is unknown, or is not the one that was pinned."""


class AuthError(DeviceError):
    """The device did not accept our identity."""


class CommandError(DeviceError):
    """A command on the device ended with a non-zero code.

    Args:
        argv: The command that was run.
        code: Its exit code; negative for a signal.
        stderr: What it wrote to standard error.
        hint: What to do.
    """

    def __init__(
        self, argv: Iterable[str], code: int, stderr: str, *, hint: str | None = None
    ) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.stderr = stderr
        said = stderr.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"{self.argv[0]!r} ended with code {code}: {said[0]}", hint=hint)


class TransferError(DeviceError):
    """A file did not arrive whole."""


class RunnerError(DeviceError):
    """The runner on the device reported an error.

    Args:
        message: The cause, in the runner's words.
        cause: The runner's short name of it (``docs/runner-protocol.md``).
        hint: What to do.
    """

    def __init__(self, message: str, *, cause: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.cause = cause


class DeviceParityError(DeviceError):
    """A rung of the parity ladder broke on the device."""


class HostError(SlmdeployError):
    """This computer lacks something: a compiler, space or the network."""

    exit_code = 6


class CompilerError(HostError):
    """No compiler was found, or it failed."""


class DiskSpaceError(HostError):
    """There is not enough room on a disk of this computer."""


class OfflineError(HostError):
    """Something must be fetched first, or could not be fetched."""


class BarError(SlmdeployError):
    """A limit that was fixed before the measurement was missed."""

    exit_code = 1


class UndecidedError(SlmdeployError):
    """The data do not decide whether a limit was kept."""

    exit_code = 5
