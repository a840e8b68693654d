"""Chat templates: Jinja, in a sandbox, as checkpoints bring them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser

from slmdeploy.errors import TokenizerError
from slmdeploy.model.chat_limits import LIMIT_CHARACTERS, LimitedEnvironment, limited_steps

__all__ = ["render_chat_template"]

_MOST_INDENT = 16
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,  # Jinja writes 1e999 as ``inf``
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What Python code that was made of any text may raise."""


class _GenerationTag(jinja2.ext.Extension):
    """``{% generation %}`` marks what the model says, for training; here it is its body."""

    tags = frozenset({"generation"})  # type: ignore[assignment]

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def render_chat_template(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool,
    tokens: Mapping[str, str],
) -> str:
    """Write messages as the text that the model was trained on.

    Args:
        template: The checkpoint's template.
        messages: Each with ``role`` and ``content``.
        add_generation_prompt: End with what makes the model answer.
        tokens: ``bos_token``, ``eos_token`` and others, as text.

    Raises:
        TokenizerError: The template is not Jinja, does what the sandbox forbids, or
            refuses the messages.
    """
    given = {"messages": list(messages), "add_generation_prompt": add_generation_prompt}
    try:
        compiled = _environment().from_string(template)
        with limited_steps():
            return _joined(compiled.generate(given, tools=None, documents=None, **tokens))
    except jinja2.TemplateSyntaxError as error:
        raise TokenizerError(
            f"The chat template is not valid Jinja: {error.message} (line {error.lineno})."
        ) from error
    except jinja2.TemplateError as error:
        raise TokenizerError(f"The chat template refuses these messages: {error}.") from error
    except _FAILURES as error:
        raise TokenizerError(f"The chat template failed on these messages: {error}.") from error


def _joined(parts: Iterable[str]) -> str:
    """The text, as long as it stays within the limit."""
    found, size = [], 0
    for part in parts:
        found.append(part)
        size += len(part)
        if size > LIMIT_CHARACTERS:
            raise jinja2.TemplateError(f"its text grows beyond {LIMIT_CHARACTERS:,} characters")
    return "".join(found)


def _environment() -> jinja2.Environment:
    environment = LimitedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[jinja2.ext.loopcontrols, _GenerationTag],
    )
    environment.filters["tojson"] = _to_json
    helpers: dict[str, Callable[..., Any]] = {
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
    }
    environment.globals.update(helpers)
    return environment


def _to_json(value: Any, *, indent: int | None = None, ensure_ascii: bool = False) -> str:
    # Jinja's own filter escapes < and > for HTML, which a model was not trained on.
    if indent is not None and not 0 <= indent <= _MOST_INDENT:
        raise jinja2.TemplateError(f"it indents JSON by {indent}")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
