"""Keeps what a long compression has finished, so that the next one need not do it again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.folders import kept_if_possible, tell_unusable
from nanoaccel.openvino_core import openvino_core

if TYPE_CHECKING:
    import openvino as ov

_GRAPH = "graph.xml"


class FinishedParts:
    """The graph after each part, in a folder of which the latest is whole.

    Args:
        folder: Folder of this model and these samples.
        recipe: Recipe of the compression.
        storage: Type of each layer.

    Attributes:
        count: Parts that are done.
    """

    def __init__(self, folder: Path, recipe: Recipe, storage: Mapping[str, str]) -> None:
        what = json.dumps([asdict(recipe), sorted(storage.items())], default=str)
        self._folder = folder / f"gptq-{sha256(what.encode()).hexdigest()[:16]}"
        graphs = self._folder.glob(f"*/{_GRAPH}")
        done = [int(path.parent.name) for path in graphs if path.parent.name.isdigit()]
        self.count = max(done, default=0)

    def latest(self, model: ov.Model) -> ov.Model:
        """The graph after the parts that are done; without any, the one that is given."""

        if self.count == 0:
            return model
        return openvino_core().read_model(self._folder / str(self.count) / _GRAPH)

    def keep(self, model: ov.Model) -> None:
        """Save the graph after one part more; those before it are not needed any longer."""
        import openvino as ov

        last, self.count = self.count, self.count + 1
        work = self._folder / f"{self.count}.partial"
        with kept_if_possible():
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            try:
                ov.save_model(model, work / _GRAPH, compress_to_fp16=False)
            except RuntimeError as error:  # so OpenVINO calls a full disk
                shutil.rmtree(work, ignore_errors=True)
                raise OSError(str(error).strip().splitlines()[-1]) from error
            work.rename(self._folder / str(self.count))
            shutil.rmtree(self._folder / str(last), ignore_errors=True)

    def remove(self) -> None:
        """Forget all parts."""
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def kept_statistics(folder: Path, samples: int) -> Iterator[Path | None]:
    """Where NNCF finds what it measured of a model, or puts it when it is not there yet.

    They are the same for all recipes. Inside, a new folder has another name, so that one that a
    kill left half written is never read. None where the cache folder cannot be written.

    Args:
        folder: Folder of this model and these samples.
        samples: How many.
    """
    import nncf

    whole = folder / f"statistics-{samples}-nncf-{nncf.__version__}"
    if os.path.isdir(whole):
        yield whole
        return
    work = whole.with_name(f"{whole.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        tell_unusable(error)
        yield None
        return
    try:
        yield work
        with kept_if_possible():
            if work.is_dir():
                work.rename(whole)
    finally:
        shutil.rmtree(work, ignore_errors=True)
