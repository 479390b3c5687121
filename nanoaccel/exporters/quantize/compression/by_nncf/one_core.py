"""Lets NNCF compile on the Core of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nanoaccel.openvino_core import openvino_core


@contextmanager
def on_the_one_core() -> Iterator[None]:
    """Inside, NNCF makes no Core: the lives of its own overlap, and then Ctrl-C is a crash.

    See ``openvino_core``.
    """
    import openvino as ov

    made, compile_model = ov.Core, ov.compile_model  # noqa: TID251
    ov.Core, ov.compile_model = openvino_core, openvino_core().compile_model  # noqa: TID251
    try:
        yield
    finally:
        ov.Core, ov.compile_model = made, compile_model  # noqa: TID251
