"""Silences what the libraries print during an export."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

_LOUD = ("nncf", "transformers", "torch", "openvino", "huggingface_hub")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence loggers, warnings, progress bars and prints of the libraries inside the block.

    NanoAccel's own log is heard where a program has it written.
    """
    from transformers.utils import logging as transformers_logging

    levels = {name: logging.getLogger(name).level for name in _LOUD}
    bars = transformers_logging.is_progress_bar_enabled()
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        sink = io.StringIO()
        with warnings.catch_warnings(), redirect_stdout(sink), redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
