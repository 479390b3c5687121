"""The chat templates of a model, by name, from the files beside its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nanoaccel.errors import BundleDamagedError, RequestError
from nanoaccel.text.chat_options import ChatOptions
from nanoaccel.text.chat_template import ChatTemplate
from nanoaccel.text.json_files import REMEDY, read_json

_DEFAULT, _WITH_TOOLS = "default", "tool_use"
_FOLDER = "additional_chat_templates"


class ChatTemplates:
    """Chooses the template of a chat, as transformers' `get_chat_template`.

    Args:
        templates: Name to template; none for a model that was made for plain text.
    """

    def __init__(self, templates: Mapping[str, ChatTemplate]) -> None:
        self._templates = dict(templates)

    @classmethod
    def load(
        cls, folder: Path, config: Mapping[str, object], special_tokens: Mapping[str, str]
    ) -> ChatTemplates:
        """Read all templates of a folder.

        Args:
            folder: Where the files are.
            config: tokenizer_config.json, which may hold them too.
            special_tokens: Variables for every template.

        Raises:
            BundleDamagedError: A file cannot be read.
        """
        found = _from_files(folder) or _from_config(folder, config)
        return cls(
            {
                name: ChatTemplate(source, special_tokens, origin=origin)
                for name, (source, origin) in found.items()
            }
        )

    @property
    def has_default(self) -> bool:
        """Whether a chat needs to name no template."""
        return _DEFAULT in self._templates

    @property
    def by_name(self) -> Mapping[str, str]:
        """Every template in jinja2, by name."""
        return {name: template.source for name, template in self._templates.items()}

    @property
    def sources(self) -> tuple[str, ...]:
        """The templates that a chat gets which names none: without tools, and with."""
        names = [name for name in (_DEFAULT, _WITH_TOOLS) if name in self._templates]
        return tuple(self._templates[name].source for name in names)

    def render(self, messages: Sequence[Mapping[str, object]], options: ChatOptions) -> str:
        """The prompt for a chat.

        Raises:
            RequestError: There is no such template, or it refuses the messages.
            BundleError: The template cannot be parsed.
        """
        return self._choose(options).render(
            messages,
            options.begins_answer,
            tools=options.tools,
            documents=options.documents,
            continue_final_message=options.continue_final_message,
            variables=options.template_kwargs,
        )

    def _choose(self, options: ChatOptions) -> ChatTemplate:
        if not self._templates:
            raise RequestError(
                "the model has no chat template", "Pass the prompt as text instead of messages"
            )
        name = options.template
        if name is None:
            tools = options.tools is not None and _WITH_TOOLS in self._templates
            name = _WITH_TOOLS if tools else _DEFAULT
        if name not in self._templates:
            raise RequestError(
                f"the model has no chat template '{name}'",
                f"Name one in ChatOptions(template=...): {', '.join(sorted(self._templates))}",
            )
        return self._templates[name]


def _from_files(folder: Path) -> dict[str, tuple[str, str]]:
    """Source and origin by name; files outdate what a config holds."""
    paths = {path.stem: path for path in sorted((folder / _FOLDER).glob("*.jinja"))}
    if (folder / "chat_template.jinja").exists():
        paths[_DEFAULT] = folder / "chat_template.jinja"
    return {name: (_read(path), path.name) for name, path in paths.items()}


def _from_config(folder: Path, config: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    path, found = folder / "tokenizer_config.json", config.get("chat_template")
    if found is None:
        path = folder / "chat_template.json"
        found = read_json(path).get("chat_template")
    if isinstance(found, list):
        found = {part.get("name"): part.get("template") for part in found if type(part) is dict}
    named = found if isinstance(found, dict) else {_DEFAULT: found}
    templates = {}
    for name, source in named.items():
        if not isinstance(name, str) or not isinstance(source, str | None):
            raise BundleDamagedError(f"chat_template in {path} is {found!r:.80}", REMEDY)
        if source is not None:
            templates[name] = (source, path.name)
    return templates


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BundleDamagedError(f"{path} cannot be read: {error}", REMEDY) from error
