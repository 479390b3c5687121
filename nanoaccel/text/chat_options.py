"""What a user may give to a chat beside its messages, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nanoaccel.errors import ConfigError

# Set by the other fields, or not a template's business; see transformers' `apply_chat_template`.
_RESERVED = (
    "messages",
    "conversation",
    "tools",
    "documents",
    "chat_template",
    "add_generation_prompt",
    "continue_final_message",
    "tokenize",
    "return_assistant_tokens_mask",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """How messages become a prompt, as in transformers' ``apply_chat_template``.

    Args:
        tools: Functions that the model may call, each a JSON schema as OpenAI's API has it.
        documents: Texts that the model may cite, as its chat template takes them.
        template: Name of one of the model's chat templates; None is "tool_use" for a chat with
            tools where the model has it, else its "default".
        continue_final_message: Whether the prompt ends inside the last message, which the model
            goes on writing.
        add_generation_prompt: Whether the prompt ends with what starts the model's answer; None: it
            does unless the last message is to be continued.
        template_kwargs: Variables for the chat template, such as ``enable_thinking``.

    Raises:
        ConfigError: A value has the wrong form, or two contradict each other.

    Examples:
        >>> from nanoaccel import LLM, ChatOptions, RequestOptions
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> messages.append({"role": "assistant", "content": "Hello"})
        >>> options = RequestOptions(chat=ChatOptions(continue_final_message=True))
        >>> with LLM("bundle") as llm:
        ...     output = llm.generate(messages, options=options)
        >>> output.finish_reason in ("stop", "length")
        True
    """

    tools: Sequence[Mapping[str, object]] | None = None
    documents: Sequence[Mapping[str, object]] | None = None
    template: str | None = None
    continue_final_message: bool = False
    add_generation_prompt: bool | None = None
    template_kwargs: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_mappings("tools", self.tools, "JSON schemas of functions")
        _check_mappings("documents", self.documents, "documents with a title and a text")
        if self.template is not None and not isinstance(self.template, str):
            raise ConfigError(f"template={self.template!r:.80} is no name", "Give it a string")
        if self.continue_final_message and self.add_generation_prompt:
            raise ConfigError(
                "continue_final_message and add_generation_prompt contradict each other",
                "The last message is continued, or a new one begins: leave one of them out",
            )
        if not isinstance(self.template_kwargs, Mapping):
            raise ConfigError(
                f"template_kwargs is a {type(self.template_kwargs).__name__}",
                "Pass a mapping such as {'enable_thinking': False}",
            )
        for name in self.template_kwargs:
            if not isinstance(name, str) or name in _RESERVED:
                raise ConfigError(
                    f"template_kwargs holds {name!r:.80}, which is no variable of a user",
                    "Use the option of that name, or leave it out",
                )

    @property
    def begins_answer(self) -> bool:
        """Whether the prompt ends with what starts the model's answer."""
        if self.add_generation_prompt is None:
            return not self.continue_final_message
        return self.add_generation_prompt


def _check_mappings(name: str, values: object, what: str) -> None:
    if values is None:
        return
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise ConfigError(f"{name} is a {type(values).__name__}", f"Pass a list of {what}")
    for place, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"{name}[{place}] is a {type(value).__name__}", f"{name} is a list of {what}"
            )
