"""Builds the documentation: site/VERSION, beside those of other versions, and site/versions.json.

python scripts/docs.py           build it; a warning is an error
python scripts/docs.py --serve   show it at http://localhost:8000, built anew after each change
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_SITE = _ROOT / "site"
_CONFIG = _ROOT / "zensical.yml"
_TO_NEWEST = (
    '<!doctype html><meta http-equiv="refresh" content="0; url={}/"><title>NanoAccel</title>\n'
)


def main() -> int:
    """Build or serve; gives the exit code."""
    parser = argparse.ArgumentParser(description="Build the documentation of this version.")
    parser.add_argument("--serve", action="store_true", help="show it, and follow changes")
    serve = parser.parse_args().serve
    version = package_version()
    folder = _SITE / version
    program = [_zensical(), "serve" if serve else "build", "--config-file", str(_CONFIG)]
    environment = os.environ | {
        "DOCS_COPYRIGHT": f"NanoAccel {version}, Apache-2.0",
        # Relative to the configuration, whichever folder this was called from.
        "DOCS_FOLDER": os.path.relpath(folder, _ROOT),
    }
    if serve:
        return subprocess.run(program, cwd=_ROOT, env=environment, check=False).returncode
    program += ["--clean", "--strict"]
    done = subprocess.run(
        program, cwd=_ROOT, env=environment, text=True, capture_output=True, check=False
    )
    said = done.stdout + done.stderr
    # Strictness covers pages, and not what is read from docstrings.
    if done.returncode != 0 or "griffe:" in said:
        print(said, file=sys.stderr)
        return 1
    list_versions(_SITE)
    return 0


def package_version() -> str:
    """The version of the package, as it says itself."""
    sys.path.insert(0, str(_ROOT))
    import nanoaccel

    return nanoaccel.__version__


def list_versions(site: Path) -> None:
    """Write what the page's menu of versions reads, newest first, and lead to the newest."""
    found = [folder.name for folder in site.iterdir() if (folder / "index.html").is_file()]
    found.sort(key=lambda name: [int(part) for part in re.findall(r"\d+", name)], reverse=True)
    versions = [{"version": name, "title": name, "aliases": []} for name in found]
    (site / "versions.json").write_text(json.dumps(versions) + "\n", encoding="utf-8")
    (site / "index.html").write_text(_TO_NEWEST.format(found[0]), encoding="utf-8")


def _zensical() -> str:
    beside = Path(sys.executable).parent / "zensical"
    found = str(beside) if beside.exists() else shutil.which("zensical")
    if found is None:
        raise SystemExit('zensical is missing: pip install -c constraints.txt -e ".[docs]"')
    return found


if __name__ == "__main__":
    sys.exit(main())
