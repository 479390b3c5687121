"""Every benchmark finds what it measures."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import benchmarks

# Not installed with the development extra.
PEERS = {"llama_cpp", "torch"}
MODULES = [one.name for one in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")]


@pytest.mark.parametrize("name", MODULES)
def test_benchmark_imports(name: str) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in PEERS:
            pytest.skip(f"{error.name} is not installed")
        raise
