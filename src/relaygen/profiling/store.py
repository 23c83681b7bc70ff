"""A folder of scored trajectories that survives being interrupted at any moment.

Each column is a plain binary file to which a trajectory's values are appended; ``index.jsonl`` gets
its line last, and that line is what makes it count. What an interruption left beyond the last whole
line is cut off when the folder is opened again. Beginnings of trajectories that were still being
written are kept in ``begun.jsonl`` and continued. A process that has the folder open keeps others out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from relaygen.errors import ProfilingError
from relaygen.profiling.folder_lock import LOCK_FILE, FolderLock
from relaygen.profiling.trajectories import COLUMNS, Column, Record, Trajectories

_INDEX: Final = "index.jsonl"
_ABOUT: Final = "about.json"
_BEGUN: Final = "begun.jsonl"

Key = tuple[str, int]
"""(question id, sample)"""


class TrajectoryStore:
    """Trajectories on disk, of one process at a time until `close`; a context manager.

    Attributes:
        folder: where they are.
        records: of the trajectories that are whole.
    """

    def __init__(
        self, folder: Path, about: Mapping[str, Any], *, lock: FolderLock | None = None
    ) -> None:
        """Opens a folder, or makes it.

        Args:
            folder: of the trajectories.
            about: what they were made with, as JSON; a folder made with something else is refused.
            lock: of the folder, from `lock_folder`; None: it is taken now.

        Raises:
            ProfilingError: the folder holds trajectories of something else, or other files, or
                another process works in it.
        """
        self.folder = folder
        wanted = json.loads(json.dumps(about))
        self._lock = lock or lock_folder(folder)
        try:
            if not made_with(folder, wanted):
                _write(folder / _ABOUT, json.dumps(wanted, indent=1) + "\n")
            self.records: list[Record] = _records(folder)
            self._cut()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets other processes in; nothing may be written from then on."""
        self._lock.close()

    @property
    def keys(self) -> frozenset[Key]:
        """The trajectories that are whole."""
        return frozenset((r.question, r.sample) for r in self.records)

    def append(self, record: Record, columns: Mapping[str, Column]) -> None:
        """Adds a trajectory: when this returns it is on the disk.

        Raises:
            ProfilingError: the columns are not as long as the record says.
        """
        for name, kind in COLUMNS.items():
            values = np.ascontiguousarray(columns[name], dtype=kind)
            if values.shape != (record.tokens,):
                raise ProfilingError(
                    f"column {name!r} has shape {values.shape}; the trajectory has "
                    f"{record.tokens} tokens"
                )
            _append(self.folder / f"{name}.bin", values.tobytes())
        _append(self.folder / _INDEX, (json.dumps(asdict(record)) + "\n").encode())
        self.records.append(record)

    def note(self, key: Key, values: Mapping[str, Sequence[Any]]) -> None:
        """Keeps some more tokens of a trajectory that is still being written."""
        line = json.dumps({"question": key[0], "sample": key[1], "values": dict(values)})
        _append(self.folder / _BEGUN, (line + "\n").encode(), sync=False)

    def begun(self) -> dict[Key, dict[str, list[Any]]]:
        """What was kept of trajectories that are not whole; forgets what was kept of others."""
        found: dict[Key, dict[str, list[Any]]] = {}
        path, whole = self.folder / _BEGUN, self.keys
        for line in _whole_lines(path):
            entry = json.loads(line)
            key = (entry["question"], entry["sample"])
            if key not in whole:
                parts = found.setdefault(key, {name: [] for name in entry["values"]})
                for name, values in entry["values"].items():
                    parts[name] += values
        lines = [
            json.dumps({"question": q, "sample": s, "values": values}) + "\n"
            for (q, s), values in found.items()
        ]
        _write(path, "".join(lines))
        return found

    def load(self) -> Trajectories:
        """Reads all that is whole."""
        return load_trajectories(self.folder)

    def _cut(self) -> None:
        """Cuts off what an interruption left after the last whole trajectory."""
        tokens = sum(record.tokens for record in self.records)
        for name, kind in COLUMNS.items():
            path, size = self.folder / f"{name}.bin", tokens * np.dtype(kind).itemsize
            have = path.stat().st_size if path.exists() else 0
            if have < size:
                raise ProfilingError(
                    f"{path} has {have} bytes of the {size} that {_INDEX} tells of: the folder is "
                    "damaged; delete it and collect again"
                )
            if have > size:
                os.truncate(path, size)
        index = self.folder / _INDEX
        if index.exists():
            lines = _whole_lines(index)
            os.truncate(index, sum(len(line) + 1 for line in lines))


def lock_folder(folder: Path) -> FolderLock:
    """Keeps other processes out of a folder of trajectories, which is made if it is not there.

    Raises:
        ProfilingError: it holds other files, or another process works in it.
    """
    _make(folder)
    return FolderLock(folder)


def made_with(folder: Path, about: Mapping[str, Any], *, partly: bool = False) -> bool:
    """Whether a folder says what its trajectories were made with; a new one does not yet.

    Args:
        folder: of trajectories.
        about: what they should have been made with, as it comes out of JSON.
        partly: it may say more than that.

    Raises:
        ProfilingError: they were made with something else.
    """
    try:
        found = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise ProfilingError(f"{folder / _ABOUT} cannot be read: {error}") from error
    for key in sorted(about.keys() if partly else found.keys() | about.keys()):
        if found.get(key) != about.get(key):
            raise ProfilingError(
                f"{folder} holds trajectories made with {key} {found.get(key)!r:.200}, not "
                f"{about.get(key)!r:.200}: name another folder (--trajectories), or delete this one"
            )
    return True


def load_trajectories(folder: Path) -> Trajectories:
    """Reads a folder of trajectories; files are mapped, not copied.

    Raises:
        ProfilingError: it holds none, or is damaged.
    """
    records = _records(folder)
    tokens = sum(record.tokens for record in records)
    columns: dict[str, Column] = {}
    for name, kind in COLUMNS.items():
        path = folder / f"{name}.bin"
        try:
            columns[name] = (
                np.memmap(path, dtype=kind, mode="r", shape=(tokens,))
                if tokens
                else np.zeros(0, dtype=kind)
            )
        except (OSError, ValueError) as error:
            raise ProfilingError(f"{path} cannot be read: {error}") from error
    return Trajectories(records=tuple(records), columns=columns)


def _make(folder: Path) -> None:
    """Makes a folder, or finds that it is one of ours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    except (FileExistsError, NotADirectoryError) as error:
        raise ProfilingError(f"{folder} is a file; name a folder for the trajectories") from error
    except OSError as error:
        raise ProfilingError(f"{folder} cannot be used for trajectories: {error}") from error
    if _ABOUT not in names and names - {LOCK_FILE, _beside(folder / _ABOUT).name}:
        raise ProfilingError(
            f"{folder} is not empty and holds no trajectories; name another folder (--trajectories)"
        )


def _records(folder: Path) -> list[Record]:
    records = []
    for number, line in enumerate(_whole_lines(folder / _INDEX), 1):
        try:
            entry = json.loads(line)
            entry["reasoning"] = tuple(entry["reasoning"])
            records.append(Record(**entry))
        except (ValueError, TypeError, KeyError) as error:
            raise ProfilingError(f"{folder / _INDEX}:{number}: damaged ({error})") from error
    return records


def _whole_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]  # what follows the last line break is cut off


def _append(path: Path, data: bytes, *, sync: bool = True) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def _write(path: Path, text: str) -> None:
    """In one step: a reader sees the old file or the new one."""
    beside = _beside(path)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")
