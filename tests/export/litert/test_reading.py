"""What is read of a file, and files that are none."""

from __future__ import annotations

import pytest

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.litert.reading import read_file
from tests.export.litert.tiny import compressed, export


def test_signatures_are_read_with_their_operators(converted, tmp_path):
    export(compressed(load_recipe("8da4w-channel")), converted(), tmp_path / "model.tflite")
    file = read_file(tmp_path / "model.tflite")
    decode, *prefill = file.graphs
    assert [graph.name for graph in prefill] == ["prefill_4", "prefill_8"]
    assert [tensor.name for tensor in decode.inputs[:3]] == ["tokens", "position", "key_0"]
    # Seven linear layers of two layers' weights, and a mean for every norm.
    assert decode.counts()["FULLY_CONNECTED"] == 2 * 4 + 1 + 2 * 2 + 1
    kinds = {tensor.type for tensor in file.constants().values() if tensor.scales}
    assert kinds == {"INT4", "INT8"}
    assert all(tensor.bytes > 0 for tensor in file.constants().values())


@pytest.mark.parametrize("content", [b"", b"TFL3", b"GGUF" + bytes(64), bytes(7)])
def test_another_kind_of_file_is_refused(content, tmp_path):
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ExportError, match=r"not a LiteRT model|damaged"):
        read_file(tmp_path / "model.tflite")


def test_a_file_whose_offsets_lead_nowhere_is_damaged(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"\xff\xff\xff\x7fTFL3" + bytes(64))
    with pytest.raises(ExportError, match="damaged"):
        read_file(tmp_path / "model.tflite")
