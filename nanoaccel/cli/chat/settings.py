"""Sampling parameters that are shown and changed by their names, as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from nanoaccel.errors import SamplingError
from nanoaccel.registry import did_you_mean

if TYPE_CHECKING:
    from nanoaccel.runtime.sampling import SamplingParams

_DEFAULT = "default"
_NOT_HERE = ("n", "logprobs", "prompt_logprobs", "logit_bias", "stop_token_ids")
_WORDS = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def show_settings(params: SamplingParams) -> list[tuple[str, str]]:
    """Each parameter with its value."""
    return [(name, _text(getattr(params, name))) for name in _names()]


def change_setting(params: SamplingParams, name: str, value: str) -> SamplingParams:
    """The same parameters but for one.

    Args:
        params: As they are.
        name: Name of a parameter, as in Python or as on the command line.
        value: As typed; "default" is what it is without being set.

    Raises:
        SamplingError: There is no such parameter, or the value is wrong.
    """
    name = name.lstrip("-").replace("-", "_")
    if name not in _names():
        raise SamplingError(f"there is no setting {name!r}", did_you_mean(name, _names()))
    if value == _DEFAULT:
        return replace(params, **{name: getattr(type(params)(), name)})
    return replace(params, **{name: _parse(name, value)})


def _names() -> list[str]:
    return [field.name for field in fields(_kind()) if field.name not in _NOT_HERE]


def _parse(name: str, value: str) -> Any:
    hint = get_type_hints(_kind())[name]
    kinds = (hint, *get_args(hint))
    if bool in kinds:
        return _read(name, value, lambda text: _WORDS[text.lower()], "on or off")
    if float in kinds:
        return _read(name, value, float, "a number")
    if int in kinds:
        return _read(name, value, int, "a whole number")
    return (value,)


def _read(name: str, value: str, read: Callable[[str], Any], wanted: str) -> Any:
    try:
        return read(value)
    except (ValueError, KeyError):
        raise SamplingError(
            f"{name} {value!r} is not {wanted}", f"Write it as: /set {name} VALUE"
        ) from None


def _text(value: Any) -> str:
    if value is None:
        return _DEFAULT
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(repr, value)) if value else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _kind() -> type[SamplingParams]:
    from nanoaccel.runtime.sampling import SamplingParams

    return SamplingParams
