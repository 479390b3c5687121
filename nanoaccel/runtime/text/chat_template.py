"""A model's chat template: messages in, prompt text out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from nanoaccel.errors import BundleError, RequestError

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from jinja2.nodes import Node
    from jinja2.parser import Parser


class ChatTemplate:
    """Renders messages as the model saw them in training.

    A template is a program that came with a model, so it runs in jinja2's sandbox. Its variables
    and functions are those of transformers' `apply_chat_template`.

    Args:
        source: The template, in jinja2's language.
        special_tokens: Variables such as `bos_token`; one that is not named is undefined.
        origin: The file of the template, for messages.
    """

    __slots__ = ("_compiled", "_origin", "_source", "_special_tokens")

    def __init__(
        self,
        source: str,
        special_tokens: Mapping[str, str],
        origin: str = "the chat template",
    ) -> None:
        self._source = source
        self._special_tokens = dict(special_tokens)
        self._origin = origin
        self._compiled: Template | None = None

    def render(
        self, messages: Sequence[Mapping[str, object]], add_generation_prompt: bool = True
    ) -> str:
        """The prompt for `messages`, each with a string `role` and a string `content`.

        Args:
            messages: The conversation; further keys of a message are for the template.
            add_generation_prompt: End with what starts the model's answer.

        Raises:
            RequestError: The messages are malformed, or the template refuses them.
            BundleError: The template cannot be parsed.
        """
        checked = _check_messages(messages)
        if self._compiled is None:
            self._compiled = self._compile()
        try:
            return self._compiled.render(
                messages=checked,
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                **self._special_tokens,
            )
        except Exception as error:
            # Foreign code ran: what it raises, jinja2's errors or Python's, is about the messages.
            raise RequestError(
                f"{self._origin} refused the messages ({_one_line(error)})",
                "Change the messages to what the template takes",
            ) from error

    def _compile(self) -> Template:
        from jinja2 import TemplateSyntaxError

        try:
            return _environment().from_string(self._source)
        except (TemplateSyntaxError, RecursionError) as error:
            line = f"line {error.lineno}: " if isinstance(error, TemplateSyntaxError) else ""
            raise BundleError(
                f"{self._origin} cannot be parsed ({line}{_one_line(error)})",
                "Take the chat template of the original model again",
            ) from error


def _check_messages(messages: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    if not isinstance(messages, Sequence) or not messages:
        raise RequestError(
            "messages is not a list of at least one message",
            "Pass a list such as [{'role': 'user', 'content': 'Hello'}]",
        )
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise RequestError(
                f"messages[{index}] is a {type(message).__name__}",
                "Pass a mapping with 'role' and 'content'",
            )
        for key in ("role", "content"):
            if not isinstance(message.get(key), str):
                raise RequestError(
                    f"messages[{index}]['{key}'] is {message.get(key)!r:.80}",
                    "It must be a string",
                )
    return [dict(message) for message in messages]


def _one_line(error: Exception) -> str:
    from jinja2 import TemplateError

    text = " ".join(str(error).split())
    return text if isinstance(error, TemplateError) else f"{type(error).__name__}: {text}"


@cache
def _environment() -> Environment:
    """The environment in which transformers runs chat templates (chat_template_utils.py)."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class GenerationTag(Extension):
        """`{% generation %}` marks the model's words for training; here it changes nothing."""

        tags = {"generation"}  # noqa: RUF012 - jinja2 names its type

        def parse(self, parser: Parser) -> Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationTag, "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # jinja2's own filter escapes HTML, which is no part of a prompt.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)
