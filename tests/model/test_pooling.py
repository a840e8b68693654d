from __future__ import annotations

import json

import pytest

from slmdeploy.errors import ModelReadError, UnsupportedModelError, UsageError
from slmdeploy.model.pooling import Pooling, parse_pooling, read_pooling

PARTS = ("Transformer", "Pooling", "Normalize")


def write(folder, *, parts=PARTS, **pooling):
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{part}" if i else "", "type": f"st.models.{part}"}
        for i, part in enumerate(parts)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


@pytest.mark.parametrize(
    ("given", "modes"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, ("mean",)),
        ({"pooling_mode_cls_token": True}, ("cls",)),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ("max", "mean")),
        ({"pooling_mode": "mean", "embedding_dimension": 4}, ("mean",)),
        ({"pooling_mode": ["mean", "cls"]}, ("cls", "mean")),
    ],
)
def test_both_forms_of_the_pooling_file_are_read(tmp_path, given, modes):
    assert read_pooling(write(tmp_path, **given), None) == Pooling(modes, normalize=True)


def test_without_the_part_that_normalizes_nothing_does(tmp_path):
    folder = write(tmp_path, parts=PARTS[:2], pooling_mode_mean_tokens=True)
    assert str(read_pooling(folder, None)) == "mean"


def test_the_length_that_texts_are_cut_to_is_read(tmp_path):
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 256}')
    folder = write(tmp_path, pooling_mode_mean_tokens=True)
    assert read_pooling(folder, None).max_length == 256
    assert read_pooling(folder, "cls") == Pooling(("cls",), normalize=False, max_length=256)


@pytest.mark.parametrize(
    ("parts", "pooling", "named"),
    [
        (("Transformer", "Pooling", "Dense"), {"pooling_mode_mean_tokens": True}, "'Dense'"),
        (PARTS, {"pooling_mode_lasttoken": True}, "'lasttoken'"),
        (PARTS, {"pooling_mode": "weightedmean"}, "'weightedmean'"),
    ],
)
def test_what_we_do_not_have_is_refused_by_name(tmp_path, parts, pooling, named):
    with pytest.raises(UnsupportedModelError, match=named):
        read_pooling(write(tmp_path, parts=parts, **pooling), None)


def test_where_nothing_says_how_to_pool_the_user_must(tmp_path):
    with pytest.raises(ModelReadError, match="does not say") as caught:
        read_pooling(tmp_path, None)
    assert "--pooling mean" in caught.value.hint
    assert read_pooling(tmp_path, "mean+normalize") == Pooling(("mean",), normalize=True)


@pytest.mark.parametrize("damaged", ["{", "{}", "[1]"])
def test_a_damaged_list_of_parts_is_our_error(tmp_path, damaged):
    (tmp_path / "modules.json").write_text(damaged)
    with pytest.raises(ModelReadError, match=r"modules\.json"):
        read_pooling(tmp_path, None)


def test_a_list_without_pooling_is_our_error(tmp_path):
    with pytest.raises(ModelReadError, match="lists no pooling"):
        read_pooling(write(tmp_path, parts=("Transformer",)), None)


def test_an_unknown_way_lists_the_known_ones():
    with pytest.raises(UsageError, match="'sum' is not a way") as caught:
        parse_pooling("sum")
    assert "cls, max, mean" in caught.value.hint
    assert str(parse_pooling("cls+normalize")) == "cls+normalize"
