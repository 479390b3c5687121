from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanoaccel.fleet.routing.prompt import BLOCK_TOKENS, PromptOutline

LONG = "once upon a time " * 20


def outline(**fields: object) -> PromptOutline:
    return PromptOutline.of(json.dumps(fields).encode())


def shared(first: PromptOutline, second: PromptOutline) -> int:
    """Blocks with which both begin."""
    pairs = zip(first.chain, second.chain, strict=False)
    return next(
        (n for n, (a, b) in enumerate(pairs) if a != b), min(len(first.chain), len(second.chain))
    )


def test_prompts_that_begin_alike_share_their_first_blocks() -> None:
    first, second = outline(prompt=f"{LONG} the end"), outline(prompt=f"{LONG} so it ended")
    assert shared(first, second) >= len(LONG) // (4 * BLOCK_TOKENS)
    assert first.chain != second.chain or first.tokens != second.tokens


def test_chat_that_goes_on_shares_all_that_was_said() -> None:
    said = [{"role": "user", "content": LONG}, {"role": "assistant", "content": LONG}]
    before, after = outline(messages=said), outline(messages=[*said, said[0]])
    assert shared(before, after) == len(before.chain) > 5


@pytest.mark.parametrize("name", ["model", "tools", "system"])
def test_what_stands_before_the_prompt_tells_them_apart(name: str) -> None:
    first, second = outline(prompt=LONG, **{name: "a"}), outline(prompt=LONG, **{name: "b"})
    assert shared(first, second) == 0


def test_sampling_does_not_tell_them_apart() -> None:
    first, second = outline(prompt=LONG, seed=1, n=2), outline(prompt=LONG, temperature=1)
    assert first.chain == second.chain


def test_limit_is_what_may_be_written() -> None:
    assert outline(prompt="a", max_tokens=7).limit == 7
    assert outline(prompt="a").limit == outline(prompt="a", max_tokens="many").limit > 7


def test_huge_prompt_has_a_bounded_outline() -> None:
    assert len(outline(prompt="a" * 1_000_000).chain) == 512
    assert outline(prompt="a" * 1_000_000).tokens > 250_000


@given(st.binary() | st.recursive(
    st.none() | st.text() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["prompt", "messages", "tools", "max_tokens", "input"]), inner),
).map(lambda content: json.dumps(content).encode()))  # fmt: skip
def test_any_body_has_an_outline(body: bytes) -> None:
    found = PromptOutline.of(body)
    assert found.tokens >= 1
    assert found.limit >= 0
    assert found == PromptOutline.of(body)
