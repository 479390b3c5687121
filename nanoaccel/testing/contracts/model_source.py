"""What every source of models promises: a whole model on this disk, the same one each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source import model_source
from nanoaccel.exporters.source.places import FoundModel, ModelSource
from nanoaccel.registry import MODEL_SOURCES
from nanoaccel.registry.extension_point import check

CONTRACT = "model_source"
_ABSENT = "there is no such model"


class TestModelSource:
    """The suite; ``subject`` finds a model, ``nanoaccel_reference`` names one."""

    def test_it_has_what_the_interface_says(
        self, subject: ModelSource, nanoaccel_reference: str
    ) -> None:
        check(subject, MODEL_SOURCES.interface, ())
        found = subject(nanoaccel_reference)
        assert isinstance(found, FoundModel)
        assert isinstance(found.path, Path)
        assert found.revision is None or isinstance(found.revision, str)

    def test_model_is_there(self, subject: ModelSource, nanoaccel_reference: str) -> None:
        path = subject(nanoaccel_reference).path
        assert path.exists()
        assert path.suffix == ".gguf" or (path / "config.json").is_file()

    def test_model_is_the_same_again(self, subject: ModelSource, nanoaccel_reference: str) -> None:
        assert subject(nanoaccel_reference) == subject(nanoaccel_reference)

    def test_export_reads_its_configuration(
        self, subject: ModelSource, nanoaccel_reference: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(MODEL_SOURCES, "resolve", lambda _: subject)
        monkeypatch.setattr(MODEL_SOURCES, "plugins_named", lambda name: name == CONTRACT)
        monkeypatch.setattr(MODEL_SOURCES, "package_of", lambda _: "a-package 1.0")
        source = model_source.resolve(f"{CONTRACT}:{nanoaccel_reference}")
        assert source.package == "a-package 1.0"
        assert model_source.load_config(source).model_type

    def test_model_that_is_not_there_is_refused(self, subject: ModelSource) -> None:
        with pytest.raises(SourceError):
            subject(_ABSENT)
