"""simonw's ``llm`` command with extra-openai-models.yaml; argv: letters' address, JSON's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

LETTERS, JSON, CALLS = sys.argv[1:]
MODELS = f"""
- {{model_id: chat, model_name: letters, api_base: "{LETTERS}"}}
- {{model_id: completion, model_name: letters, api_base: "{LETTERS}", completion: true}}
- {{model_id: json, model_name: json, api_base: "{JSON}", supports_schema: true}}
"""
SCHEMA = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}},
    "required": ["on"],
    "additionalProperties": False,
}


def llm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        env={**os.environ, "LLM_USER_PATH": folder},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "extra-openai-models.yaml").write_text(MODELS)
    done = llm("-m", "chat", "-o", "max_tokens", "3", "--usage", "abc")
    assert done.stdout == "abc\n", done
    assert "3 output" in done.stderr, done
    done = llm("-m", "completion", "-o", "max_tokens", "2", "x")
    assert done.stdout == "yz\n", done
    done = llm("-m", "json", "-o", "max_tokens", "40", "--schema", json.dumps(SCHEMA), "a")
    assert isinstance(json.loads(done.stdout)["on"], bool), done
    done = llm("-m", "chat", "a" * 100)
    assert done.returncode == 1, done
    assert "more than the context of 64" in done.stderr, done
