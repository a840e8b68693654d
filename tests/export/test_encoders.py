"""Every encoder family, for each task, in each format: as transformers computes it, to 1e-4.

The weights are random; what is compared is the arithmetic of a file that a runtime runs. A Core
ML package has float16 weights: there it is held against torch on the same, in our evaluator.
"""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions, LitertOptions
from slmdeploy.export.plugin import find_exporter
from slmdeploy.model.generic import INPUTS, load_generic
from slmdeploy.model.read import read_model
from slmdeploy.model.request import ModelRequest
from slmdeploy.model.tasks import ENCODERS
from slmdeploy.progress import silent
from slmdeploy.target.recipes import fitted

SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 66,
    "num_labels": 5,
    "initializer_range": 0.2,  # with what transformers has, scores are too small to differ
}
OWN = {
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2},
    "mobilebert": {
        "embedding_size": 16,
        "true_hidden_size": 16,
        "intra_bottleneck_size": 16,
    },
    # Two local layers between two global ones; the window is shorter than the text.
    "modernbert": {
        "num_hidden_layers": 4,
        "local_attention": 6,
        "global_attn_every_n_layers": 3,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    },
}
AUTO = {
    "embedding": "AutoModel",
    "classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
}
LENGTH, TOKENS = 16, 11
LIMIT = 1e-4


def pad_of(name):
    return 1 if "roberta" in name else 0


def inputs_of(name):
    ids = torch.randint(3, 100, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    ids[:, TOKENS:] = pad_of(name)
    return ids, (torch.arange(LENGTH) < TOKENS).long()[None]


def checkpoint(folder, name, task):
    """A folder with random weights, as transformers saves one; and what it computes."""
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(name, **(SIZES | OWN.get(name, {})))
    config._attn_implementation = "eager"
    model = getattr(transformers, AUTO[task]).from_config(config).eval()
    saved = config.to_dict() | {"architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(saved, default=str))
    state = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    ids, mask = inputs_of(name)
    with torch.no_grad():  # without what fills the text up
        given = model(input_ids=ids[:, :TOKENS], attention_mask=mask[:, :TOKENS])
    if task != "embedding":
        return given.logits
    mean = given[0].mean(dim=1)
    return mean / mean.norm(dim=-1, keepdim=True)


def made_of(folder, name, task):
    wanted = checkpoint(folder, name, task).numpy()
    assert wanted.std() > 0.1
    pooling = "mean+normalize" if task == "embedding" else None
    model = read_model(ModelRequest(str(folder), pooling=pooling).ref())
    assert model.task == task
    return load_generic(model), wanted


def executorch(path, inputs):
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method("forward")
    return method.execute(list(inputs))[0].numpy().copy()


def litert(path, inputs):
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(str(path)).get_signature_runner("forward")
    given = {key: value.numpy().astype(np.int32) for key, value in zip(INPUTS, inputs, strict=True)}
    (output,) = signature(**given).values()
    return output.copy()


RUNTIMES = {"executorch": (ExecutorchOptions(), executorch), "litert": (LitertOptions(), litert)}


@pytest.mark.parametrize("task", AUTO)
def test_padding_changes_nothing_in_what_is_exported(tmp_path, task):
    module, wanted = made_of(tmp_path, "bert", task)
    with torch.no_grad():
        found = module(*inputs_of("bert")).numpy()
    if task == "token-classification":
        assert not found[:, TOKENS:].any()
        found = found[:, :TOKENS]
    assert np.abs(found - wanted).max() <= 1e-5


def export(module, name, runtime, options, folder):
    exporter = find_exporter(runtime)
    path = folder / exporter.file
    artifact = exporter.export_module(
        compress_module(copy.deepcopy(module), fitted(runtime, BUILTIN_RECIPES["none"])),
        module,
        inputs_of(name),
        options,
        path,
        input_names=INPUTS,
        output_names=("output",),
        progress=silent,
    )
    return path, artifact


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("task", AUTO)
@pytest.mark.parametrize("name", ENCODERS)
def test_the_artifact_computes_what_transformers_does(tmp_path, name, task, runtime, measured):
    module, wanted = made_of(tmp_path, name, task)
    options, run = RUNTIMES[runtime]
    path, _ = export(module, name, runtime, options, tmp_path)
    found = run(path, inputs_of(name))
    found = found[:, :TOKENS] if task == "token-classification" else found
    assert measured(name, runtime, float(np.abs(found - wanted).max())) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("task", AUTO)
@pytest.mark.parametrize("name", ENCODERS)
def test_core_ml_gives_what_torch_gives_on_its_float16_weights(tmp_path, name, task, measured):
    module, wanted = made_of(tmp_path, name, task)
    path, artifact = export(module, name, "coreml", CoremlOptions(), tmp_path)
    given = find_exporter("coreml").module_inputs(inputs_of(name), INPUTS)
    values = {key: value.numpy() for key, value in zip(INPUTS, given, strict=True)}
    found = Evaluator(open_package(path)).run("main", values)["output"]
    (traced,) = artifact.traced
    assert measured(name, "coreml", float(np.abs(found - traced).max())) <= LIMIT
    traced = traced[:, :TOKENS] if task == "token-classification" else traced
    assert np.abs(traced - wanted).max() <= 0.01 * wanted.std()  # float16's steps, no more
