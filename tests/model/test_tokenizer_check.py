from __future__ import annotations

import pytest
import tokenizers
from tokenizers import models

from slmdeploy.errors import TokenizerError
from slmdeploy.model.checks import tokenizer_remarks
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.model.tokenizer_check import require_saved


def test_a_saved_tokenizer_passes(checkpoint, tmp_path):
    tokenizer = Tokenizer.from_directory(checkpoint())
    tokenizer.save(tmp_path)
    require_saved(tokenizer, tmp_path)


def test_a_saved_tokenizer_that_cuts_in_another_way_is_refused(checkpoint, tmp_path):
    tokenizer = Tokenizer.from_directory(checkpoint())
    tokenizer.save(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(file.read_text().replace('"add_prefix_space":false', '"add_prefix_space":true'))
    with pytest.raises(TokenizerError, match=r"cuts the text .* in another way"):
        require_saved(tokenizer, tmp_path)


def test_a_saved_tokenizer_with_other_stops_is_refused(checkpoint, tmp_path):
    tokenizer = Tokenizer.from_directory(checkpoint())
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(TokenizerError, match="has the special tokens"):
        require_saved(tokenizer, tmp_path)


def remarks(text, **configurations) -> str:
    return " ".join(tokenizer_remarks(Tokenizer.from_json(text, **configurations), generates=True))


TEMPLATE = "{{ messages[0].content }}<|im_end|>"


def test_a_stop_that_the_configurations_forget_is_named(bpe_json):
    forgotten = remarks(bpe_json, config={"eos_token": "<|endoftext|>", "chat_template": TEMPLATE})
    assert "ends turns with '<|im_end|>', which no configuration names" in forgotten
    complete = {"eos_token_id": [0, 2]}
    assert remarks(bpe_json, generation=complete, config={"chat_template": TEMPLATE}) == ""


def test_a_stop_that_is_no_token_is_named(bpe_json):
    found = remarks(bpe_json, generation={"eos_token_id": [0, 99999]})
    assert "the stop token 99999, which is no token" in found


def test_a_tokenizer_without_stops_says_so():
    core = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))  # noqa: S106  # no secret
    tokenizer = Tokenizer(core)
    assert "No token is known to end a text" in tokenizer_remarks(tokenizer, generates=True)[0]
    assert tokenizer_remarks(tokenizer, generates=False) == ()
