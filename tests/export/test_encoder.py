"""Conversations as transformers renders them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nanoaccel.exporters.reference.encoder import ModelEncoder

pytestmark = pytest.mark.export

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_render_follows_the_chat_template(folder: Path) -> None:
    encoder = ModelEncoder(folder)
    turns = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    assert encoder.render(CHAT) == turns
    asked = encoder.render(CHAT[:1], add_generation_prompt=True)
    assert asked == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_render_gives_nothing_without_a_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    assert ModelEncoder(folder).render(CHAT) is None


def test_render_gives_nothing_where_the_template_refuses(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no assistant here') }}")
    assert ModelEncoder(folder).render(CHAT) is None
