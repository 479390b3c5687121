"""Models and bundles that tests share; each is made once a run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.plugins import Install, installing
from support.shared import made_once

from nanoaccel.folders import cache_folder
from nanoaccel.testing import tiny_models

_LONG = ("fleet", "sweep")

# No clock decides whether a test passes: other programs may run beside it.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run the tests marked nightly too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # A long file that begins last leaves one process at work alone.
    items.sort(key=lambda item: item.path.parent.name not in _LONG)
    if config.getoption("--nightly"):
        return
    late = [item for item in items if item.get_closest_marker("nightly") is not None]
    config.hook.pytest_deselected(items=late)
    items[:] = [item for item in items if item.get_closest_marker("nightly") is None]


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell starts what runs in its background deaf to it, and all that this starts as well."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def torch_threads() -> Iterator[None]:
    """A backend leaves torch with its threads; two of them on a shared core wait for each other."""
    yield
    torch, wanted = sys.modules.get("torch"), os.environ.get("OMP_NUM_THREADS")
    if torch is not None and wanted is not None:
        torch.set_num_threads(int(wanted))


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing is remembered from one run to the next but the sample model, if it is there."""
    folder = tmp_path_factory.mktemp("cache")
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    (folder / name).symlink_to(cache_folder() / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NANOACCEL_CACHE", str(folder))
        patch.setenv("NANOACCEL_CONFIG", "")  # nothing that the user has set
        yield folder


@pytest.fixture
def install_plugin(tmp_path: Path) -> Iterator[Install]:
    """Installs packages with plugins until the end of a test."""
    with installing(tmp_path / "packages") as install:
        yield install


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a tiny random Llama."""
    return made_once(tmp_path_factory, "tiny-llama-model", tiny_models.write_model)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny Llama in f32; tests that change it copy it first."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    return made_once(
        tmp_path_factory,
        "tiny-llama",
        lambda out: export(tiny_model, out, recipe=Recipe(weights="f32"), runtime="openvino"),
    )


@pytest.fixture(scope="session")
def tiny_onnx_bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama for ONNX Runtime, in f32; tests that change it copy it first."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    return made_once(
        tmp_path_factory,
        "tiny-llama-onnx",
        lambda out: export(tiny_model, out, recipe=Recipe(weights="f32"), runtime="onnx"),
    )


@pytest.fixture(scope="session")
def tiny_int4_bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama for ONNX Runtime, in int4; tests that change it copy it first."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    recipe = Recipe(weights="int4", group_size=32)
    return made_once(
        tmp_path_factory,
        "tiny-llama-int4",
        lambda out: export(tiny_model, out, recipe=recipe, judge_tokens=512, runtime="onnx"),
    )


@pytest.fixture(scope="session")
def sample_gguf() -> Path:
    """The sample model's GGUF file, downloaded if the user's cache has it not."""
    from nanoaccel.exporters.source.sample import fetch_sample

    return fetch_sample()


@pytest.fixture(scope="session")
def sample_bundle_f32(sample_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the sample model in f32."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    recipe = Recipe(weights="f32")
    return made_once(
        tmp_path_factory,
        "sample-f32",
        lambda out: export(sample_gguf, out, recipe=recipe, judge_tokens=512, runtime="openvino"),
    )


@pytest.fixture(scope="session")
def tiny_head(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head for the tiny Llama, hardly trained."""
    from nanoaccel.finetune.drafts.make import train_draft
    from nanoaccel.finetune.drafts.recipe import DraftRecipe

    text = tmp_path_factory.mktemp("heads") / "text.txt"
    text.write_text("The tide comes in twice a day, and the keeper writes it down.\n" * 60)
    recipe = DraftRecipe(epochs=1, vocabulary=200, text=text)
    return made_once(
        tmp_path_factory, "tiny-head", lambda out: train_draft(str(tiny_bundle), out, recipe)
    )
