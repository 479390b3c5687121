"""Switches off what the libraries below would send, unless the user has switched it on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, cast

_OFF = {
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, transformers, datasets
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime on Linux; it writes into the home folder too
    "RAY_USAGE_STATS_ENABLED": "0",
}
_INTEL = "openvino_telemetry"  # used by OpenVINO's converter and by NNCF


def switch_off() -> None:
    """To be called before any of these libraries is imported.

    A variable that the user has set stays. OpenVINO's library takes no variable, sends unless it is
    told not to, and writes into the home folder: it is hidden, unless the file in which it keeps
    the user's consent says yes.
    """
    for name, value in _OFF.items():
        os.environ.setdefault(name, value)
    if _INTEL not in sys.modules and not _consents():
        # Importing it fails from now on, which its users take for its not being installed.
        cast(dict[str, Any], sys.modules)[_INTEL] = None


def _consents() -> bool:
    """Whether the user has said yes with OpenVINO's ``opt_in_out``."""
    try:
        if sys.platform == "win32":
            folder = Path(os.environ["LOCALAPPDATA"], "Intel Corporation")
        else:
            folder = Path.home() / "intel"
        return (folder / _INTEL).read_text(encoding="utf-8").split("\n")[0].strip() == "1"
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError):
        return False
