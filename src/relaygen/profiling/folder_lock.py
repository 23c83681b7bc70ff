"""One process at a time in a folder: a lock of the operating system, which ends with its process.

The file stays when the lock is gone; only the system's lock on it counts, so that a killed process
leaves nothing behind that another one would have to clear away.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Final

from relaygen.errors import ProfilingError

LOCK_FILE: Final = "lock"


class FolderLock:
    """A folder that is this process's own until `close`."""

    def __init__(self, folder: Path) -> None:
        """Takes the lock, or says who has it.

        Args:
            folder: exists.

        Raises:
            ProfilingError: another process has it, or no file can be written or locked there.
        """
        path = folder / LOCK_FILE
        try:
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ProfilingError(f"{path} cannot be written: {error}") from error
        try:
            _lock(self._file.fileno())
        except (BlockingIOError, PermissionError) as error:
            self._file.close()
            raise ProfilingError(
                f"{folder} is in use by {_holder(path)}: wait until it is done, stop it (nothing "
                "is lost, the same command goes on), or name another folder (--trajectories)"
            ) from error
        except OSError as error:
            self._file.close()
            raise ProfilingError(
                f"{folder} cannot be locked ({error}), so that two runs could write there at once; "
                "name a folder on a local disk"
            ) from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def close(self) -> None:
        """Lets others in; a second call does nothing."""
        self._file.close()


def _holder(path: Path) -> str:
    try:
        told = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        told = ""
    return told.strip() or "another process"


if sys.platform == "win32":
    import msvcrt

    _FAR: Final = 1 << 30
    """A locked byte cannot be read there, so it is one that is never written."""

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
