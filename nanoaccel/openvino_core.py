"""The one Core of OpenVINO in this process."""

from __future__ import annotations

from functools import cache

import openvino as ov


@cache
def openvino_core() -> ov.Core:  # noqa: TID251
    """The Core, with its CPU plugin loaded.

    The plugin gives the thread that loads it a stack for signals of its own, and puts the one
    before back when it is unloaded. Where the lives of two overlap, it puts one back that is gone,
    and the next Ctrl-C is a crash. This one lives as long as the process.
    """
    core = ov.Core()  # noqa: TID251
    core.get_property("CPU", "FULL_DEVICE_NAME")
    return core
