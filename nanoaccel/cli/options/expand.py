"""Gives typer the options of a command one by one where the command takes dataclasses of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """The command with a parameter for each field of a dataclass that it takes."""
    # Not get_type_hints(): Python 3.10 wraps what defaults to None, and typer's marks are lost.
    taken = inspect.signature(function, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: item.annotation for name, item in taken.items() if is_dataclass(item.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in taken.items():
        if name in groups:
            parameters.extend(_parameters_of(groups[name]))
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{item.name: values.pop(item.name) for item in fields(kind)})
        function(**values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    return command


def _parameters_of(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if item.default is MISSING else item.default,
            annotation=hints[item.name],
        )
        for item in fields(kind)
    ]
