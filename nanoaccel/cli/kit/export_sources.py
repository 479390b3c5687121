"""The module of a new plugin of exports and trainings, by kind."""

from __future__ import annotations

COMPRESSION_METHOD = '''\
"""A compression method: chooses the numbers of weights that are stored in 4 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.exporters.quantize.compression.integers.grid import Codes, Grid, round_rows
from nanoaccel.exporters.quantize.methods import Rounding

if TYPE_CHECKING:
    import torch


class $CLASS(Rounding):
    """Rounds to nearest. Write your own rule into ``round_rows``."""

    needs_text = False  # with True, ``importance`` has the mean squares of a layer's inputs

    def round_rows(
        self, weight: torch.Tensor, grid: Grid, importance: torch.Tensor | None
    ) -> Codes:
        """Round f32[rows, inputs]; a weight becomes (code - zero point) * scale."""
        return round_rows(weight, grid, importance)
'''

CALIBRATION_SOURCE = '''\
"""A source of text that calibrates and judges."""

from __future__ import annotations

from collections.abc import Iterator

from nanoaccel.calibration.datasets import Document, TextSource
from nanoaccel.errors import ConfigError

TEXTS = ("The tide comes in twice a day.", "The keeper of the light writes it down.")


def $FUNCTION(reference: str, column: str | None) -> TextSource:
    """Find text. ``reference`` is what stands behind "$NAME:"."""
    if column is not None:
        raise ConfigError(f"$NAME has no column {column!r}", "Leave it out")
    return TextSource(f"some sentences {reference}".strip(), _documents())


def _documents() -> Iterator[Document]:
    for text in TEXTS:
        yield Document(text)
'''

MODEL_SOURCE = '''\
"""A source of models: brings what "$NAME:WHICH" names onto this disk."""

from __future__ import annotations

import os
from pathlib import Path

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.places import FoundModel

FOLDER = "$VARIABLE"


def $FUNCTION(reference: str) -> FoundModel:
    """Find a model in the folder that an environment variable names."""
    path = Path(os.environ.get(FOLDER, ".")) / reference
    if not reference or not path.is_dir():
        raise SourceError(f"{path} does not exist", f"Set {FOLDER} to the folder of your models")
    return FoundModel(path=path)
'''

EXPORT_TARGET = '''\
"""An export target: makes a kind of graph of a bundle. Its backend, of the same name, runs it."""

from __future__ import annotations

from typing import Any, ClassVar

from nanoaccel.exporters.targets.onnx.target import OnnxTarget
from nanoaccel.registry import BackendFacts

FACTS = BackendFacts(packages=("onnxruntime",), graph="$NAME/model.onnx")


class $CLASS(OnnxTarget):
    """ONNX Runtime's graph. Write your own into ``build``; see ``GraphTarget``."""

    name: ClassVar[str] = "$NAME"
    title: ClassVar[str] = "$NAME"


def load(*arguments: Any, **options: Any) -> Any:
    """Load the graph: as ONNX Runtime's backend does."""
    from nanoaccel.runtime.backends.onnxruntime import load as load_onnx

    return load_onnx(*arguments, **options)
'''

ADAPTER_METHOD = '''\
"""An adapter method: what an adapter is made of when nanoaccel finetune begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanoaccel.finetune.train.options import TrainingOptions


class $CLASS:
    """LoRA whose first weights are drawn from a bell curve. Write your own into it."""

    rate = 5e-4
    four_bits = False

    def configure(self, options: TrainingOptions) -> Mapping[str, Any]:
        """Fields of peft.LoraConfig that differ from plain LoRA."""
        return {"init_lora_weights": "gaussian"}
'''

REFERENCE_TEST = """\


@pytest.fixture(scope="module")
def nanoaccel_reference() -> str:
    return "yes, no"
"""

MODEL_TEST = """\


@pytest.fixture(scope="module")
def nanoaccel_reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny", num_hidden_layers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(folder))
        yield "tiny"
"""

TARGET_TEST = """\
from __future__ import annotations

from $MODULE import FACTS, $CLASS

from nanoaccel.testing.contracts.export_target import check_facts


def test_target_says_what_it_is() -> None:
    target = check_facts($CLASS)
    assert FACTS.graph is not None
    assert FACTS.graph.startswith(f"{target.name}/")
"""

TARGET_ENTRIES = """

[project.entry-points."nanoaccel.backends.v1"]
$NAME = "$MODULE:load"

[project.entry-points."nanoaccel.backend_facts.v1"]
$NAME = "$MODULE:FACTS"
"""
