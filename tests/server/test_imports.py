from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "pydantic", "pydantic_core", "openvino", "onnxruntime", "httpx")


def test_server_imports_nothing_heavy() -> None:
    code = f"import sys, nanoaccel.server.run; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
