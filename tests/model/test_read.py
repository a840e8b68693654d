from __future__ import annotations

import contextlib
import hashlib
import json
import math
import subprocess
import sys

import pytest
import tokenizers
import torch
from safetensors.torch import save_file

from slmdeploy.errors import ModelReadError, OfflineError, TokenizerError, UnsupportedModelError
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref


def read(path):
    return read_model(parse_ref(str(path)))


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_folder_is_read(checkpoint, tiny, family):
    model = read(checkpoint(tiny(family=family)))
    assert (model.kind, model.name, model.config.family) == ("decoder", "model", family)
    assert (model.config.qkv_bias, model.config.qk_norm) == (family == "qwen2", family == "qwen3")
    assert model.tokenizer.vocab_size == 307
    assert model.tokenizer_reason is None
    assert model.note is None
    assert model.hf_directory == model.path
    assert "13 of 320 embedding rows have no token (padding of the vocabulary)." in model.remarks


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_gguf_file_is_the_same_model(checkpoint, gguf_file, tiny, family):
    folder, file = read(checkpoint(tiny(family=family))), read(gguf_file(tiny(family=family)))
    assert file.config == type(file.config)(**{**vars(folder.config), "eos_ids": (2,)})
    assert file.weights.names() == folder.weights.names()
    assert all(
        torch.equal(file.weights.load(name), folder.weights.load(name))
        for name in file.weights.names()
    )
    assert (file.note, file.compression, file.hf_directory) == (None, None, None)


def test_a_quantized_gguf_file_says_so(gguf_file):
    model = read(gguf_file(kind="Q4_1"))
    assert (model.note, model.compression) == ("dequantized Q4_1", "Q4_1")


def test_the_hash_is_of_the_weights(checkpoint):
    folder = checkpoint()
    wanted = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert read(folder).weights_sha256 == wanted


def test_a_folder_without_a_tokenizer_is_read_and_says_so(checkpoint):
    folder = checkpoint()
    (folder / "tokenizer.json").unlink()
    model = read(folder)
    assert model.tokenizer is None
    assert "no tokenizer.json" in model.tokenizer_reason


def test_a_tokenizer_of_another_format_is_named(checkpoint):
    folder = checkpoint()
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    assert "has vocab.json but no tokenizer.json" in read(folder).tokenizer_reason


def test_a_gguf_file_of_an_unknown_rule_of_cutting_is_read_without_tokenizer(gguf_file):
    model = read(gguf_file(metadata={"tokenizer.ggml.pre": "klingon"}))
    assert model.tokenizer is None
    assert "'klingon'" in model.tokenizer_reason


def test_a_tokenizer_with_more_ids_than_rows_is_refused(checkpoint, bpe_json):
    folder = checkpoint()
    core = tokenizers.Tokenizer.from_str(bpe_json)
    core.add_tokens([f"<extra{i}>" for i in range(14)])
    core.save(str(folder / "tokenizer.json"))
    with pytest.raises(TokenizerError, match=r"ids up to 320, .* only 320 rows"):
        read(folder)


def test_a_configuration_of_another_vocabulary_is_refused(checkpoint):
    folder = checkpoint()
    edit(folder, vocab_size=1000)
    with pytest.raises(ModelReadError, match=r"vocab_size = 1000, .* 320 rows"):
        read(folder)


def test_a_checkpoint_without_embedding_is_refused(checkpoint):
    folder = checkpoint()
    save_file({"w": torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(ModelReadError, match="no embedding table"):
        read(folder)


def test_an_unknown_architecture_names_the_nearest(checkpoint):
    folder = checkpoint()
    edit(folder, model_type="qwen3_moe", architectures=["Qwen3MoeForCausalLM"])
    with pytest.raises(UnsupportedModelError) as caught:
        read(folder)
    assert "qwen3" in (caught.value.hint or "")


def test_a_quantized_checkpoint_is_refused_by_its_method(checkpoint):
    folder = checkpoint()
    edit(folder, quantization_config={"quant_method": "awq"})
    with pytest.raises(ModelReadError, match=r"quantized \(awq\)"):
        read(folder)


@pytest.mark.parametrize(
    ("file", "why", "hint"),
    [
        (None, "not a Hugging Face checkpoint", "config.json"),
        ("x.gguf", "no config.json", "x.gguf"),
        ("adapter_config.json", "LoRA adapter", "--adapter NAME="),
        ("manifest.json", "is a bundle", "slmdeploy verify"),
    ],
)
def test_a_folder_that_is_no_checkpoint_says_what_it_is(tmp_path, file, why, hint):
    if file:
        (tmp_path / file).touch()
    with pytest.raises(ModelReadError, match=why) as caught:
        read(tmp_path)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(("text", "why"), [("{", "not JSON"), ("[]", "not a JSON object")])
def test_a_damaged_configuration_is_named(checkpoint, text, why):
    folder = checkpoint()
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelReadError, match=why):
        read(folder)


def test_the_licence_is_kept(checkpoint):
    folder = checkpoint()
    (folder / "LICENSE").write_text("Apache License, Version 2.0")
    model = read(folder)
    assert (model.license, model.license_text) == ("Apache-2.0", "Apache License, Version 2.0")


def test_the_demo_model_is_never_fetched_unasked():
    with pytest.raises(OfflineError, match="demo model is not on this computer"):
        read_model(parse_ref("demo"))


def test_reading_and_describing_a_model_needs_no_torch(checkpoint, gguf_file):
    program = (
        "import sys\n"
        "from slmdeploy.model.inspect import describe\n"
        "from slmdeploy.model.read import read_model\n"
        "from slmdeploy.model.ref import parse_ref\n"
        "for name in sys.argv[1:]:\n"
        "    assert describe(read_model(parse_ref(name))).parameters > 0\n"
        "print(sorted({'torch', 'transformers', 'safetensors'} & set(sys.modules)))\n"
    )
    argv = [sys.executable, "-c", program, str(checkpoint()), str(gguf_file())]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


NUMBERS = [math.inf, math.nan, 10**400, -1, 0, {}, [], "x", None, True]


@pytest.mark.parametrize("key", ["hidden_size", "num_attention_heads", "head_dim", "rope_theta"])
@pytest.mark.parametrize("number", NUMBERS, ids=lambda value: str(value)[:6])
def test_any_number_in_the_configuration_gives_a_model_or_our_error(checkpoint, key, number):
    folder = checkpoint()
    edit(folder, **{key: number})
    with contextlib.suppress(ModelReadError, UnsupportedModelError):
        assert read(folder).config is not None


def test_a_configuration_nested_without_end_is_our_error(checkpoint):
    folder = checkpoint()
    (folder / "config.json").write_text('{"a": ' + "[" * 100_000)
    with pytest.raises(ModelReadError, match="is not JSON"):
        read(folder)
