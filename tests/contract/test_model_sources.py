"""The contract of sources of models, over folders of this disk."""

from __future__ import annotations

import pytest

from nanoaccel.exporters.source.places import ModelSource
from nanoaccel.registry import MODEL_SOURCES
from nanoaccel.testing.contracts.model_source import TestModelSource  # noqa: F401
from nanoaccel.testing.tiny_models import write_model

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def subject() -> ModelSource:
    made: ModelSource = MODEL_SOURCES.resolve("file")
    return made


@pytest.fixture(scope="module")
def nanoaccel_reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / "tiny", num_hidden_layers=1))
