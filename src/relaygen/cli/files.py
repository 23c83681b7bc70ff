"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from relaygen.errors import InvalidRequestError


def check_writable(path: Path) -> None:
    """Refuses a place where no file can be written, before any work is done for it.

    Raises:
        InvalidRequestError: says why.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise InvalidRequestError(f"{path} is a folder; name a file", param="trace")
    if not folder.is_dir():
        raise InvalidRequestError(f"there is no folder {folder}; make it first", param="trace")
    if not os.access(folder, os.W_OK):
        raise InvalidRequestError(f"{folder} is not writable; name another place", param="trace")


def write_whole(path: Path, text: str) -> None:
    """Writes a file in one step: a reader sees the old one or the new one.

    Raises:
        OSError: the disk refuses.
    """
    if path.exists() and not path.is_file():  # /dev/stdout, a named pipe
        path.write_text(text, encoding="utf-8")
        return
    descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp's files are private
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
