"""Links and references lead somewhere: between pages, to files, and from the code to pages."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml
from support.pages import LINKING, ROOT, SITE, anchors, links, name_of

_CODE = (".py", ".toml", ".txt", ".yaml", ".yml", ".h", ".cpp", ".sh", ".service")


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if fragment and target.suffix == ".md":
            assert fragment in anchors(target), link


def test_code_names_pages_that_are_there() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    files = [ROOT / name for name in listed.splitlines() if name.endswith(_CODE)]
    if not files:
        pytest.skip("not a git checkout")
    named = {
        (name_of(file), match)
        for file in files
        if file.is_file()
        for match in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", file.read_text(encoding="utf-8"))
    }
    assert named
    assert [(file, path) for file, path in named if not (ROOT / path).is_file()] == []


def test_every_page_is_in_the_navigation() -> None:
    found = re.findall(r"([\w/-]+\.md)$", (ROOT / "zensical.yml").read_text(), re.MULTILINE)
    assert sorted(found) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in SITE)


def test_pages_stand_in_the_folder_of_their_kind() -> None:
    text = re.sub(r"!ENV ", "", (ROOT / "zensical.yml").read_text())
    kinds = yaml.safe_load(text)["nav"]
    folders = {"Tutorials": "tutorials", "How to": "how-to"}
    folders |= {"Reference": "reference", "Explanation": "explanation"}
    assert [next(iter(kind)) for kind in kinds[1:]] == list(folders)
    for kind in kinds[1:]:
        for title, pages in kind.items():
            named = re.findall(r"'([^']+)/[^/']+\.md'", repr(pages))
            assert {name.split("/")[0] for name in named} == {folders[title]}


def test_the_menu_of_versions_has_the_newest_first(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "index.html").touch()
    (tmp_path / "half-built").mkdir()
    runpy.run_path(str(ROOT / "scripts" / "docs.py"))["list_versions"](tmp_path)
    listed = json.loads((tmp_path / "versions.json").read_text())
    assert [one["version"] for one in listed] == ["0.10.0", "0.9.0", "0.2.0"]
    assert "url=0.10.0/" in (tmp_path / "index.html").read_text()
