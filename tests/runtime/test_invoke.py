from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.runtime.conftest import Run
from tests.runtime.programs import CAPACITY, CHUNK, CONTEXT, VOCAB, Programs


def test_outputs_come_with_shape_and_type(run: Run, programs: Programs, tmp_path: Path) -> None:
    x, n = np.arange(6, dtype="<f4").reshape(2, 3), np.array([10, 20], "<i8")
    x.tofile(tmp_path / "x")
    n.tofile(tmp_path / "n")
    argv = ["--method", "forward", "--output-dir", str(tmp_path), "--runs", "3", "--warmup", "2"]
    inputs = ["--input", str(tmp_path / "x"), "--input", str(tmp_path / "n")]
    ran = run(programs.generic, "invoke", *argv, *inputs)
    assert [e["index"] for e in ran.of("run")] == [0, 1, 2]
    outputs = [(e["dtype"], e["shape"]) for e in ran.of("output")]
    assert outputs == [("float32", [2, 3]), ("float32", [2, 3])]
    files = [np.fromfile(e["file"], "<f4").reshape(2, 3) for e in ran.of("output")]
    np.testing.assert_array_equal(files[0], x + n[:, None])
    np.testing.assert_array_equal(files[1], x * 2)


def test_describe_lists_methods_constants_and_their_tensors(run: Run, programs: Programs) -> None:
    ran = run(programs.llm, "describe")
    constants = {e["name"]: e["value"] for e in ran.of("constant")}
    assert constants == {
        "get_context": CONTEXT,
        "get_capacity": CAPACITY,
        "get_vocab_size": VOCAB,
        "get_prefill_chunk": CHUNK,
    }
    methods = {e["name"]: e for e in ran.of("method")}
    assert methods["prefill"]["inputs"] == [
        {"dtype": "int64", "shape": [1, CHUNK]},
        {"dtype": "int64", "shape": [1]},
        {"dtype": "int64", "shape": [1]},
    ]
    assert methods["decode"]["outputs"] == [{"dtype": "float32", "shape": [1, VOCAB]}]
    assert set(methods["decode"]["backends"]) == {"XnnpackBackend"}
    assert methods["decode"]["problem"] is None
    # Arena 1 holds the cache, the same in both methods: keys and values, two layers.
    assert {m["planned_bytes"][1] for m in methods.values()} == {2 * 2 * CAPACITY * 2 * 8 * 4}
