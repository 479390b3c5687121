"""The contract suites of exports and trainings pass what is right, and find each fault."""

from __future__ import annotations

import pytest
from support import planted_export_faults as planted
from support.contract_runs import found_faults

from nanoaccel.testing.tiny_models import write_model

pytestmark = pytest.mark.export
KINDS = {
    "compression_method": planted.GoodMethod,
    "model_source": planted.GoodModels,
    "adapter_method": planted.GoodAdapters,
}
TARGETS = {"export_target": planted.GoodTarget}
FAULTS = {
    fault: kind for kind, good in {**KINDS, **TARGETS}.items() for fault in good.__subclasses__()
}
GOOD = {subject: kind for kind, subject in KINDS.items()}
REFERENCE = ("--nanoaccel-reference", "good")


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = write_model(tmp_path_factory.mktemp("models") / "tiny", num_hidden_layers=1)
    return {planted.MODELS: str(folder)}


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> set[type]:
    folder = tmp_path_factory.mktemp("faults")
    return found_faults(folder, {**FAULTS, **GOOD}, *REFERENCE, variables=variables)


@pytest.mark.parametrize("subject", KINDS.values())
def test_contract_passes_what_is_right(subject: type, failures: set[type]) -> None:
    assert subject not in failures


@pytest.mark.parametrize("fault", FAULTS)
def test_contract_finds_a_fault(fault: type, failures: set[type]) -> None:
    assert fault in failures
