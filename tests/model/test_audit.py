"""Nothing silently wrong: what a checkpoint's files say is held against each other."""

from __future__ import annotations

import json
import math
import resource
import struct
import subprocess
import sys

import pytest
import torch

from slmdeploy import pipeline
from slmdeploy.errors import ExportError, ModelReadError
from slmdeploy.model.audit import audit_values
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.model.safetensors_source import open_safetensors

UP = "model.layers.1.mlp.up_proj.weight"


def read(path):
    return read_model(parse_ref(str(path)))


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_checkpoint_that_agrees_with_its_configuration_has_no_remark(checkpoint, tiny):
    for family in ("llama", "qwen2", "qwen3"):
        remarks = read(checkpoint(tiny(family=family), name=family)).remarks
        assert [r for r in remarks if "not used" in r] == []


def test_a_missing_tensor_is_found_when_reading(checkpoint, tiny):
    model = tiny()
    del model.weights[UP]
    with pytest.raises(ModelReadError, match=rf"lacks 1 of 21 tensors, such as '{UP}'") as caught:
        read(checkpoint(model))
    assert "incomplete: layers 1." in (caught.value.hint or "")


def test_a_head_that_is_missing_hints_at_the_tied_flag(checkpoint, tiny):
    model = tiny()
    del model.weights["lm_head.weight"]
    with pytest.raises(ModelReadError, match=r"lm_head\.weight") as caught:
        read(checkpoint(model))
    assert "tie_word_embeddings = true" in (caught.value.hint or "")


def test_tensors_that_nothing_uses_are_remarked_with_their_shard(checkpoint, tiny):
    model = tiny()
    model.weights["value_head.weight"] = torch.ones(1, 64)
    model.weights["model.rotary_emb.inv_freq"] = torch.ones(8)
    remarks = read(checkpoint(model, shards=2)).remarks
    found = [remark for remark in remarks if "not used" in remark]
    assert len(found) == 1
    assert found[0].startswith("1 tensors of the checkpoint are not used: value_head.weight in mod")
    assert found[0].endswith("-of-00002.safetensors.")


def test_a_tensor_in_a_layer_that_has_no_place_is_an_error(checkpoint, tiny):
    model = tiny()
    model.weights["model.layers.0.self_attn.q_proj.bias"] = torch.ones(64)
    with pytest.raises(ModelReadError, match=r"q_proj\.bias' in .*model\.safetensors has no place"):
        read(checkpoint(model))


def test_a_configuration_with_fewer_layers_than_the_checkpoint_is_refused(checkpoint):
    folder = checkpoint()
    edit(folder, num_hidden_layers=1)
    with pytest.raises(ModelReadError, match=r"layer that config\.json does not have"):
        read(folder)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"hidden_size": 96, "head_dim": 16}, "embed_tokens"),
        ({"intermediate_size": 128}, "mlp"),
        ({"num_attention_heads": 8}, "self_attn"),
        ({"num_key_value_heads": 1}, "self_attn"),
        ({"head_dim": 8}, "self_attn"),
    ],
)
def test_numbers_that_contradict_the_shapes_are_refused_by_name(checkpoint, change, name):
    folder = checkpoint(shards=2)
    edit(folder, **change)
    pattern = rf"{name}.* in .*-of-00002\.safetensors has shape .* config\.json asks for"
    with pytest.raises(ModelReadError, match=pattern):
        read(folder)


def test_packed_integers_are_refused_before_anything_is_loaded(checkpoint, tiny):
    model = tiny()
    folder = checkpoint(model, dtype=torch.int8)
    with pytest.raises(ModelReadError, match="is stored as int8"):
        read(folder)


def test_a_tied_flag_that_lies_is_refused(checkpoint, tiny):
    model = tiny(tied=True)
    model.weights["lm_head.weight"] = model.weights["model.embed_tokens.weight"].clone()
    assert read(checkpoint(model, name="honest")).config.tied
    model.weights["lm_head.weight"][319, 63] += 1
    with pytest.raises(ModelReadError, match=r"'lm_head\.weight' in .* is not 'model\.embed_tok"):
        read(checkpoint(model, name="lying"))


def test_the_same_holds_for_gguf(gguf_file, tiny):
    model = tiny()
    del model.weights[UP]
    with pytest.raises(ModelReadError, match=rf"such as '{UP}'"):
        read(gguf_file(model))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_named_with_their_shard(checkpoint, tiny, dtype, bad):
    model = tiny()
    model.weights[UP][-1, -1] = bad
    source = open_safetensors(checkpoint(model, dtype=dtype, shards=2))
    with pytest.raises(ModelReadError, match=rf"'{UP}' in .*-of-00002.* 1 of 6144 values"):
        audit_values(source, whole=True)


def test_tensors_that_are_all_zeros_are_remarked(checkpoint, gguf_file, tiny):
    model = tiny()
    model.weights[UP].zero_()
    for source in (read(checkpoint(model)).weights, read(gguf_file(model, kind="Q8_0")).weights):
        report = audit_values(source, whole=False)
        assert (report.tensors, report.zero) == (21, (UP,))
        assert f"1 tensors are all zeros: {UP} in " in report.remarks(source)[0]


def test_pieces_are_the_tensor(checkpoint, gguf_file, tiny):
    for source in (
        open_safetensors(checkpoint(tiny(), dtype=torch.bfloat16)),
        read(gguf_file(kind="Q4_1")).weights,
    ):
        pieces = torch.cat([torch.from_numpy(p.copy()) for p in source.pieces(UP)])
        assert torch.equal(pieces, source.load(UP).ravel())


def write_sparse(folder, gigabytes: int) -> None:
    """A Llama of so many gigabytes of bfloat16 zeros, which take no room on the disk."""
    hidden, mlp, vocabulary = 4096, 14336, 32000
    matrices = {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (hidden, hidden),
        "self_attn.k_proj.weight": (1024, hidden),
        "self_attn.v_proj.weight": (1024, hidden),
        "self_attn.o_proj.weight": (hidden, hidden),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (mlp, hidden),
        "mlp.up_proj.weight": (mlp, hidden),
        "mlp.down_proj.weight": (hidden, mlp),
    }
    layers = math.ceil((gigabytes * 10**9 / 2 - 2 * vocabulary * hidden) / 218_112_000)
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    shapes["lm_head.weight"] = (vocabulary, hidden)
    shapes |= {f"model.layers.{i}.{k}": v for i in range(layers) for k, v in matrices.items()}
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    raw = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + end)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
    }
    (folder / "config.json").write_text(json.dumps(config))


def test_inspect_of_ten_gigabytes_stays_below_500_mib(tmp_path):
    write_sparse(tmp_path, 10)
    assert (tmp_path / "model.safetensors").stat().st_size > 10 * 10**9
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from slmdeploy.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.split('VmHWM:')[1].split()[0], file=sys.stderr)\n"
    )
    argv = [sys.executable, "-c", program, "inspect", str(tmp_path), "--json", "-q"]
    limit = (4 * 2**30, resource.RLIM_INFINITY)
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["parameters"] > 5e9
    assert int(done.stderr.split()[-1]) * 1024 < 500 * 2**20


def test_inspect_reads_every_value_when_it_is_asked_to(checkpoint, tiny):
    model = tiny()
    model.weights[UP].zero_()
    folder = checkpoint(model)
    assert not any("all zeros" in remark for remark in pipeline.inspect(str(folder)).model.remarks)
    remarks = pipeline.inspect(str(folder), values=True).model.remarks
    assert f"1 tensors are all zeros: {UP} in model.safetensors." in remarks


def test_inspect_forecasts_for_a_context(checkpoint):
    folder = str(checkpoint())
    short, long = (
        next(f for f in pipeline.inspect(folder, context=n).fits if f.target == "rpi5-executorch")
        for n in (16, 128)
    )
    assert (short.context, long.context) == (16, 128)
    assert long.device_peak_bytes - short.device_peak_bytes == 2 * 4 * 2 * 112 * 2 * 16
    assert short.export_peak_bytes > 500e6
    with pytest.raises(ExportError, match="beyond the model's 128"):
        pipeline.inspect(folder, context=256)
