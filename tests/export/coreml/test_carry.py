"""What compress computed lies in the package bit for bit, and computes the same logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.parts import WeightParts, parts_of
from slmdeploy.compress.quantize import Compressed, compress
from slmdeploy.compress.recipe import BUILTIN_RECIPES, Recipe
from slmdeploy.export.coreml.carry import carry
from slmdeploy.export.coreml.converting import convert, convert_exported
from slmdeploy.export.coreml.plain import dense_weight, plain_decoder
from slmdeploy.export.coreml.steps import KEYS, VALUES, DecoderStep, step_inputs
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import Package, open_package
from slmdeploy.export.options import CoremlOptions
from slmdeploy.model.attention import EagerAttention
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder
from slmdeploy.target.recipes import fitted
from tests.export.coreml import tiny
from tests.export.coreml.held import Held, held_weights

CONFIG = DecoderConfig(
    family="llama",
    vocab_size=96,
    hidden_size=64,
    intermediate_size=96,
    layers=1,
    heads=2,
    kv_heads=1,
    head_dim=32,
    norm_eps=1e-5,
    rope_theta=10000.0,
    context=32,
    tied=True,
)
LAYERS = ("layers.0.qkv", "layers.0.o", "layers.0.gate_up", "layers.0.down", "head")
ANGLES, EMBEDDING = (None, None), "embedding"
PLACES = (*LAYERS, *ANGLES, EMBEDDING)
"""As they come in the program: linear layers, then what is looked up."""
QUICK = ("w8", "w4-g32", "palette4-int8", "sparse50-w4", "sparse50-palette4")
CARRIED = [name for name, r in BUILTIN_RECIPES.items() if not r.body.scheme.startswith("8da")]
TOKEN = {"ids": np.array([[5]], np.int32), "position": np.array([3], np.int32)}


def decoder(scale: float = 0.15) -> Decoder:
    module = Decoder(CONFIG, CONFIG.context)
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
        parameter.normal_(0.0, scale, generator=generator)
    module.head.weight = module.embedding.get_parameter("weight")
    return module.eval()


def packaged(compressed: Compressed, folder: Path) -> tuple[Package, np.ndarray]:
    """A package of one function for one token, and what torch gives for ``TOKEN``."""
    plain = plain_decoder(compressed)
    step = DecoderStep(plain, "onehot", states=True, last=False).eval()
    with torch.no_grad():
        expected = step(*(torch.from_numpy(value) for value in TOKEN.values()))
    carry(plain, compressed)
    states = {KEYS: step.k_cache.zero_(), VALUES: step.v_cache.zero_()}
    path = folder / "tiny.mlpackage"
    convert(step, step_inputs(1, last=False), ["logits"], path, target="iOS18", states=states)
    return open_package(path), expected.numpy()


def expected_held(layer: nn.Module, parts: WeightParts) -> Held:
    """The same from compress's own numbers."""
    weight = dense_weight("layer", layer).numpy() if parts.sparse else None
    values = None if parts.values is None else parts.values.numpy()
    scales = None if parts.scales is None else parts.scales.numpy()
    held: Held = {}
    if scales is not None:
        held["scale"] = scales if parts.table is None else scales[:, :, None, None]
    if parts.table is not None:
        held["lut" if scales is None else "data"] = parts.table.numpy()[:, None, :, None]
    if weight is not None:
        held["mask"] = weight != 0
        kept = weight[weight != 0] if values is None else values[weight != 0]
        held["nonzero" if parts.table is None else "indices_nonzero"] = kept
    elif values is not None:
        held["data" if parts.table is None else "indices"] = values
    return held


def plain_names(held: Held) -> Held:
    """Without what differs between operators: prefixes and suffixes of names."""
    renamed = {
        "data_mask": "mask",
        "indices_mask": "mask",
        "nonzero_data": "nonzero",
        "indices_nonzero_data": "indices_nonzero",
        "quantized_data": "data",
    }
    return {renamed.get(name, name): value for name, value in held.items()}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in CARRIED]
)
def test_integers_scales_tables_and_masks_are_those_of_compress(name, tmp_path):
    model = compress(decoder(), fitted("coreml", BUILTIN_RECIPES[name]))
    package, expected = packaged(model, tmp_path)
    for place, found in zip(PLACES, held_weights(package), strict=True):
        layer = model.module.get_submodule(place or "norm")
        parts = parts_of(layer)
        if parts is None:
            assert set(found) == {"value"}, place
            assert found["value"].dtype == np.float16
            continue
        wanted, held = expected_held(layer, parts), plain_names(found)
        assert set(held) == set(wanted), place
        for key, value in wanted.items():
            assert np.array_equal(held[key].astype(np.float32), value.astype(np.float32)), key
    given = Evaluator(package).run("main", TOKEN)["logits"]
    assert np.abs(given - expected).max() <= 1e-6


def weight_bytes(package: Package) -> int:
    return sum(file.stat().st_size for file in package.path.rglob("weight.bin"))


def test_a_tied_table_is_stored_once_and_tables_of_angles_stay_float16(tmp_path):
    model = compress(decoder(), fitted("coreml", BUILTIN_RECIPES["w4-g32"]))
    package, _ = packaged(model, tmp_path)
    *_, head, cos, sin, embedding = held_weights(package)
    assert np.array_equal(head["data"], embedding["data"])
    kinds = [one.kind for one in package.functions["main"].operations]
    assert kinds.count("constexpr_blockwise_shift_scale") == 5
    assert cos["value"].dtype == sin["value"].dtype == np.float16
    matrices = (3 * 32 + 32) * 64 + 3 * 96 * 64 + 96 * 64
    angles_and_norms = 2 * 2 * 32 * 32 + 3 * 2 * 64
    assert weight_bytes(package) < 1.1 * (matrices * (0.5 + 2 / 32) + angles_and_norms) + 4096


def test_weights_below_a_thousandth_are_kept_when_others_are_left_out(tmp_path):
    """Left to itself the converter takes what is below 2^-10 for zero."""
    recipe = fitted("coreml", BUILTIN_RECIPES["sparse50"])
    model = compress(decoder(scale=2e-4), recipe)
    package, _ = packaged(model, tmp_path)
    kept = held_weights(package)[0]["mask"].mean()
    assert kept == pytest.approx(0.5, abs=0.01)


def test_layers_of_any_module_are_carried_too(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(32, 64), nn.Linear(64, 64), nn.Linear(64, 8))
    recipe = Recipe(**{**BUILTIN_RECIPES["palette4"].model_dump(), "floats": "fp16"})
    recipe = recipe.model_copy(update={"body": BUILTIN_RECIPES["sparse24-w8"].body})
    model = compress_module(module, recipe)
    plain = nn.Sequential(nn.Embedding(32, 64), nn.Linear(64, 64), nn.Linear(64, 8))
    for place, part in plain.named_children():
        source = model.module.get_submodule(place)
        weight = source.weight
        part.weight.data = (weight.dequantize() if hasattr(weight, "qdata") else weight).detach()
        if hasattr(part, "bias"):
            part.bias.data = source.bias.detach()
    carry(plain, model)
    ids, path = torch.arange(4, dtype=torch.int32)[None], tmp_path / "any.mlpackage"
    convert_exported(plain.eval(), {"ids": ids}, ["out"], path, target="iOS18")
    package = open_package(path)
    first, _, table = (plain_names(held) for held in held_weights(package))
    parts = parts_of(model.module[1])
    assert np.array_equal(first["scale"].astype(np.float32), parts.scales.numpy())
    assert np.array_equal(table["indices"], parts_of(model.module[0]).values.numpy())
    given = Evaluator(package).run("main", {"ids": ids.numpy()})["out"]
    assert np.abs(given - model.module(ids.long()).numpy()).max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["w8", "palette6", "sparse50"])
def test_ios_17_has_operators_of_its_own_for_the_same_numbers(name, tmp_path):
    old = CoremlOptions(deployment_target="iOS17", prefill_chunk=tiny.CHUNK)
    model = tiny.compressed(name, "llama")
    tiny.export(model, tmp_path / "model.mlpackage", old)
    (path,) = tmp_path.rglob("*decode*.mlpackage")
    package = open_package(path)
    kinds = {one.kind for one in package.functions["main"].operations}
    assert {"w8": "constexpr_affine_dequantize", "palette6": "constexpr_lut_to_dense"}.get(
        name, "constexpr_sparse_to_dense"
    ) in kinds
    ids, position = np.array([[5]], np.int32), np.array([0], np.int32)
    inputs = {
        key: np.zeros(list(of.shape), np.float32)
        for key, of in package.functions["main"].inputs.items()
    } | {"ids": ids, "position": position}
    given = Evaluator(package).run("main", inputs)["logits"]
    attention = EagerAttention(model.module.config, 1)
    expected = model.module(torch.tensor([[5]]), 0, attention, last_only=True).detach().numpy()
    assert np.abs(given - expected).max() <= 1e-3
