"""Recipes: what is compressed and how, as data.

A recipe names a precision for each of three parts of a decoder: the ``body``
(all linear layers but the head), the ``head`` (hidden state to vocabulary) and
the ``embedding`` (vocabulary to hidden state). Sparsity goes with any scheme of a linear
layer: weights are zeroed first, then quantized or replaced by a palette. Nothing here
imports torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from slmdeploy.errors import ProfileError, UnknownNameError

__all__ = [
    "BUILTIN_RECIPES",
    "EmbeddingSpec",
    "LinearSpec",
    "PaletteSpec",
    "Recipe",
    "SparsitySpec",
    "load_recipe",
    "recipe_names",
]

Scheme = Literal["none", "fp16", "8da4w", "8da8w", "w4", "w8", "palette"]

_WITHOUT_GROUPS = ("none", "fp16", "palette")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PaletteSpec(_Strict):
    """A look-up table: a weight is the index of one of a few values.

    Attributes:
        bits: Of an index. Core ML packs indices of 1, 2, 3, 4, 6 and 8 bits; none of 5 or 7.
        channels: Rows (output channels, or tokens of an embedding) that share a table;
            ``None`` for one table for the whole tensor.
        method: How the values are found: ``kmeans`` for the least squared error,
            ``uniform`` for equal steps from the smallest weight to the largest.
        table: What a value is: ``fp16``, or ``int8`` with a scale for each table.
    """

    bits: Literal[2, 3, 4, 6, 8]
    channels: int | None = Field(default=None, ge=1)
    method: Literal["kmeans", "uniform"] = "kmeans"
    table: Literal["fp16", "int8"] = "fp16"

    def __str__(self) -> str:
        shared = "tensor" if self.channels is None else f"c{self.channels}"
        return f"palette{self.bits} {shared}{'' if self.table == 'fp16' else ' int8 table'}"


class SparsitySpec(_Strict):
    """Which weights become zero: those of the least magnitude in a layer.

    Attributes:
        fraction: How many of a layer's weights are zeroed, 0.5 for half of them.
        pattern: ``N:M`` in its place: of each M weights in a row, along the inputs, N stay.
    """

    fraction: float | None = Field(default=None, gt=0, lt=1)
    pattern: str | None = Field(default=None, pattern=r"^[1-9][0-9]?:[1-9][0-9]?$")

    @model_validator(mode="after")
    def _one_of_both(self) -> SparsitySpec:
        if (self.fraction is None) == (self.pattern is None):
            raise ValueError("sparsity takes either fraction or pattern")
        kept, block = self.kept_of or (1, 2)
        if kept >= block:
            raise ValueError(f"pattern {self.pattern} zeroes nothing: as 2:4, the first is smaller")
        return self

    @property
    def kept_of(self) -> tuple[int, int] | None:
        """(2, 4) of the pattern ``2:4``; ``None`` without a pattern."""
        if self.pattern is None:
            return None
        kept, block = self.pattern.split(":")
        return int(kept), int(block)

    def __str__(self) -> str:
        if self.fraction is None:
            return f"{self.pattern} sparse"
        return f"{100 * self.fraction:g}% sparse"


class LinearSpec(_Strict):
    """How linear layers are stored and computed.

    Attributes:
        scheme: ``none`` (float32), ``fp16``, ``8da4w`` / ``8da8w`` (weights of 4 or
            8 bits, activations quantized to 8 bits while running), ``w4`` / ``w8``
            (weights only; activations stay float32), ``palette`` (indices into a table).
        group_size: Weights that share a scale, along the input dimension; ``None``
            for one scale per output channel.
        palette: The table of the scheme ``palette``.
        sparsity: Which weights are zeroed before.
    """

    scheme: Scheme = "none"
    group_size: int | None = Field(default=None, ge=8)
    palette: PaletteSpec | None = None
    sparsity: SparsitySpec | None = None

    @model_validator(mode="after")
    def _palette_fits_scheme(self) -> LinearSpec:
        if (self.scheme == "palette") != (self.palette is not None):
            raise ValueError("scheme 'palette' and a table palette go together")
        if self.palette is not None and self.palette.table == "int8" and self.sparsity is not None:
            raise ValueError("a palette with table 'int8' has no sparse form; use table 'fp16'")
        return self

    @model_validator(mode="after")
    def _group_fits_scheme(self) -> LinearSpec:
        if self.group_size is not None and self.scheme in _WITHOUT_GROUPS:
            raise ValueError(f"group_size does not go with scheme {self.scheme!r}")
        if self.group_size is not None and self.scheme == "8da8w":
            raise ValueError("8da8w has one scale per channel; leave group_size out")
        return self

    @property
    def bits(self) -> int:
        """Bits a weight takes, scales and tables aside; zeros that are left out as well."""
        if self.palette is not None:
            return self.palette.bits
        return {"none": 32, "fp16": 16, "8da4w": 4, "w4": 4, "8da8w": 8, "w8": 8}[self.scheme]

    def __str__(self) -> str:
        zeros = "" if self.sparsity is None else f", {self.sparsity}"
        if self.palette is not None:
            return f"{self.palette}{zeros}"
        group = (
            ""
            if self.bits > 8
            else f" {'channel' if self.group_size is None else f'g{self.group_size}'}"
        )
        return {"none": "fp32"}.get(self.scheme, self.scheme) + group + zeros


class EmbeddingSpec(_Strict):
    """How the embedding table is stored.

    Attributes:
        bits: 32 (float32), 16 (float16), or 2 to 8: symmetric integers.
        group_size: Values of a row that share a scale; ``None`` for the whole row.
        palette: A look-up table in the place of integers; ``bits`` are its own then.
    """

    bits: Literal[2, 3, 4, 5, 6, 7, 8, 16, 32] = 32
    group_size: int | None = Field(default=None, ge=8)
    palette: PaletteSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _bits_of_the_palette(cls, data: Any) -> Any:
        palette = data.get("palette") if isinstance(data, Mapping) else None
        bits = palette.get("bits") if isinstance(palette, Mapping) else None
        bits = palette.bits if isinstance(palette, PaletteSpec) else bits
        return data if bits is None or "bits" in data else {**data, "bits": bits}

    @model_validator(mode="after")
    def _palette_alone(self) -> EmbeddingSpec:
        if self.palette is None:
            return self
        if self.bits != self.palette.bits or self.group_size is not None:
            raise ValueError("a palette has bits of its own and no group_size; leave both out")
        return self

    def __str__(self) -> str:
        if self.palette is not None:
            return str(self.palette)
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
        floats: What scales, tables and all that stays uncompressed (norms and biases too)
            are rounded to. ``fp16`` is what a Core ML package holds: targets that run one
            set it, and other runtimes then get the same model.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    body: LinearSpec = LinearSpec()
    head: LinearSpec | None = None
    embedding: EmbeddingSpec = EmbeddingSpec()
    floats: Literal["fp32", "fp16"] = "fp32"

    @model_validator(mode="after")
    def _floats_fit_schemes(self) -> Recipe:
        if self.floats == "fp16" and "8da4w" in (self.body.scheme, self.head_spec.scheme):
            raise ValueError("8da4w has scales in bfloat16, which floats = 'fp16' contradicts")
        return self

    @property
    def head_spec(self) -> LinearSpec:
        """The head's spec, which is the body's where none is given."""
        return self.body if self.head is None else self.head

    @property
    def shares_table(self) -> bool:
        """Whether a tied embedding can be the head's integers with the head's scales.

        Or its palette. Then a format that keeps one table for both uses keeps one.
        """
        head, table = self.head_spec, self.embedding
        if head.sparsity is not None:
            return False
        if head.palette is not None or table.palette is not None:
            return head.palette == table.palette
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
    recipes = (*_integers(), *_palettes(), *_sparse())
    return {recipe.name: recipe for recipe in recipes}


def _integers() -> tuple[Recipe, ...]:
    da4, da4c = LinearSpec(scheme="8da4w", group_size=32), LinearSpec(scheme="8da4w")
    da8, emb8 = LinearSpec(scheme="8da8w"), EmbeddingSpec(bits=8)
    w4, w8 = LinearSpec(scheme="w4"), LinearSpec(scheme="w8")
    w4g, emb4g = LinearSpec(scheme="w4", group_size=32), EmbeddingSpec(bits=4, group_size=32)
    made = (
        ("none", "float32, nothing compressed", LinearSpec(), None, EmbeddingSpec()),
        ("fp16", "float16 weights", LinearSpec(scheme="fp16"), None, EmbeddingSpec(bits=16)),
        ("8da8w", "int8 everywhere", da8, None, emb8),
        ("8da4w", "int4 in groups of 32, int8 embedding", da4, None, emb8),
        ("8da4w-channel", "int4 per channel, int8 embedding", da4c, None, emb8),
        ("8da4w-head8", "int4 body in groups of 32, int8 head and embedding", da4, da8, emb8),
        ("w8", "int8 weights only, per channel", w8, None, emb8),
        ("w4", "int4 weights only, per channel", w4, None, emb8),
        ("w4-g32", "int4 weights only in groups of 32, embedding too", w4g, None, emb4g),
    )
    return tuple(_recipe(*parts) for parts in made)


def _palettes() -> tuple[Recipe, ...]:
    """Tables for 16 rows at 4 bits and fewer, as Core ML Tools advise for the Neural Engine."""
    made = [(f"palette{bits}", PaletteSpec(bits=bits, channels=16)) for bits in (2, 3, 4)]
    made += [(f"palette{bits}", PaletteSpec(bits=bits)) for bits in (6, 8)]
    made.append(("palette4-int8", PaletteSpec(bits=4, channels=16, table="int8")))
    return tuple(
        _recipe(
            name,
            f"{palette}, embedding too",
            LinearSpec(scheme="palette", palette=palette),
            None,
            EmbeddingSpec(bits=palette.bits, palette=palette),
        )
        for name, palette in made
    )


def _sparse() -> tuple[Recipe, ...]:
    """The body only: a head without half its weights is not worth what it saves."""
    half, two_of_four = SparsitySpec(fraction=0.5), SparsitySpec(pattern="2:4")
    palette = PaletteSpec(bits=4, channels=16)
    fp16, emb16 = LinearSpec(scheme="fp16"), EmbeddingSpec(bits=16)
    w8, emb8 = LinearSpec(scheme="w8"), EmbeddingSpec(bits=8)
    w4g = LinearSpec(scheme="w4", group_size=32, sparsity=half)
    looked_up = LinearSpec(scheme="palette", palette=palette, sparsity=half)
    fp16_half, fp16_24 = (fp16.model_copy(update={"sparsity": s}) for s in (half, two_of_four))
    w8_half, w8_24 = (w8.model_copy(update={"sparsity": s}) for s in (half, two_of_four))
    made = (
        ("sparse50", "half of the body's weights, in float16", fp16_half, fp16, emb16),
        ("sparse24", "2:4 sparse body in float16", fp16_24, fp16, emb16),
        ("sparse50-w8", "half of the body's weights, int8", w8_half, w8, emb8),
        ("sparse24-w8", "2:4 sparse body, int8", w8_24, w8, emb8),
        ("sparse50-w4", "half of the body's weights, int4 in groups of 32", w4g, w8, emb8),
        ("sparse50-palette4", "half of the body's weights, 4-bit palette", looked_up, w8, emb8),
    )
    return tuple(_recipe(*parts) for parts in made)


def _recipe(
    name: str, description: str, body: LinearSpec, head: LinearSpec | None, table: EmbeddingSpec
) -> Recipe:
    return Recipe(name=name, description=description, body=body, head=head, embedding=table)


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
