"""The environment in which transformers runs chat templates (its chat_template_utils.py)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from nanoaccel.text.template_time import check_time, in_time

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.nodes import Node
    from jinja2.parser import Parser
    from jinja2.runtime import Context, Macro


_IN_TIME = "nanoaccel_in_time"


@cache
def template_environment() -> Environment:
    """A sandbox with what templates may use."""
    from jinja2 import nodes, pass_context
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class GenerationTag(Extension):
        """`{% generation %}` marks the model's words for training; here it changes nothing."""

        tags = {"generation"}  # noqa: RUF012 - jinja2 names its type

        def parse(self, parser: Parser) -> Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            # A block that is called, as there: what it sets stays in it.
            return nodes.CallBlock(self.call_method("_words"), [], [], body).set_lineno(line)

        def _words(self, caller: Macro) -> str:
            words: str = caller()
            return words

    @pass_context  # so that jinja2 does not run it when it compiles
    def in_time_of_run(_: Context, items: Iterable[object]) -> Iterator[object]:
        return in_time(items)

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    class TimedEnvironment(ImmutableSandboxedEnvironment):
        """Looks at the clock in each round of a loop and before each call."""

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            tree = super()._parse(source, name, filename)
            for loop in list(tree.find_all(nodes.For)):
                loop.iter = nodes.Filter(
                    loop.iter, _IN_TIME, [], [], None, None, lineno=loop.lineno
                )
            return tree

        def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
            check_time()
            return super().call(context, called, *args, **kwargs)

    environment = TimedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationTag, "jinja2.ext.loopcontrols"],
    )
    environment.filters[_IN_TIME] = in_time_of_run
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _to_json(
    x: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # jinja2's own filter escapes HTML, which is no part of a prompt.
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _strftime_now(format: str) -> str:
    return datetime.now().strftime(format)
