"""Chat templates render as transformers renders them, in the style of well-known models."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
from support.byte_tokenizers import byte_tokenizer

from nanoaccel.errors import RequestError
from nanoaccel.text import ChatTemplate, Tokenizer

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

TEMPLATES = {
    "chatml": """\
{% for turn in messages %}
{% if loop.first and turn.role != 'system' %}
{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}
{%- endif %}
{{- '<|im_start|>' + turn['role'] + '\\n' + turn['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
""",
    "llama3": """\
{{- bos_token }}
{%- if strftime_now is defined %}
    {%- set today = strftime_now("%d %b %Y") %}
{%- else %}
    {%- set today = "1 Jan 2025" %}
{%- endif %}
{%- if tools is not none %}{{- raise_exception("no tools here") }}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday: " + today + "\\n" + system }}
{{- "<|eot_id|>" }}
{%- for turn in messages %}
    {{- '<|start_header_id|>' + turn.role + '<|end_header_id|>\\n\\n' }}
    {{- turn.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral": """\
{%- if messages[0].role == "system" %}
  {%- set system, turns = messages[0].content, messages[1:] %}
{%- else %}
  {%- set turns = messages %}
{%- endif %}
{{- bos_token }}
{%- for turn in turns %}
  {%- if (turn.role == "user") != (loop.index0 % 2 == 0) %}
    {{- raise_exception("Turns must alternate:\\n user, assistant, user ...") }}
  {%- endif %}
  {%- if turn.role == "user" %}
    {%- if loop.last and system is defined %}
      {{- "[INST] " + system + "\\n\\n" + turn.content + "[/INST]" }}
    {%- else %}
      {{- "[INST] " + turn.content + "[/INST]" }}
    {%- endif %}
  {%- else %}
    {{- " " + turn.content|trim + eos_token }}
  {%- endif %}
{%- endfor %}
""",
    "gemma": """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}\
{% endif %}{% for turn in messages %}
{% set speaker = 'model' if turn['role'] == 'assistant' else turn['role'] %}
{{ '<start_of_turn>' + speaker + '\n' + turn['content'] | trim + '<end_of_turn>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}
""",
    "phi3": """\
{% for turn in messages %}{% if turn['role'] in ['system', 'user', 'assistant'] %}\
{{'<|' ~ turn['role'] ~ '|>\n' ~ turn['content'] ~ '<|end|>\n'}}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}""",
    "qwen3": """\
{%- if tools %}{{- '<tools>' + tools | tojson + '</tools>' }}{%- endif %}
{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for turn in messages[::-1] %}
    {%- set place = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and turn.role == "user" and turn.content is string %}
        {%- set ns.searching, ns.last = false, place %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for turn in messages %}
    {%- set content, thought = turn.content, '' %}
    {%- if turn.role == "assistant" %}
        {%- if turn.reasoning_content is string %}
            {%- set thought = turn.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {%- set content = '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content %}
        {%- endif %}
    {%- endif %}
    {{- '<|im_start|>' + turn.role + '\\n' }}
    {%- generation %}{{- content + '<|im_end|>\\n' }}{%- endgeneration %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "zephyr": """\
{% for turn in messages %}
{% if turn['role'] == 'user' %}
{{ '<|user|>\n' + turn['content'] + eos_token }}
{% elif turn['role'] == 'system' %}
{{ '<|system|>\n' + turn['content'] + eos_token }}
{% elif turn['role'] == 'assistant' %}
{% generation %}
{{ '<|assistant|>\n'  + turn['content'] + eos_token }}
{% endgeneration %}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "granite": """\
{%- set cutoff = "April 2024" %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = "Knowledge ends: " + cutoff + ".\\nToday: " + strftime_now('%B %d, %Y') %}
    {%- if documents and tools %}{%- set system = system + " Both." %}{%- endif %}
    {%- set turns = messages %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system + '<|end_of_text|>\\n' }}
{%- for turn in turns %}
    {{- '<|start_of_role|>' ~ turn['role'] ~ '<|end_of_role|>' ~ turn['content'] }}
    {{- '<|end_of_text|>\\n' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant' }}
        {%- if controls %}{{- ' ' + controls | tojson }}{%- endif %}
        {{- '<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}
""",
    "json and special tokens": """\
{{ messages | tojson }} {{ messages[0] | tojson(indent=2) }} {{ pad_token }}{{ unk_token }}
{% if unk_token is defined %}unk{% endif %}{% if tools is none %}none{% endif %}
{% for key, value in messages[0].items() %}{{ key }}={{ value }};{% endfor %}
{% for turn in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ loop.index }}{% endfor %}
""",
}

_USER = {"role": "user", "content": "  Grüße, <b>{{ 1 + 1 }}</b>!\n"}
_SYSTEM = {"role": "system", "content": "Answer in rhyme. "}
_ASSISTANT = {"role": "assistant", "content": "Why, of course 👍\n"}
_THINKING = {"role": "assistant", "content": "<think>\nHm. Two?\n</think>\n\nTwo."}
_REASONING = {"role": "assistant", "content": "Three.", "reasoning_content": "\nCounting.\n"}

CHATS = {
    "one turn": [_USER],
    "system": [_SYSTEM, _USER],
    "several turns": [_USER, _ASSISTANT, _USER, _THINKING, _USER],
    "system and several turns": [_SYSTEM, _USER, _ASSISTANT, _USER],
    "reasoning": [_USER, _REASONING, _USER, _THINKING, _REASONING],
    "two users": [_USER, _USER],
    "assistant first": [_ASSISTANT, _USER],
    "other role": [_USER, {"role": "tool", "content": '{"a": 1}', "name": "add"}],
    "empty content": [{"role": "user", "content": ""}],
}


@cache
def _reference() -> Any:
    backend = byte_tokenizer()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.get_vocab_size())]
    )
    backend.add_special_tokens(["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL_TOKENS)


def _render_with_transformers(
    name: str, chat: str, add_generation_prompt: bool
) -> str | jinja2.TemplateError:
    """What transformers renders, or the refusal of the template."""
    try:
        rendered: str = _reference().apply_chat_template(
            CHATS[chat],
            chat_template=TEMPLATES[name],
            add_generation_prompt=add_generation_prompt,
            tokenize=False,
        )
    except jinja2.TemplateError as error:
        return error
    return rendered


@pytest.mark.parametrize("add_generation_prompt", [True, False])
@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_render_agrees_with_transformers(name: str, chat: str, add_generation_prompt: bool) -> None:
    template = ChatTemplate(TEMPLATES[name], SPECIAL_TOKENS)
    expected = _render_with_transformers(name, chat, add_generation_prompt)
    if isinstance(expected, str):
        assert template.render(CHATS[chat], add_generation_prompt) == expected
    else:
        with pytest.raises(RequestError, match=re.escape(" ".join(str(expected).split()))):
            template.render(CHATS[chat], add_generation_prompt)


def test_render_refuses_what_transformers_refuses() -> None:
    """The cases above hold refusals too, or the test of them would be empty."""
    for name, chat in (("gemma", "system"), ("mistral", "two users")):
        with pytest.raises(RequestError):
            ChatTemplate(TEMPLATES[name], SPECIAL_TOKENS).render(CHATS[chat])


@pytest.mark.parametrize("name", ["chatml", "mistral", "qwen3"])
def test_tokenizer_agrees_with_transformers(name: str, tmp_path: Path) -> None:
    reference = _reference()
    reference.chat_template = TEMPLATES[name]
    reference.save_pretrained(tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    chat = CHATS["several turns"]
    expected = reference.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert tokenizer.encode_chat(chat) == expected
    for text in ("", " Hello  world\n", "Grüße 👍 <|im_start|>x", "</s>"):
        ids = reference.encode(text)
        assert tokenizer.encode(text) == ids
        assert tokenizer.decode(ids) == reference.decode(ids, skip_special_tokens=True)
        assert tokenizer.decode(ids, skip_special_tokens=False) == reference.decode(ids)
    assert tokenizer.vocab_size == len(reference)
    assert tokenizer.bos_token_id == reference.bos_token_id
    assert tokenizer.eos_token_ids == {reference.eos_token_id}
