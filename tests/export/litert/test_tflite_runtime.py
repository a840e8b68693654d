"""The 2023 runtime itself: its wheel and a numpy of its time, unpacked beside this Python.

``slmdeploy fetch runtime --runtime tflite-runtime --python 3.11 --arch x86_64`` brings both
into the cache (``scripts/setup`` does so).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import flatbuffers
import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import OfflineError, UnknownNameError
from slmdeploy.export.litert.generic import narrowed
from slmdeploy.export.litert.plugin import TFLITE_RUNTIME
from slmdeploy.export.litert.versions import LARGEST
from slmdeploy.export.options import LitertOptions
from slmdeploy.model.attention import step_logits
from slmdeploy.progress import silent
from slmdeploy.runtime.litert import host_runner
from slmdeploy.verify.ladder import Rung, climb
from tests.export.litert.modules import Masked
from tests.export.litert.tiny import (
    CONTINUATION,
    PROMPT,
    compressed,
    export,
    score,
    snr_db,
    start,
)

NUMBERS = {
    name: number
    for name, number in vars(schema.BuiltinOperator).items()
    if isinstance(number, int) and name != "CUSTOM"
}
PROBE = """
import base64, json, sys
from tflite_runtime.interpreter import Interpreter
for line in sys.stdin:
    name, version, content = json.loads(line)
    try:
        Interpreter(model_content=base64.b64decode(content))
    except (ValueError, RuntimeError):
        continue
    print(name, version)
"""


@pytest.fixture(scope="session")
def old() -> tuple[str, ...]:
    """Entries of PYTHONPATH that lead to tflite-runtime 2.14 and its numpy."""
    try:
        files = host_runner("tflite-runtime")
    except (OfflineError, UnknownNameError) as error:
        pytest.skip(str(error))
    return tuple(files.env["PYTHONPATH"].split(os.pathsep))


def runs_on(old, program, model, folder):
    return score(program, model, folder, "--runtime", "tflite-runtime", path=old)


def eager(module) -> np.ndarray:
    return step_logits(module, torch.from_numpy(PROMPT), torch.from_numpy(CONTINUATION)).numpy()


@pytest.mark.parametrize("name", ["none", "fp16", "w8"])
def test_the_profiles_recipes_compute_what_the_compressed_model_does(
    name, old, converted, program, tmp_path
):
    model = compressed(load_recipe(name))
    path = tmp_path / "model.tflite"
    export(model, converted(), path, runtime="tflite-runtime")
    found = runs_on(old, program, path, tmp_path)
    assert abs(found - eager(model.module)).max() <= 1e-4


def test_it_is_that_runtime_which_ran(old, converted, program, tmp_path):
    path = tmp_path / "model.tflite"
    export(compressed(load_recipe("none")), converted(), path, runtime="tflite-runtime")
    argv = ["--max-new", "2", "--runtime", "tflite-runtime"]
    ran = start(program, path, "generate", *argv, tokens=PROMPT.tolist(), path=old)
    first = ran.events[0]
    assert (first["runtime"], first["runtime_version"]) == ("tflite-runtime", "2.14.0")
    assert ran.of("delegation")[0]["delegate"] == "XNNPACK"
    assert ran.events[-1]["reason"] == "length"


def test_the_ladder_catches_what_it_silently_computes_wrongly(old, converted, program, tmp_path):
    """The default recipe of LiteRT loads in it, runs, and gives nonsense."""
    model = compressed(load_recipe("8da8w"))
    path = tmp_path / "model.tflite"
    export(model, converted(), path, runtime="litert")
    found, reference = runs_on(old, program, path, tmp_path), eager(model.module)
    assert snr_db(reference, found) < 3
    rungs = [
        Rung("compressed", "compressed", lambda: reference),
        Rung("artifact", "artifact", lambda: found),
    ]
    results = climb(rungs, precision="int8")
    assert results[-1].status == "fail"
    assert "snr_db" in results[-1].reason


def test_masks_are_looked_up_in_a_version_that_it_has(old, program, tmp_path):
    """The converter would have it look booleans up, which came after it."""
    inputs = torch.rand(1, 6) + 1, torch.tensor([[1, 1, 0, 1, 0, 0]])
    path, module = tmp_path / "model.tflite", Masked()
    artifact = TFLITE_RUNTIME.export_module(
        compress_module(module, load_recipe("none")),
        module,
        inputs,
        LitertOptions(),
        path,
        input_names=("x", "mask"),
        output_names=("kept",),
        progress=silent,
    )
    assert artifact.methods["forward"].operators["GATHER_ND"] <= LARGEST["GATHER_ND"]
    flags = ["--runtime", "tflite-runtime", "--method", "forward", "--output-dir", str(tmp_path)]
    for index, value in enumerate(narrowed(inputs, ("x", "mask"))):
        (tmp_path / f"{index}.bin").write_bytes(value.numpy().tobytes())
        flags += ["--input", str(tmp_path / f"{index}.bin")]
    ran = start(program, path, "invoke", *flags, path=old)
    assert ran.code == 0, (ran.events, ran.stderr)
    found = np.fromfile(ran.of("output")[0]["file"], np.float32)
    np.testing.assert_array_equal(found, artifact.traced[0][0])
    assert found[2] == 0 < found[3]


def test_operators_of_a_later_version_are_named(old, program, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(only_operator("FULLY_CONNECTED", 12))
    flags = ["--runtime", "tflite-runtime"]
    ran = start(program, path, "describe", *flags, path=old)
    assert (ran.code, ran.error["cause"]) == (3, "operator_missing")
    assert "'FULLY_CONNECTED' version '12'" in ran.error["message"]


def only_operator(name: str, version: int) -> bytes:
    """A model of no use that asks for one operator; a runtime looks that up when it loads."""
    code, graph, model = schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    number = NUMBERS[name]
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [], [], []
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_the_table_of_versions_is_what_it_loads(old):
    cases = [(name, version) for name in NUMBERS for version in range(1, 16)]
    lines = [
        json.dumps([name, version, base64.b64encode(only_operator(name, version)).decode()])
        for name, version in cases
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(old)},
    )
    found: dict[str, int] = {}
    for line in done.stdout.splitlines():
        name, version = line.split()
        found[name] = max(int(version), found.get(name, 0))
    assert found == dict(LARGEST)
