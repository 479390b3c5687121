"""The lines of batch files: requests, and their answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from nanoaccel.server.app import BATCH_URLS
from nanoaccel.server.connections.in_process import Answer

Key: TypeAlias = str | int
"""What an answer is found by: the custom_id, or the number of a line that has none."""

_ID = "batch_req_"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be sent to an endpoint.

    Args:
        code: A word for programs.
        message: What is wrong and what to do.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Request:
    """A line of a file of requests.

    Args:
        number: Its number in the file, from 1.
        custom_id: What its answer is found by; None if it has none.
        url: Path of the endpoint.
        body: JSON for the endpoint.
        problem: Why it cannot be sent; then url and body are empty.
    """

    number: int
    custom_id: str | None
    url: str = ""
    body: bytes = b""
    problem: Problem | None = None

    @property
    def key(self) -> Key:
        """What its answer is found by."""
        return self.number if self.custom_id is None else self.custom_id

    @classmethod
    def parse(cls, number: int, line: bytes) -> Request:
        """Read a line; what is wrong with it becomes its problem.

        Args:
            number: Its number, from 1.
            line: Its bytes.
        """
        try:
            content = json.loads(line)
        except RecursionError:
            return cls(number, None, problem=Problem("invalid_json", "it is nested too deeply"))
        except ValueError as error:  # no JSON, or no UTF-8
            return cls(number, None, problem=Problem("invalid_json", f"it is not JSON: {error}"))
        if not isinstance(content, dict):
            return cls(number, None, problem=Problem("invalid_json", "it is no JSON object"))
        custom_id = content.get("custom_id")
        if not isinstance(custom_id, str) or not custom_id:
            message = f"custom_id is {_shown(custom_id)}. Give each line its own"
            return cls(number, None, problem=Problem("invalid_custom_id", message))
        if (problem := _problem_of(content)) is not None:
            return cls(number, custom_id, problem=problem)
        return cls(number, custom_id, content["url"], json.dumps(content["body"]).encode())

    def answer(self, given: Answer) -> Reply:
        """Its answer, as an endpoint gave it."""
        response = {
            "status_code": given.status,
            "request_id": given.request_id,
            "body": json.loads(given.body),
        }
        return self._reply(response, None, failed=given.status != 200)

    def refusal(self, problem: Problem) -> Reply:
        """Its answer where no endpoint gave one."""
        error = {"code": problem.code, "message": f"line {self.number}: {problem.message}"}
        return self._reply(None, error, failed=True)

    def _reply(self, response: object, error: object, *, failed: bool) -> Reply:
        content = {
            "id": f"{_ID}{self.number}",
            "custom_id": self.custom_id,
            "response": response,
            "error": error,
        }
        return Reply(self.key, json.dumps(content).encode(), failed)


@dataclass(frozen=True, slots=True)
class Reply:
    """A line of a file of answers.

    Args:
        key: Of its request.
        line: Its bytes, without the line's end.
        failed: Whether it holds no completion.
    """

    key: Key
    line: bytes
    failed: bool

    @classmethod
    def parse(cls, line: bytes) -> Reply:
        """Read a line that was written by this module.

        Raises:
            ValueError: It was not.
        """
        content = json.loads(line)
        try:
            name, custom_id, response = content["id"], content["custom_id"], content["response"]
            number = int(name.removeprefix(_ID))
            failed = response is None or response["status_code"] != 200
        except (KeyError, TypeError, AttributeError):
            raise ValueError("it is no answer") from None
        return cls(number if custom_id is None else custom_id, line, failed)


def begins_answer(start: bytes) -> bool:
    """Whether bytes may be the beginning of an answer that was not written to its end."""
    head = f'{{"id": "{_ID}'.encode()
    written = start.rstrip(b"\0")  # a file may have grown before its content reached the disk
    return written.startswith(head) or head.startswith(written)


def _problem_of(content: dict[str, Any]) -> Problem | None:
    if content.get("method") != "POST":
        return Problem("invalid_method", f'method is {_shown(content.get("method"))}. Use "POST"')
    if content.get("url") not in BATCH_URLS:
        known = ", ".join(BATCH_URLS)
        return Problem("invalid_url", f"url is {_shown(content.get('url'))}. There is: {known}")
    body = content.get("body")
    if not isinstance(body, dict):
        return Problem("invalid_body", f"body is {_shown(body)}. It must be a JSON object")
    if body.get("stream"):
        return Problem("invalid_body", "stream has no meaning in a batch. Leave it out")
    return None


def _shown(value: object) -> str:
    return "missing" if value is None else f"{json.dumps(value):.80}"
