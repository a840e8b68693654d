"""From events of a runner to text."""

from __future__ import annotations

import pytest

from slmdeploy.errors import UsageError
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.runtime.protocol import Event
from slmdeploy.steps.outcomes import Generated, GenerationEnd
from slmdeploy.steps.talking import pieces, prompt_ids


@pytest.fixture(scope="module")
def tokenizer(tiny_kjv):
    found = read_model(parse_ref(str(tiny_kjv))).tokenizer
    assert found is not None
    return found


class _Bundle:
    class manifest:  # noqa: N801 - stands for the attribute of a bundle
        name = "tiny-kjv--local"
        context = 16


def _token(token_id, t_ns):
    return Event("token", {"id": token_id, "t_ns": t_ns})


def test_the_pieces_make_the_text_and_the_end_sums_up(tokenizer):
    ids = tokenizer.encode(" In the beginning")
    events = [Event("prefill", {"start_ns": 0, "end_ns": 5})]
    events += [_token(value, 10 + 10 * index) for index, value in enumerate(ids)]
    *spoken, end = pieces(iter([*events, Event("done", {"reason": "length"})]), tokenizer, 3)
    assert "".join(piece.text for piece in spoken) == " In the beginning"
    assert all(isinstance(piece, Generated) for piece in spoken)
    assert isinstance(end, GenerationEnd)
    assert (end.reason, end.prompt_tokens, end.generated_tokens) == ("length", 3, len(ids))
    assert end.ttft_ns == 10
    assert end.decode_tokens_per_s == pytest.approx(1e9 / 10)


def test_a_stop_token_is_not_text(tokenizer):
    stop = tokenizer.stop_ids[0]
    events = [_token(stop, 1), Event("done", {"reason": "stop"})]
    found = list(pieces(iter(events), tokenizer, 1))
    assert [type(item) for item in found] == [GenerationEnd]
    assert found[0].reason == "stop"


def test_one_token_has_no_rate(tokenizer):
    *_, end = pieces(iter([_token(5, 1)]), tokenizer, 1)
    assert end.decode_tokens_per_s is None


def test_a_prompt_that_fills_the_context_is_refused(tokenizer):
    with pytest.raises(UsageError, match="holds 16"):
        prompt_ids(_Bundle, tokenizer, "and " * 20, system=None, raw=True)


def test_an_empty_prompt_is_refused(tokenizer):
    with pytest.raises(UsageError, match="empty"):
        prompt_ids(_Bundle, tokenizer, "", system=None, raw=True)


def test_a_system_message_needs_a_template(tokenizer):
    with pytest.raises(UsageError, match="no chat template"):
        prompt_ids(_Bundle, tokenizer, "Hello", system="Be short.", raw=False)
