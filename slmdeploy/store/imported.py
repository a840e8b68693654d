"""What a record keeps of a measurement that another tool made."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from slmdeploy.bench.imports.parsed import Scalar, Theirs

__all__ = ["Imported"]


class Imported(BaseModel):
    """Where an imported record came from, and all that was there.

    Attributes:
        tool: What measured.
        file: Name of the file that was read.
        sha256: Of the file, hex.
        bytes: Of the file.
        resolution: Of the tool's clock, in words.
        runs: Every run as the file has it.
        theirs: Figures by the tool's own definitions, which differ from ours.
        device: What the file says of the device.
        model: What the file calls the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    file: str
    sha256: str
    bytes: int
    resolution: str | None = None
    runs: tuple[dict[str, Scalar], ...]
    theirs: tuple[Theirs, ...] = ()
    device: str | None = None
    model: str | None = None
