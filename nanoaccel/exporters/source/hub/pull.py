"""Downloads a repository of the hub into a folder, which appears when all of it is there.

    .NAME.pull/    the files that are whole, and one with .part at the end of its name

A download that was stopped, however it was, goes on where it ended: the folder's name does not
depend on the process. Every file is checked by its size and its checksum before it counts.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import ExportError, MissingExtraError, NanoAccelError, SourceError
from nanoaccel.exporters.publish import check_space
from nanoaccel.exporters.source.hub.wanted import wanted_files
from nanoaccel.pulled import Pulled, PulledFile, find_pulled, remember_pulled, usual_folder

if TYPE_CHECKING:
    from nanoaccel.exporters.progress import Progress, Tell

_PART = ".part"
_AGAIN = "Run the command again: it goes on where it ended"


def pull(
    name: str, folder: Path | None, progress: Progress, patterns: Sequence[str] = ()
) -> Pulled:
    """Bring a model, or a bundle, of the hub into a folder, and let it be found by its name.

    Args:
        name: "org/name", or "org/name@revision".
        folder: Where to; None is a folder in the cache.
        progress: Learns the stages.
        patterns: Files that are wanted; empty is what a model or a bundle needs.

    Raises:
        SourceError: The hub has no such repository, cannot be reached, or gave other bytes.
        ExportError: The folder is in use, or the disk is full.
        MissingExtraError: huggingface_hub is not installed.
    """
    target = usual_folder(name) if folder is None else folder.expanduser().absolute()
    with progress.stage("ask the hub"), _explained(name):
        commit, files = _listed(name, patterns)
    made = Pulled(id=name, commit=commit, folder=target, files=tuple(files))
    if _is_there(made, progress):
        remember_pulled(made)
        return made
    work = target.parent / f".{target.name}.pull"
    try:
        _prepare(work, commit)
        missing = [file for file in files if file.problem(work, thorough=False) is not None]
        check_space(work, sum(file.size - _begun(work, file) for file in missing))
        for file in missing:
            with progress.stage(f"download {file.path}") as tell, _explained(name):
                _download(name.partition("@")[0], commit, file, work, tell)
        with progress.stage("check the files"):
            _check(made, work)
        _publish(work, target)
        remember_pulled(made)
    except OSError as error:
        raise ExportError(
            f"cannot write {target}: {error.strerror or error}", "Name a folder that can be written"
        ) from error
    return made


def _listed(name: str, patterns: Sequence[str]) -> tuple[str, list[PulledFile]]:
    """The commit of a repository, and the files of it that are wanted."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingExtraError(
            "pull needs huggingface_hub", "Install it: pip install huggingface_hub"
        ) from error
    repository, _, revision = name.partition("@")
    found = HfApi().model_info(repository, revision=revision or None, files_metadata=True)
    known = {entry.rfilename: entry for entry in found.siblings or ()}
    files = []
    for path in wanted_files(name, list(known), patterns):
        entry = known[path]
        parts = PurePosixPath(path).parts
        if PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path:
            raise SourceError(f"{name} has a file {path!r}, outside its folder", "Do not trust it")
        sha256 = None if entry.lfs is None else str(entry.lfs.sha256)
        files.append(
            PulledFile(path=path, size=int(entry.size or 0), sha256=sha256, git=entry.blob_id)
        )
    return str(found.sha), files


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the hub's client raises into an error that says what to do."""
    try:
        from huggingface_hub import errors
    except ImportError:
        yield  # the import is refused where it is needed
        return
    from huggingface_hub.constants import ENDPOINT

    try:
        yield
    except errors.GatedRepoError as error:
        remedy = "Accept its terms on its page, and log in with 'hf auth login'"
        raise SourceError(f"{name} is gated", remedy) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        remedy = "Check the name; log in with 'hf auth login' if it is private"
        raise SourceError(f"{ENDPOINT} has no {name}", remedy) from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"{name}: there is no such revision", "Check its name") from error
    except errors.OfflineModeIsEnabled as error:
        remedy = "Unset it to download"
        raise SourceError(f"{name} is not here, and HF_HUB_OFFLINE is set", remedy) from error
    except Exception as error:  # of whichever HTTP library its client is built on
        local = isinstance(error, OSError) and error.errno is not None
        if local or isinstance(error, NanoAccelError):
            raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SourceError(f"the hub ({ENDPOINT}) cannot be reached: {line}", _AGAIN) from error


def _is_there(made: Pulled, progress: Progress) -> bool:
    """Whether all of it stands at its target already.

    Raises:
        ExportError: Something else stands there.
    """
    target = made.folder
    if not target.exists():
        return False
    with progress.stage("check the files"):
        whole = target.is_dir() and made.problem(thorough=True) is None
    known = find_pulled(made.id)
    ours = known is not None and known.folder == target
    if not whole and not ours and not (target.is_dir() and not any(target.iterdir())):
        raise ExportError(f"{target} is in use", "Name a folder that does not exist yet")
    return whole


def _prepare(work: Path, commit: str) -> None:
    """Make the folder of the download; what is there of another commit goes."""
    stamp = work / ".commit"
    if work.is_dir() and (not stamp.is_file() or stamp.read_text(encoding="utf-8") != commit):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    stamp.write_text(commit, encoding="utf-8")


def _part(work: Path, file: PulledFile) -> Path:
    return work / f"{file.path}{_PART}"


def _begun(work: Path, file: PulledFile) -> int:
    """Bytes of a file that are here already."""
    part = _part(work, file)
    return min(part.stat().st_size, file.size) if part.is_file() else 0


def _download(repository: str, commit: str, file: PulledFile, work: Path, tell: Tell) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # each attempt is a warning
    part = _part(work, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    begun = _begun(work, file)
    with _Told(part, file.size, tell) as stream:
        stream.truncate(begun)
        stream.seek(begun)
        http_get(
            hf_hub_url(repository, file.path, revision=commit),
            stream,
            resume_size=begun,
            headers=build_hf_headers(),
            expected_size=file.size,
        )
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(work / file.path)


class _Told(io.FileIO):
    """A file that says how much of it was written."""

    def __init__(self, path: Path, size: int, tell: Tell) -> None:
        super().__init__(path, "r+" if path.is_file() else "w+")
        self._size, self._say = max(size, 1), tell

    def write(self, block: Any, /) -> int:
        written = super().write(block)
        self._say(min(1.0, self.tell() / self._size))
        return written


def _check(made: Pulled, work: Path) -> None:
    """Refuse a file that is not the hub's, and delete it, so that it comes anew.

    Raises:
        SourceError: There is one.
    """
    for file in made.files:
        problem = file.problem(work, thorough=True)
        if problem is not None:
            (work / file.path).unlink(missing_ok=True)
            raise SourceError(problem, "It was deleted. Run the command again to download it anew")


def _publish(work: Path, target: Path) -> None:
    (work / ".commit").unlink()
    if target.is_dir():
        shutil.rmtree(target)  # empty, or an older commit of the same name
    work.replace(target)
