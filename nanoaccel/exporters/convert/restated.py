"""Edits what a bundle in the making says of itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanoaccel.bundle import MANIFEST, Manifest, list_files

_REPORT, _PAGE = "report.json", "report.md"


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder whose files need not be as it says."""
    path = folder / MANIFEST
    return Manifest.from_json(path.read_text(encoding="utf-8"), path)


def restate(folder: Path, manifest: Manifest, note: str, **report: Any) -> None:
    """Write a manifest over the files that stand in a folder, and a note into its report.

    Args:
        folder: Folder of the bundle in the making.
        manifest: What it says, but for the files.
        note: What became of the bundle.
        report: Other values of report.json.
    """
    path, page = folder / _REPORT, folder / _PAGE
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        before = str(content.get("note") or "")
        content |= {**report, "note": f"{before}. {note}" if before else note}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if page.is_file():
        page.write_text(f"{page.read_text(encoding='utf-8')}\n{note}.\n", encoding="utf-8")
    (folder / MANIFEST).unlink(missing_ok=True)
    whole = replace(manifest, files=list_files(folder))
    (folder / MANIFEST).write_text(whole.to_json(), encoding="utf-8")
