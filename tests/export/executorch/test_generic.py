from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.errors import DiskSpaceError, ExportError
from slmdeploy.export.artifact import TensorInfo
from slmdeploy.export.executorch.generic import export_module
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.generic import encode_fixed, example_inputs, load_generic
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from tests.export.executorch import modules

TOKENS = torch.arange(12)[None] % 50
LENGTH = 32
NAMES = {"input_names": ["input_ids", "attention_mask"], "output_names": ["logits"]}


def run(artifact, *inputs, method="forward"):
    """The outputs of a method in ExecuTorch's Python runtime, one array each."""
    import executorch.kernels.quantized  # noqa: F401
    from executorch.runtime import Runtime

    loaded = Runtime.get().load_program(artifact.path).load_method(method)
    return [value.numpy().copy() for value in loaded.execute(list(inputs))]


def eager(module, *inputs):
    with torch.no_grad():
        given = module(*inputs)
    return [value.numpy() for value in (given if isinstance(given, tuple) else (given,))]


def snr_db(got, wanted):
    return 10 * np.log10(np.square(wanted).sum() / np.square(got - wanted).sum())


def export(module, inputs, place, *, recipe="none", outputs=1, **options):
    return export_module(
        compress_module(module, BUILTIN_RECIPES[recipe]),
        inputs,
        ExecutorchOptions(),
        place / "model.pte",
        input_names=[f"in{i}" for i in range(len(inputs))],
        output_names=[f"out{i}" for i in range(outputs)],
        **options,
    )


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """The tagger in float32, with what its graph gave for the golden tokens."""
    place = tmp_path_factory.mktemp("tagger")
    return export(modules.Tagger(), [TOKENS], place, outputs=2, golden=[TOKENS])


def test_the_artifact_computes_what_the_module_does(tagger):
    scores, labels = run(tagger, TOKENS + 3)
    wanted, chosen = eager(modules.Tagger().eval(), TOKENS + 3)
    assert np.abs(scores - wanted).max() <= 1e-5
    assert np.array_equal(labels, chosen)


def test_methods_of_several_shapes_share_the_weights(tagger, tmp_path):
    inputs = {"forward_4": (TOKENS[:, :4],), "forward_12": (TOKENS,)}
    artifact = export_module(
        compress_module(modules.Tagger(), BUILTIN_RECIPES["none"]),
        inputs,
        ExecutorchOptions(),
        tmp_path / "model.pte",
        input_names=["tokens"],
        output_names=["scores", "labels"],
        golden=inputs,
    )
    assert [one.shape for one in artifact.traced] == [(1, 4, 7), (1, 4), (1, 12, 7), (1, 12)]
    for name, (tokens,) in inputs.items():
        wanted, _ = eager(modules.Tagger().eval(), tokens)
        assert np.abs(run(artifact, tokens, method=name)[0] - wanted).max() <= 1e-5
    rows = [
        {row.component: row.bytes for row in one.bytes_by_component} for one in (artifact, tagger)
    ]
    for part in ("weights in delegates", "weights outside of delegates"):
        assert rows[0][part] == rows[1][part]


def test_inputs_and_outputs_are_described_by_their_names(tagger):
    forward = tagger.methods["forward"]
    assert (*forward.inputs, *forward.outputs) == (
        TensorInfo(name="in0", shape=(1, 12), dtype="int64"),
        TensorInfo(name="out0", shape=(1, 12, 7), dtype="float32"),
        TensorInfo(name="out1", shape=(1, 12), dtype="int64"),
    )


def test_operators_are_counted_inside_and_outside_of_delegates(tagger):
    forward = tagger.methods["forward"]
    assert forward.delegates >= 1
    assert forward.delegated_ops >= 3  # three linear layers
    assert forward.outside["aten::embedding"] == 1
    assert forward.outside["aten::argmax"] == 1
    assert forward.total_ops == forward.delegated_ops + sum(forward.outside.values())


def test_the_bytes_of_the_parts_add_up_to_the_file(tagger):
    rows = {row.component: row.bytes for row in tagger.bytes_by_component}
    assert sum(rows.values()) == tagger.path.stat().st_size
    assert min(rows.values()) > 0
    linear = 4 * (64 * 64 + 64 + 64 * 7 + 7)  # the shared layer once
    assert linear <= rows["weights in delegates"] < linear + 1000
    assert rows["weights outside of delegates"] >= 4 * 50 * 64
    in_delegates = rows["weights in delegates"] + rows["delegate graphs"]
    assert tagger.bytes_in_delegates == in_delegates


def test_memory_is_planned_and_the_peak_estimated_above_it(tagger):
    assert tagger.memory.planned == tagger.methods["forward"].planned_bytes > 0
    assert tagger.memory.predicted_peak > tagger.path.stat().st_size + tagger.memory.planned


def test_the_traced_graph_ran_on_the_golden_inputs(tagger):
    wanted = eager(modules.Tagger().eval(), TOKENS)
    assert [value.dtype for value in tagger.traced] == [np.float32, np.int64]
    assert np.abs(tagger.traced[0] - wanted[0]).max() <= 1e-6
    assert np.array_equal(tagger.traced[1], wanted[1])


def test_versions_of_what_made_it_are_kept(tagger):
    assert set(tagger.versions) == {"torch", "executorch", "torchao"}
    assert tagger.runtime == "executorch"


# Dynamic quantization rounds an activation that lies between two steps either way.
LEAST_DB = {"fp16": 80, "8da8w": 40, "8da4w": 35, "8da4w-channel": 35, "w8": 80, "w4": 80}
QUICK = ("w8",)


@pytest.mark.parametrize(
    ("recipe", "least_db"),
    [
        pytest.param(name, least, marks=[] if name in QUICK else pytest.mark.slow)
        for name, least in LEAST_DB.items()
    ],
)
def test_a_compressed_artifact_computes_what_the_compressed_module_does(
    tmp_path, tagger, recipe, least_db
):
    module = modules.Tagger()
    artifact = export(module, [TOKENS], tmp_path, recipe=recipe, outputs=2)
    wanted = eager(module, TOKENS)[0]
    assert snr_db(run(artifact, TOKENS)[0], wanted) >= least_db
    # It was compressed, both in value and in the file.
    assert np.abs(wanted - eager(modules.Tagger().eval(), TOKENS)[0]).max() > 1e-5
    small, large = (
        {row.component: row.bytes for row in one.bytes_by_component} for one in (artifact, tagger)
    )
    for part in ("weights in delegates", "weights outside of delegates"):
        assert small[part] < 0.6 * large[part]


def test_convolutions_and_normalization_are_taken_too(tmp_path):
    images = torch.rand(1, 3, 16, 16)
    artifact = export(modules.Images(), [images], tmp_path)
    wanted = eager(modules.Images().eval(), images)[0]
    assert np.abs(run(artifact, images)[0] - wanted).max() <= 1e-5


def test_state_is_kept_inside_and_is_no_output(tmp_path):
    x = torch.ones(1, 4)
    artifact = export(modules.Counter(), [x], tmp_path)
    assert [info.shape for info in artifact.methods["forward"].outputs] == [(1, 4)]
    assert run(artifact, x)[0].tolist() == [[2.0] * 4]


def test_a_module_can_be_exported_again(tmp_path):
    compressed = compress_module(modules.Tagger(), BUILTIN_RECIPES["w8"])
    names = {"input_names": ["tokens"], "output_names": ["scores", "labels"]}
    first, second = (
        export_module(compressed, [TOKENS], ExecutorchOptions(), tmp_path / name, **names)
        for name in ("first.pte", "second.pte")
    )
    assert np.array_equal(run(first, TOKENS)[0], run(second, TOKENS)[0])


def refusal(module, place, capfd, inputs=None):
    """What is said of a module that cannot be exported; nothing else is, or is left."""
    capfd.readouterr()
    with pytest.raises(ExportError) as caught:
        export(module, inputs or [torch.ones(2, 4)], place)
    assert list(place.iterdir()) == []
    written = capfd.readouterr()
    assert written.out == ""
    assert "Traceback" not in written.err
    assert "def forward" not in written.err
    message = caught.value.message
    assert "\n" not in message
    assert message.endswith(".")
    return caught.value


@pytest.mark.parametrize(
    ("module", "code"),
    [
        (modules.Branch(), "if x.sum() > 0:"),
        (modules.Loop(), "for _ in range(int(x[0, 0])):"),
    ],
)
def test_a_way_that_depends_on_values_is_shown_in_the_code(tmp_path, capfd, module, code):
    error = refusal(module, tmp_path, capfd)
    assert f"`{code}`" in error.message
    assert f"{Path(modules.__file__)}, line " in error.message
    assert "torch.cond" in error.hint


def test_an_operator_without_kernel_is_named(tmp_path, capfd):
    message = refusal(modules.NoKernel(), tmp_path, capfd).message
    assert message == "The runtime has no kernel for aten::special_bessel_j0.out."


def test_an_operator_of_the_models_own_is_named(tmp_path, capfd):
    message = refusal(modules.NoOutVariant(), tmp_path, capfd).message
    assert "slmdeploy_test::twice" in message


def test_a_fault_of_the_model_itself_is_told_apart(tmp_path, capfd):
    message = refusal(modules.Faulty(), tmp_path, capfd).message
    assert message.startswith("The model fails on its example inputs: RuntimeError: mat1 and mat2")


def test_a_model_that_leaves_torch_is_refused(tmp_path, capfd):
    assert "cannot trace the model" in refusal(modules.Foreign(), tmp_path, capfd).message


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (modules.Positive(), "The shape of output 'out0' depends on the values"),
        (modules.Spectrum(), "Output 'out0' is of torch.complex64"),
    ],
)
def test_an_output_that_no_runner_can_give_is_refused(tmp_path, capfd, module, said):
    assert said in refusal(module, tmp_path, capfd).message


def test_an_output_that_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(ExportError, match="Output 'out1' is 'name', not a tensor"):
        export(modules.Named(), [torch.ones(2, 4)], tmp_path, outputs=2)


def test_an_input_that_no_runner_can_be_given_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"Input 'in0' is of torch\.complex64"):
        export(nn.Identity(), [torch.ones(1, dtype=torch.complex64)], tmp_path)


@pytest.mark.parametrize("outputs", [1, 3])
def test_every_output_needs_a_name(tmp_path, outputs):
    with pytest.raises(ExportError, match=f"gives 2 outputs, but there are {outputs} names"):
        export(modules.Tagger(), [TOKENS], tmp_path, outputs=outputs)


def test_an_older_artifact_stays_when_the_export_fails(tmp_path):
    (tmp_path / "model.pte").write_bytes(b"older")
    with pytest.raises(ExportError):
        export(modules.Branch(), [torch.ones(2, 4)], tmp_path)
    assert (tmp_path / "model.pte").read_bytes() == b"older"


def test_a_full_disk_leaves_no_part_of_an_artifact(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskSpaceError, match="no room"):
        export(nn.Linear(4, 4), [torch.ones(1, 4)], tmp_path)
    assert list(tmp_path.iterdir()) == []


class Intents:
    """The trained classifier with 100 held-out utterances, encoded."""

    def __init__(self, folder, corpus):
        self.model = read_model(parse_ref(str(folder)))
        rows = [json.loads(line) for line in corpus.read_text().splitlines()[:100]]
        self.inputs = [encode_fixed(self.model, row["text"], LENGTH) for row in rows]
        self.wanted = np.array([row["label"] for row in rows])

    def export(self, recipe, place):
        compressed = compress_module(load_generic(self.model), BUILTIN_RECIPES[recipe])
        artifact = export_module(
            compressed,
            example_inputs(self.model, LENGTH),
            ExecutorchOptions(),
            place / "model.pte",
            **NAMES,
        )
        return self.logits(lambda *inputs: run(artifact, *inputs)[0])

    def logits(self, classify):
        return np.concatenate([classify(*inputs) for inputs in self.inputs])

    def labels(self, logits):
        names = self.model.hf_config["id2label"]
        return np.array([names[str(index)] for index in logits.argmax(-1)])

    def accuracy(self, logits):
        return float((self.labels(logits) == self.wanted).mean())


@pytest.fixture(scope="module")
def intents(repo_root, tiny_intents):
    return Intents(tiny_intents, repo_root / "fixtures/corpora/intents-heldout.jsonl")


@pytest.fixture(scope="module")
def source_logits(intents):
    module = load_generic(intents.model)
    return intents.logits(lambda *inputs: eager(module, *inputs)[0])


@pytest.mark.slow
def test_the_classifier_gives_its_logits_and_accuracy_on_real_utterances(
    tmp_path, intents, source_logits
):
    got = intents.export("none", tmp_path)
    assert np.abs(got - source_logits).max() <= 1e-4
    assert intents.accuracy(got) == intents.accuracy(source_logits) > 0.9


@pytest.mark.slow
def test_the_classifier_in_int8_gives_the_same_labels(tmp_path, intents, source_logits):
    got = intents.labels(intents.export("8da8w", tmp_path))
    assert (got == intents.labels(source_logits)).mean() >= 0.98
