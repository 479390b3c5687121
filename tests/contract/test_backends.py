"""The contract of backends, over the built-in ones and those that packages add."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendLoader, BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.testing import tiny_models
from nanoaccel.testing.contracts.backend import (  # noqa: F401
    TestBackend,
)

# These are the torch backend with other kernels, and compile for too long to be run in full.
COMPILED = ("torch-inductor", "torch-openvino")
# Where NanoAccel's operators are not there, ONNX Runtime attends to copies of blocks in slots.
STOCK = "onnx on stock operators"
# Where OpenVINO cannot page the attention, it is given each sequence's keys and values.
IN_SLOTS = "openvino in slots"
NAMES = (
    *("fake", STOCK, IN_SLOTS),
    *(name for name in BACKENDS.names() if name not in COMPILED),
)
BUNDLES = {"onnx": "tiny_onnx_bundle", STOCK: "tiny_onnx_bundle", "torch": "tiny_model"}


def load_fake(options: BackendOptions) -> Backend:
    """The fake, which has one precision."""
    if options.cache_precision != "auto":
        raise ConfigError("the fake has one precision")
    return FakeBackend(
        hashed(tiny_models.VOCAB_SIZE),
        tiny_models.VOCAB_SIZE,
        attention_scores=options.attention_scores,
        hidden_states=bool(options.hidden_layers),
    )


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def subject(name: str) -> Iterator[BackendLoader]:
    if name == "fake":
        yield load_fake
        return
    with pytest.MonkeyPatch.context() as patch:
        if name == STOCK:
            patch.setenv("NANOACCEL_ISA", "none")
        if name == IN_SLOTS:
            patch.setattr(
                "nanoaccel.runtime.backends.openvino.loading.paging_obstacle",
                lambda _: "a test says",
            )
        yield BACKENDS.resolve(name.split()[0])


@pytest.fixture(scope="module")
def nanoaccel_bundle(name: str, request: pytest.FixtureRequest) -> Path:
    """A tiny model for the backend."""
    found: Path = request.getfixturevalue(BUNDLES.get(name, "tiny_bundle"))
    return found
