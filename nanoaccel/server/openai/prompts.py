"""Prompts as requests write them: one or several, as texts or token ids."""

from __future__ import annotations

from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.http.fields import Fields, shown


def read_prompts(fields: Fields, name: str, limit: int) -> list[Prompt]:
    """The prompts of a request.

    Args:
        fields: Of the request.
        name: The field that holds them.
        limit: Prompts at most.

    Raises:
        ApiError: There is none, or they are too many or malformed.
    """
    given = fields.raw(name)
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise bad_request(
            f"{name} is {'missing or empty' if not given else shown(given)}. Send a string, a "
            "list of token ids, or a list of these",
            name,
        )
    if all(isinstance(item, int) for item in given):
        return [given]
    if len(given) > limit:
        raise bad_request(f"{name} holds {len(given)} prompts. At most {limit} are allowed", name)
    for place, item in enumerate(given):
        ids = isinstance(item, list) and all(isinstance(token, int) for token in item)
        if not ids and not isinstance(item, str):
            raise bad_request(
                f"{name}[{place}] is {shown(item)}. It must be a string or a list of token ids",
                name,
            )
    return given
