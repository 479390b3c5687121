"""A model's chat template: messages in, prompt text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nanoaccel.errors import BundleError, RequestError
from nanoaccel.text.messages import check_messages, cut_at_mark, mark_end, plain
from nanoaccel.text.template_environment import template_environment
from nanoaccel.text.template_time import MOST_SECONDS, TemplateTimeError, limited

if TYPE_CHECKING:
    from jinja2 import Template

_NO_VARIABLES: Mapping[str, object] = {}


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

    @property
    def source(self) -> str:
        """The template, in jinja2's language."""
        return self._source

    def render(
        self,
        messages: Sequence[Mapping[str, object]],
        add_generation_prompt: bool = True,
        *,
        tools: Sequence[Mapping[str, object]] | None = None,
        documents: Sequence[Mapping[str, object]] | None = None,
        continue_final_message: bool = False,
        variables: Mapping[str, object] = _NO_VARIABLES,
    ) -> str:
        """The prompt for `messages`, each with a `role` and a `content`.

        Args:
            messages: The conversation; further keys of a message are for the template.
            add_generation_prompt: End with what starts the model's answer.
            tools: What the model may call.
            documents: What the model may cite.
            continue_final_message: End inside of the last message.
            variables: More of them for the template, before its special tokens.

        Raises:
            RequestError: The messages are malformed, the template refuses them, or it takes too
                long for them.
            BundleError: The template cannot be parsed.
        """
        checked = check_messages(messages)
        last = mark_end(checked) if continue_final_message else None
        if self._compiled is None:
            self._compiled = self._compile()
        given = {
            **self._special_tokens,
            **variables,
            "messages": checked,
            "tools": plain(tools),
            "documents": plain(documents),
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            with limited():
                prompt = self._compiled.render(given)
        except TemplateTimeError:
            raise RequestError(
                f"{self._origin} takes more than {MOST_SECONDS:g} seconds for these messages",
                "Send fewer or shorter ones",
            ) from None
        except Exception as error:
            # Foreign code ran: what it raises, jinja2's errors or Python's, is about the messages.
            raise RequestError(
                f"{self._origin} refused the messages ({_one_line(error)})",
                "Change the messages to what the template takes",
            ) from error
        return prompt if last is None else cut_at_mark(prompt, last)

    def _compile(self) -> Template:
        from jinja2 import TemplateSyntaxError

        try:
            return template_environment().from_string(self._source)
        except (SyntaxError, TemplateSyntaxError, RecursionError) as error:
            line = "" if isinstance(error, RecursionError) else f"line {error.lineno}: "
            raise BundleError(
                f"{self._origin} cannot be parsed ({line}{_one_line(error)})",
                "Take the chat template of the original model again",
            ) from error


def _one_line(error: Exception) -> str:
    from jinja2 import TemplateError

    text = " ".join(str(error).split())
    return text if isinstance(error, TemplateError) else f"{type(error).__name__}: {text}"
