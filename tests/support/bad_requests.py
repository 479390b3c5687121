"""Requests that no server should obey, written by hand: bodies, fields, grammars, raw HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
TOKENIZE, DETOKENIZE, APPLY = "/tokenize", "/detokenize", "/apply-template"
HI = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True, slots=True)
class Bad:
    """A request to refuse.

    Args:
        name: What is wrong with it.
        path: Where it goes.
        body: Bytes as they are, or a value to be written as JSON.
    """

    name: str
    path: str
    body: Any

    @property
    def raw(self) -> bytes:
        """The bytes of its body."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def bad_bodies() -> Iterator[Bad]:
    """What is no JSON object, or none that may be read."""
    for name, body in {
        "nothing": b"",
        "white space": b" \r\n\t",
        "open object": b"{",
        "closed object": b"}",
        "mixed brackets": b"{]",
        "single quotes": b"{'prompt': 'a'}",
        "comma at the end": b'{"prompt": "a",}',
        "no colon": b'{"prompt" "a"}',
        "comment": b'{"prompt": "a"} // a',
        "two objects": b'{"prompt": "a"}{"prompt": "a"}',
        "null byte after it": b'{"prompt": "a"}\x00',
        "null byte within": b'{"prompt": "a\x00"}',
        "raw line feed": b'{"prompt": "a\nb"}',
        "unknown escape": b'{"prompt": "\\x41"}',
        "short escape": b'{"prompt": "\\u12"}',
        "open string": b'{"prompt": "a',
        "byte order mark": b'\xef\xbb\xbf{"prompt": "a"}',
        "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
        "UTF-32": '{"prompt": "a"}'.encode("utf-32-be"),
        "Latin-1": '{"prompt": "é"}'.encode("latin-1"),
        "overlong UTF-8": b'{"prompt": "\xc0\xaf"}',
        "surrogate in UTF-8": b'{"prompt": "\xed\xa0\x80"}',
        "cut UTF-8": b'{"prompt": "\xf0\x9f\x98"}',
        "beyond Unicode": b'{"prompt": "\xf5\x80\x80\x80"}',
        "list": b'[{"prompt": "a"}]',
        "string": b'"prompt"',
        "number": b"1",
        "true": b"true",
        "null": b"null",
        "NaN": b"NaN",
        "NaN in a field": b'{"prompt": "a", "temperature": NaN}',
        "infinity": b'{"prompt": "a", "timeout": Infinity}',
        "minus infinity": b'{"prompt": "a", "top_p": -Infinity}',
        "huge exponent": b'{"prompt": "a", "temperature": 1e400}',
        "4,000 digits": b'{"prompt": "a", "temperature": ' + b"9" * 4000 + b"}",
        "leading zero": b'{"prompt": "a", "n": 01}',
        "plus": b'{"prompt": "a", "n": +1}',
        "hexadecimal": b'{"prompt": "a", "n": 0x1}',
        "5,000 digits": b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}",
        "second of two keys": b'{"prompt": "a", "prompt": 7}',
        "second model": b'{"prompt": "a", "model": "json", "model": "none"}',
        "form": b"prompt=a&max_tokens=1",
        "XML": b"<prompt>a</prompt>",
        "YAML": b"prompt: a",
        "pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.",
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        "lists within lists": b"[" * 100_000,
        "objects within objects": b'{"a":' * 100_000,
        "closed lists within lists": b'{"prompt":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "65 levels": b'{"user":' + b'{"a":' * 64 + b"1" + b"}" * 65,
    }.items():
        yield Bad(name, COMPLETIONS, body)


def bad_chats() -> Iterator[Bad]:
    """Chats with one thing wrong."""
    call = {"role": "assistant", "content": None}
    for name, messages in {
        "no list": {},
        "empty": [],
        "null": None,
        "text": ["hi"],
        "list": [HI],
        "no role": [{"content": "hi"}],
        "null role": [{"role": None, "content": "hi"}],
        "role of a number": [{"role": 1, "content": "hi"}],
        "no content": [{"role": "user"}],
        "number": [{"role": "user", "content": 1}],
        "object": [{"role": "user", "content": {"text": "hi"}}],
        "surrogate": [{"role": "user", "content": "a\ud83d"}],
        "parts of numbers": [{"role": "user", "content": [1]}],
        "parts of parts": [{"role": "user", "content": [[{"text": "a"}]]}],
        "image": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        "file": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "/etc"}}]}],
        "audio": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
        "text part of null": [{"role": "user", "content": [{"type": "text", "text": None}]}],
        "calls of text": [{**call, "tool_calls": "f()"}],
        "calls of numbers": [{**call, "tool_calls": [1]}],
        "call without function": [{**call, "tool_calls": [{"id": "1"}]}],
        "call without name": [{**call, "tool_calls": [{"function": {"arguments": "{}"}}]}],
        "call of cut JSON": [
            {**call, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
        ],
        "call of deep JSON": [
            {**call, "tool_calls": [{"function": {"name": "f", "arguments": "[" * 100_000}}]}
        ],
        "too many": HI * 2049,
        "too long": [{"role": "user", "content": "x" * 100_000}],
    }.items():
        yield Bad(f"messages: {name}", CHAT, {"messages": messages})
    function: dict[str, Any] = {"type": "function", "function": {"name": "f"}}
    for field, value in [
        ("tools", {}),
        ("tools", "f"),
        ("tools", [None]),
        ("tools", [{"type": "function"}]),
        ("tools", [{"type": "function", "function": {"name": 7}}]),
        ("tools", [{"type": "function", "function": []}]),
        ("tools", [function] * 129),
        ("tool_choice", 7),
        ("tool_choice", "sometimes"),
        ("tool_choice", ["auto"]),
        ("tool_choice", {"type": "function"}),
        ("chat_template", "{{ ''.__class__.__mro__ }}"),
        ("chat_template", "{% for i in range(10**9) %}{% endfor %}"),
        ("chat_template_kwargs", "x"),
        ("chat_template_kwargs", [["thinking", True]]),
        ("chat_template_kwargs", {"messages": []}),
        ("chat_template_kwargs", {"tools": []}),
        ("chat_template_kwargs", {"__class__": "x"}),
        ("chat_template_kwargs", {"raise_exception": "x"}),
        ("chat_template_kwargs", {"chat_template": "{{ 1 }}"}),
        ("chat_template_kwargs", {"thinking": {"a": {"b": 1}}}),
        ("chat_template_kwargs", {"thinking": [True]}),
        ("chat_template_kwargs", {"date_string": "x" * 300}),
        ("chat_template_kwargs", {"date_string": "\ud800", "thinking_budget": []}),
        ("reasoning_effort", {"high": True}),
        ("reasoning_effort", "high" * 100),
        ("continue_final_message", "yes"),
        ("add_generation_prompt", 1),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["audio"]),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("logprobs", 5),
        ("top_logprobs", 21),
        ("top_logprobs", -1),
        ("top_logprobs", 2),
    ]:
        yield Bad(f"{field}: {value!r:.40}", CHAT, {"messages": HI, field: value})


def bad_values() -> Iterator[Bad]:
    """Completions with one field out of range or of the wrong type."""
    for field, value in [
        ("prompt", None),
        ("prompt", {}),
        ("prompt", [[]] * 3),
        ("prompt", [["a"]]),
        ("prompt", [1, "a"]),
        ("prompt", [1.5]),
        ("prompt", [[1, None]]),
        ("prompt", [10**30]),
        ("prompt", [-(10**30)]),
        ("prompt", ["a"] * 129),
        ("prompt", "\ud800"),
        ("prompt", ["a", "\udfff"]),
        ("prompt", "x" * 10_000),
        ("model", ["json"]),
        ("model", {"name": "json"}),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("max_tokens", "8"),
        ("max_tokens", True),
        ("max_tokens", -(10**40)),
        ("min_tokens", -1),
        ("min_tokens", 100),
        ("n", -1),
        ("n", 0),
        ("n", 129),
        ("n", 10**30),
        ("n", 1.5),
        ("temperature", -0.01),
        ("temperature", "0"),
        ("temperature", [0]),
        ("temperature", True),
        ("top_p", 0),
        ("top_p", -1),
        ("top_p", 1.01),
        ("top_k", -1),
        ("top_k", 0.5),
        ("min_p", 1.5),
        ("min_p", "x"),
        ("repetition_penalty", 0),
        ("repetition_penalty", -1),
        ("repetition_penalty", 1e308),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("seed", 0.5),
        ("seed", "1"),
        ("stop", [1]),
        ("stop", [None]),
        ("stop", ["a", ""]),
        ("stop", [["a"]]),
        ("stop", {"a": 1}),
        ("stop", ["x"] * 17),
        ("stop", ["x" * 1025]),
        ("stop", ["\ud800", ""]),
        ("stop_token_ids", [-1]),
        ("stop_token_ids", ["1"]),
        ("stop_token_ids", 1),
        ("stop_token_ids", [1] * 17),
        ("logit_bias", {"a": 1}),
        ("logit_bias", {"": 1}),
        ("logit_bias", {"-1": 1}),
        ("logit_bias", {"1.5": 1}),
        ("logit_bias", {"٣": 1}),
        ("logit_bias", {"9" * 5000: 1}),
        ("logit_bias", {"99999999": 1}),
        ("logit_bias", {"1": "1"}),
        ("logit_bias", {"1": None}),
        ("logit_bias", {"1": 1e10}),
        ("logit_bias", {"1": [1]}),
        ("logit_bias", [[1, 1]]),
        ("logit_bias", {str(token): 0 for token in range(1025)}),
        ("logprobs", -1),
        ("logprobs", 21),
        ("logprobs", "5"),
        ("logprobs", True),
        ("echo", "true"),
        ("stream", 1),
        ("stream", "false"),
        ("stream_options", []),
        ("stream_options", {"include_usage": "yes"}),
        ("ignore_eos", "no"),
        ("skip_special_tokens", 0),
        ("priority", 1.5),
        ("priority", "high"),
        ("priority", True),
        ("timeout", -1),
        ("timeout", 0),
        ("timeout", "1s"),
        ("timeout", {}),
        ("suffix", "b"),
        ("grammar", "root ::= x"),
        ("json_schema", {}),
    ]:
        yield Bad(f"{field}: {value!r:.40}", COMPLETIONS, {"prompt": "a", field: value})
    yield Bad("too many completions", COMPLETIONS, {"prompt": ["a"] * 2, "n": 65})
    for path, body in [
        (TOKENIZE, {"prompt": ["a"]}),
        (TOKENIZE, {"content": {}}),
        (TOKENIZE, {"prompt": "a", "add_special_tokens": "no"}),
        (TOKENIZE, {"prompt": "a", "with_pieces": 1}),
        (TOKENIZE, {"messages": "hi"}),
        (TOKENIZE, {"messages": HI, "chat_template_kwargs": {"x": 1}}),
        (DETOKENIZE, {"tokens": "1"}),
        (DETOKENIZE, {"tokens": ["1"]}),
        (DETOKENIZE, {"tokens": [-1]}),
        (DETOKENIZE, {"tokens": [1.0]}),
        (DETOKENIZE, {"tokens": [True]}),
        (DETOKENIZE, {"tokens": [10**30]}),
        (APPLY, {}),
        (APPLY, {"messages": [{"role": "user", "content": 1}]}),
    ]:
        yield Bad(f"{path}: {body!r:.40}", path, body)


NAMES = (
    "../json", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "json/", "./json",
    "json\x00", "\x00", "json\n", "json\r\nX-Injected: 1", "json;ls", "$(ls)", "${jndi:ldap://x}",
    "'; drop table models; --", "con", "C:\\Windows", "\\\\host\\share", "file:///etc/passwd",
    "http://127.0.0.1:1/", "JSON", " json", "j" * 100_000, "\ud800", "\u202ejson", "{{7*7}}",
    "%s%n",
)  # fmt: skip


def unknown_models() -> Iterator[Bad]:
    """Names of models that are no names here."""
    for name in NAMES:
        yield Bad(f"model {name[:30]!a}", COMPLETIONS, {"prompt": "a", "model": name})
