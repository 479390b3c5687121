"""What every source of text promises: documents that are the same whenever they are read."""

from __future__ import annotations

from itertools import islice

import pytest

from nanoaccel.calibration.datasets import CalibrationSource, Document, TextSource
from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.registry import CALIBRATION_SOURCES
from nanoaccel.registry.extension_point import check

CONTRACT = "calibration_source"
_MANY = 200


def read(subject: CalibrationSource, reference: str) -> list[Document]:
    """The first documents of a source."""
    return list(islice(subject(reference, None).documents, _MANY))


class TestCalibrationSource:
    """The suite; ``subject`` opens text, ``nanoaccel_reference`` is what it is told."""

    def test_it_has_what_the_interface_says(
        self, subject: CalibrationSource, nanoaccel_reference: str
    ) -> None:
        check(subject, CALIBRATION_SOURCES.interface, ())
        found = subject(nanoaccel_reference, None)
        assert isinstance(found, TextSource)
        assert isinstance(found.name, str)
        assert found.name, "a report says which text it was"
        assert isinstance(found.streamed, bool)

    def test_documents_have_texts(
        self, subject: CalibrationSource, nanoaccel_reference: str
    ) -> None:
        found = read(subject, nanoaccel_reference)
        assert found, "there is no document"
        for document in found:
            assert isinstance(document, Document)
            assert isinstance(document.text, str)
            assert document.text.strip(), "a document is empty"
            document.text.encode()
            for message in document.messages:
                assert isinstance(message["role"], str)
                assert isinstance(message["content"], str)

    def test_text_is_the_same_again(
        self, subject: CalibrationSource, nanoaccel_reference: str
    ) -> None:
        expected = read(subject, nanoaccel_reference)
        assert read(subject, nanoaccel_reference) == expected

    def test_two_readers_do_not_meet(
        self, subject: CalibrationSource, nanoaccel_reference: str
    ) -> None:
        expected = read(subject, nanoaccel_reference)
        first = subject(nanoaccel_reference, None).documents
        second = subject(nanoaccel_reference, None).documents
        assert next(iter(first)) == expected[0]
        assert list(islice(second, _MANY)) == expected

    def test_unknown_column_is_refused_or_not_there(
        self, subject: CalibrationSource, nanoaccel_reference: str
    ) -> None:
        with pytest.raises((ConfigError, SourceError)):
            list(islice(subject(nanoaccel_reference, "no such column").documents, 1))
