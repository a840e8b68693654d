"""A target profile: a kind of device, its runtime and its recipe.

A profile is made of the recipe's and the exporter's own option types, so that what a
TOML file may say is what those take. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from slmdeploy.compress.recipe import BUILTIN_RECIPES, Recipe
from slmdeploy.errors import RecipeError
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions, ExportOptions, LitertOptions
from slmdeploy.target.recipes import fitted, refusal
from slmdeploy.target.units import BYTES_PATTERN, parse_bytes

__all__ = ["OPTIONS", "Arch", "Limits", "Runtime", "TargetProfile", "with_recipe"]

Arch = Literal["host", "x86_64", "aarch64"]
Runtime = Literal["executorch", "litert", "tflite-runtime", "coreml"]

OPTIONS: Mapping[str, type[ExportOptions]] = {
    "coreml": CoremlOptions,
    "executorch": ExecutorchOptions,
    "litert": LitertOptions,
    "tflite-runtime": LitertOptions,
}
"""The type of ``export``, by the runtime."""

ByteCount = Annotated[
    int,
    BeforeValidator(parse_bytes),
    Field(gt=0),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": BYTES_PATTERN}]}
    ),
]


class _ByName:
    """Lets a recipe be given by the name of a built-in one."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_named_recipe, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(BUILTIN_RECIPES)}, handler(schema)]}


def _named_recipe(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in BUILTIN_RECIPES:
        raise ValueError(
            f"there is no built-in recipe {value!r}; known: {', '.join(BUILTIN_RECIPES)}"
        )
    return BUILTIN_RECIPES[value]


class Limits(BaseModel):
    """What the device has, in bytes; ``None`` where it differs from one to the next.

    Attributes:
        ram_bytes: Memory of the board.
        disk_bytes: Room for bundles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ram_bytes: ByteCount | None = Field(
        default=None, description="Memory of the board, as 8589934592 or '8 GiB'."
    )
    disk_bytes: ByteCount | None = Field(
        default=None, description="Room for bundles on the board, as '16 GB'."
    )


class TargetProfile(BaseModel):
    """A kind of device with a runtime and a recipe.

    Attributes:
        name: As the file without ``.toml``; given with ``--target``.
        board: Key of the kind of board, as in ``devices.toml``.
        arch: ``host`` for the architecture of this computer.
        glibc: Oldest C library that the runner must start on; ``None`` for this
            computer's.
        threads: Worker threads of the runner; ``None`` for the runner's own choice.
        runner: ``none`` where nothing of ours runs the artifact on the device: it is pushed
            alone, and its figures come by ``slmdeploy runs import``.
        notes: What whoever uses it must know; printed by ``targets show``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        description="As the file without .toml; may be left out.",
    )
    description: str = Field(default="", description="One line for people.")
    board: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        description="Key of the kind of board, as devices.toml has it: 'rpi5'.",
    )
    runtime: Runtime = Field(description="What runs the artifact on the device.")
    recipe: Annotated[Recipe, _ByName()] = Field(
        description="Name of a built-in recipe, or a recipe as a table."
    )
    export: ExportOptions = Field(
        default=ExecutorchOptions(), description="Options of the runtime's exporter."
    )
    arch: Arch = Field(description="Architecture; 'host' is this computer's.")
    glibc: str | None = Field(
        default=None,
        pattern=r"^2\.[0-9]+$",
        description="Oldest C library that the runner must start on: '2.31'.",
    )
    limits: Limits = Field(default=Limits(), description="What the device has.")
    threads: int | None = Field(default=None, ge=1, le=1024, description="Worker threads.")
    runner: Literal["own", "none"] = Field(
        default="own",
        description="What runs the artifact there: slmdeploy's own runner, or nothing of ours.",
    )
    notes: tuple[str, ...] = Field(default=(), description="What a user of it must know.")

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_runtime(cls, data: Any) -> Any:
        """What ``export`` says is read as options of the runtime's own exporter."""
        options = OPTIONS.get(str(data.get("runtime"))) if isinstance(data, Mapping) else None
        given = data.get("export", {}) if options is not None else None
        if options is None or not isinstance(given, Mapping):
            return data
        with contextlib.suppress(ValidationError):  # told by the field, with its place
            return {**data, "export": options.model_validate(given)}
        return data

    @property
    def core_ml(self) -> bool:
        """Whether Core ML runs the artifact, by itself or as ExecuTorch's delegate: in an app."""
        return self.runtime == "coreml" or self._delegates_to_core_ml

    @property
    def exporter(self) -> str:
        """Name of the exporter that makes the artifact."""
        return "executorch-coreml" if self._delegates_to_core_ml else self.runtime

    @property
    def _delegates_to_core_ml(self) -> bool:
        return isinstance(self.export, ExecutorchOptions) and self.export.core_ml

    @model_validator(mode="after")
    def _export_goes_with_the_runtime(self) -> TargetProfile:
        if not isinstance(self.export, OPTIONS[self.runtime]):
            raise ValueError(  # noqa: TRY004 - what pydantic turns into its own error
                f"runtime {self.runtime!r} takes other options in export"
            )
        return self

    @model_validator(mode="after")
    def _runtime_runs_recipe(self) -> TargetProfile:
        reason = refusal(self.runtime, self.recipe, self.export)
        if reason is not None:
            raise ValueError(reason)
        return self


def with_recipe(profile: TargetProfile, recipe: Recipe) -> TargetProfile:
    """The same target with another recipe, as ``--recipe`` asks.

    The recipe gets what the runtime adds to it.

    Raises:
        RecipeError: The target's runtime cannot run it.
    """
    reason = refusal(profile.runtime, recipe, profile.export)
    if reason is not None:
        raise RecipeError(
            f"Target {profile.name!r} cannot run recipe {recipe.name!r}: {reason}.",
            hint="Run: slmdeploy targets show " + profile.name,
        )
    return profile.model_copy(update={"recipe": fitted(profile.runtime, recipe, profile.export)})
