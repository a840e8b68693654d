from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import TokenizerError
from slmdeploy.model.chat import render_chat_template

HI = [{"role": "user", "content": "<hi> & é"}]


def render(template, messages=HI, *, prompt=True, **tokens):
    return render_chat_template(template, messages, add_generation_prompt=prompt, tokens=tokens)


def test_blocks_leave_no_blank_lines_behind():
    template = "{% for m in messages %}\n  {{ m.role }}: {{ m.content }}\n{% endfor %}\n"
    assert render(template) == "  user: <hi> & é\n"


def test_the_generation_prompt_is_only_there_when_asked_for():
    template = "x{% if add_generation_prompt %}>{% endif %}"
    assert (render(template), render(template, prompt=False)) == ("x>", "x")


def test_special_tokens_are_known_by_name():
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    assert render("{{ bos_token }}|{{ eos_token }}", **tokens) == "<s>|</s>"


def test_json_is_not_escaped_for_html():
    assert render("{{ messages[0] | tojson }}") == '{"role": "user", "content": "<hi> & é"}'
    assert render("{{ [1] | tojson(indent=1) }}") == "[\n 1\n]"


def test_loops_can_be_left():
    assert render("{% for i in [1,2,3] %}{{ i }}{% break %}{% endfor %}") == "1"


def test_what_is_marked_for_training_is_its_body():
    assert render("a{% generation %}b{% endgeneration %}c") == "abc"


def test_the_date_is_known():
    assert render("{{ strftime_now('%Y') }}").isdigit()


def test_a_template_may_refuse_messages():
    with pytest.raises(TokenizerError, match="refuses these messages: roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
    ],
)
def test_the_sandbox_lets_nothing_out(template):
    with pytest.raises(TokenizerError, match="refuses"):
        render(template)


def test_a_template_that_is_not_jinja_is_named_with_its_line():
    with pytest.raises(TokenizerError, match=r"not valid Jinja.*line 2"):
        render("a\n{% if %}")


def test_a_number_beyond_all_numbers_is_our_error():
    """Jinja compiles it to a name that Python lacks."""
    with pytest.raises(TokenizerError, match="chat template"):
        render("{{ messages[1e999] }}")


def test_messages_of_another_shape_are_our_error():
    with pytest.raises(TokenizerError, match="chat template"):
        render("{{ messages[0]['content'] + 1 }}")


BOMBS = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    (
        "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}"
        "{% endfor %}{{ ns.x }}"
    ),
    (
        "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}"
        "{% endfor %}{{ ns.x }}"
    ),
    (
        "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}"
        "{% endfor %}{{ ns.x }}"
    ),
    "{{ 'a' * 9999999999 }}",
    "{{ 9999999999 * ['a'] }}",
    "{{ 9 ** 9999999999 }}",
    "{{ '%9999999999d' % 1 }}",
    "{{ '{:>9999999999}'.format(1) }}",
    "{{ 'a'.ljust(9999999999) }}",
    "{{ 'a' | center(9999999999) }}",
    "{{ [1] | tojson(indent=9999999999) }}",
    "{{ ('a' * 4000000).replace('a', 'a' * 4000000) }}",
    "{{ ('a' * 4000000) | replace('a', 'a' * 4000000) }}",
    "{{ ('a' * 4000000).join(['b'] * 4000000) }}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for i in range(99999) %}{{ 'a' * 4000000 }}{% endfor %}",
    "{{ ('b\\n' * 2000000) | indent('a' * 4000000) }}",
]


@pytest.mark.parametrize("template", BOMBS)
def test_a_template_cannot_run_on_or_fill_the_memory(template):
    with pytest.raises(TokenizerError, match="chat template"):
        render(template)


def test_a_long_chat_stays_far_within_the_limits():
    chat = [{"role": "user", "content": "words and words " * 60}] * 1000
    template = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}\n{% endfor %}"
    assert len(render(template, chat)) > 900_000


def test_what_traced_before_traces_after():
    before = sys.gettrace()
    render("{{ messages[0].role }}")
    assert sys.gettrace() is before


@given(template=st.text("{}%| ab~*+()[]'0.if", max_size=40))
def test_any_template_gives_text_or_our_error(template):
    with contextlib.suppress(TokenizerError):
        assert isinstance(render(template), str)
