"""Recipes: what is compressed and how, as data.

A recipe names a precision for each of three parts of a decoder: the ``body``
(all linear layers but the head), the ``head`` (hidden state to vocabulary) and
the ``embedding`` (vocabulary to hidden state). Nothing here imports torch.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from slmdeploy.errors import ProfileError, UnknownNameError

__all__ = [
    "BUILTIN_RECIPES",
    "EmbeddingSpec",
    "LinearSpec",
    "Recipe",
    "load_recipe",
    "recipe_names",
]

Scheme = Literal["none", "fp16", "8da4w", "8da8w", "w4", "w8"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LinearSpec(_Strict):
    """How linear layers are stored and computed.

    Attributes:
        scheme: ``none`` (float32), ``fp16``, ``8da4w`` / ``8da8w`` (weights of 4 or
            8 bits, activations quantized to 8 bits while running), ``w4`` / ``w8``
            (weights only; activations stay float32).
        group_size: Weights that share a scale, along the input dimension; ``None``
            for one scale per output channel.
    """

    scheme: Scheme = "none"
    group_size: int | None = Field(default=None, ge=8)

    @model_validator(mode="after")
    def _group_fits_scheme(self) -> LinearSpec:
        if self.group_size is not None and self.scheme in ("none", "fp16"):
            raise ValueError(f"group_size does not go with scheme {self.scheme!r}")
        if self.group_size is not None and self.scheme == "8da8w":
            raise ValueError("8da8w has one scale per channel; leave group_size out")
        return self

    @property
    def bits(self) -> int:
        """Bits a weight takes, scales aside."""
        return {"none": 32, "fp16": 16, "8da4w": 4, "w4": 4, "8da8w": 8, "w8": 8}[self.scheme]

    def __str__(self) -> str:
        group = (
            ""
            if self.bits > 8
            else f" {'channel' if self.group_size is None else f'g{self.group_size}'}"
        )
        return {"none": "fp32"}.get(self.scheme, self.scheme) + group


class EmbeddingSpec(_Strict):
    """How the embedding table is stored.

    Attributes:
        bits: 32 (float32), 16 (float16), or 2 to 8: symmetric integers.
        group_size: Values of a row that share a scale; ``None`` for the whole row.
    """

    bits: Literal[2, 3, 4, 5, 6, 7, 8, 16, 32] = 32
    group_size: int | None = Field(default=None, ge=8)

    def __str__(self) -> str:
        if self.bits > 8:
            return f"fp{self.bits}"
        return f"int{self.bits} {'row' if self.group_size is None else f'g{self.group_size}'}"


class Recipe(_Strict):
    """What is compressed, and how.

    Attributes:
        name: A short name, used in tables.
        description: One line for people.
        body: All linear layers but the head.
        head: The head; ``None`` to treat it as the body.
        embedding: The embedding table.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    body: LinearSpec = LinearSpec()
    head: LinearSpec | None = None
    embedding: EmbeddingSpec = EmbeddingSpec()

    @property
    def head_spec(self) -> LinearSpec:
        """The head's spec, which is the body's where none is given."""
        return self.body if self.head is None else self.head

    @property
    def shares_table(self) -> bool:
        """Whether a tied embedding can be the head's integers with the head's scales.

        Then a format that keeps one table for both uses keeps one.
        """
        head, table = self.head_spec, self.embedding
        integers = head.scheme not in ("none", "fp16")
        return integers and (head.bits, head.group_size) == (table.bits, table.group_size)

    @property
    def precision(self) -> Literal["fp32", "fp16", "int8", "int4"]:
        """The coarsest precision in it: the row of the thresholds that applies."""
        bits = min(self.body.bits, self.head_spec.bits)
        if bits == 32 and self.embedding.bits == 32:
            return "fp32"
        if bits >= 16 and self.embedding.bits >= 16:
            return "fp16"
        return "int4" if bits <= 4 else "int8"


def _builtin() -> dict[str, Recipe]:
    da4, da4c = LinearSpec(scheme="8da4w", group_size=32), LinearSpec(scheme="8da4w")
    da8, emb8 = LinearSpec(scheme="8da8w"), EmbeddingSpec(bits=8)
    fp16 = LinearSpec(scheme="fp16")
    recipes = (
        Recipe(name="none", description="float32, nothing compressed"),
        Recipe(
            name="fp16",
            description="float16 weights",
            body=fp16,
            embedding=EmbeddingSpec(bits=16),
        ),
        Recipe(name="8da8w", description="int8 everywhere", body=da8, embedding=emb8),
        Recipe(
            name="8da4w",
            description="int4 in groups of 32, int8 embedding",
            body=da4,
            embedding=emb8,
        ),
        Recipe(
            name="8da4w-channel",
            description="int4 per channel, int8 embedding",
            body=da4c,
            embedding=emb8,
        ),
        Recipe(
            name="8da4w-head8",
            description="int4 body in groups of 32, int8 head and embedding",
            body=da4,
            head=da8,
            embedding=emb8,
        ),
        Recipe(
            name="w8",
            description="int8 weights only, per channel",
            body=LinearSpec(scheme="w8"),
            embedding=emb8,
        ),
        Recipe(
            name="w4",
            description="int4 weights only, per channel",
            body=LinearSpec(scheme="w4"),
            embedding=emb8,
        ),
    )
    return {recipe.name: recipe for recipe in recipes}


BUILTIN_RECIPES: dict[str, Recipe] = _builtin()


def recipe_names() -> tuple[str, ...]:
    """Names of the built-in recipes."""
    return tuple(BUILTIN_RECIPES)


def load_recipe(name_or_file: str) -> Recipe:
    """Find a built-in recipe by name, or read one from a TOML file.

    Args:
        name_or_file: A name of ``recipe_names()``, or a path that ends in ``.toml``.

    Raises:
        UnknownNameError: There is no such recipe.
        ProfileError: The file cannot be read, or a key or value in it is wrong.
    """
    if not name_or_file.endswith(".toml"):
        if name_or_file not in BUILTIN_RECIPES:
            raise UnknownNameError("recipe", name_or_file, BUILTIN_RECIPES)
        return BUILTIN_RECIPES[name_or_file]
    path = Path(name_or_file)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Recipe.model_validate({"name": path.stem, **data})
    except OSError as error:
        raise ProfileError(f"Recipe file {path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"Recipe file {path} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProfileError(f"Recipe file {path}: {where or 'file'}: {first['msg']}.") from error
