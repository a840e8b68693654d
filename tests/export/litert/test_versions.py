"""What is known of tflite-runtime 2.14, and what is refused for it."""

from __future__ import annotations

import pytest

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.litert.reading import FileGraph, FileOperator, FileTensor, TfliteFile
from slmdeploy.export.litert.versions import LARGEST, problem, require_versions
from tests.export.litert.tiny import compressed, export


def operator(
    name: str, version: int = 1, kind: str = "FLOAT32", *, scales: int = 0, block: int = 0
):
    weight = FileTensor("w", kind, (8, 64), constant=1, bytes=512, scales=scales, block=block)
    return FileOperator(name, version, (None, weight), ())


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (operator("STABLEHLO_COMPOSITE"), "has no operator STABLEHLO_COMPOSITE"),
        (operator("GATHER_ND", 5), "GATHER_ND up to version 4, and the model needs 5"),
        (operator("FULLY_CONNECTED", 5, "INT8", scales=8), "version 10, and the model needs 12"),
        (operator("FULLY_CONNECTED", 5, "INT4", scales=16, block=32), "the model needs 13"),
        (operator("EMBEDDING_LOOKUP", 1, "INT8", scales=8), "version 3, and the model needs 4"),
        (operator("DEQUANTIZE", 1, "INT4", scales=8), "version 5, and the model needs 6"),
    ],
)
def test_operators_that_it_lacks_or_computes_wrongly_are_named(form, words):
    assert words in problem(form)
    with pytest.raises(ExportError, match=r"tflite-runtime 2\.14 has .*\(decode\)"):
        require_versions(TfliteFile((FileGraph("decode", (), (), (form,)),)))


@pytest.mark.parametrize(
    "form",
    [
        operator("FULLY_CONNECTED", 5),
        operator("FULLY_CONNECTED", 5, "INT8", scales=1),
        operator("DEQUANTIZE", 1, "INT8", scales=8),
        operator("DEQUANTIZE", 1, "FLOAT16"),
        operator("EMBEDDING_LOOKUP"),
        operator("BROADCAST_TO", 2),
    ],
)
def test_operators_that_it_has_pass(form):
    assert problem(form) is None


@pytest.mark.parametrize("name", ["8da8w", "8da4w", "8da4w-channel", "w4"])
def test_an_artifact_that_it_would_compute_wrongly_is_refused(name, converted, tmp_path):
    model = compressed(load_recipe(name))
    with pytest.raises(ExportError, match=r"tflite-runtime 2\.14 has \w+ up to version"):
        export(model, converted(), tmp_path / "model.tflite", runtime="tflite-runtime")


def test_the_table_has_no_operators_of_later_years():
    assert len(LARGEST) > 120
    assert "STABLEHLO_ADD" not in LARGEST
    assert LARGEST["FULLY_CONNECTED"] == 10
