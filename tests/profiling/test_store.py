from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from relaygen.errors import ProfilingError
from relaygen.profiling.store import TrajectoryStore, load_trajectories
from relaygen.profiling.trajectories import COLUMNS, Column, Record


def columns(tokens: int, seed: int) -> dict[str, Column]:
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 2, tokens).astype(kind) for name, kind in COLUMNS.items()}


def record(question: str, tokens: int, sample: int = 0) -> Record:
    return Record(
        question=question,
        sample=sample,
        prompt_tokens=4,
        tokens=tokens,
        reasoning=(0, tokens - 1),
        end="eos",
        right=True,
    )


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "t", {"seed": 1})
    parts = {"a": columns(5, 1), "b": columns(3, 2)}
    for name, part in parts.items():
        store.append(record(name, len(part["margin"])), part)
    found = TrajectoryStore(tmp_path / "t", {"seed": 1}).load()
    assert found.records == (record("a", 5), record("b", 3))
    assert found.first.tolist() == [0, 5, 8]
    for index, part in enumerate(parts.values()):
        for name in COLUMNS:
            assert (found.of(index)[name] == part[name]).all()


def test_an_interruption_in_any_file_loses_no_whole_trajectory(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    store = TrajectoryStore(whole, {})
    store.append(record("a", 5), columns(5, 1))
    sizes = {path.name: path.stat().st_size for path in whole.iterdir()}
    store.append(record("b", 3), columns(3, 2))
    order = [f"{name}.bin" for name in COLUMNS] + ["index.jsonl"]
    for stage, name in enumerate(order):
        end = (whole / name).stat().st_size
        for size in sorted({sizes[name], sizes[name] + 1, end - 1, end}):
            cut = tmp_path / "cut"
            shutil.copytree(whole, cut)
            with (cut / name).open("r+b") as file:
                file.truncate(size)
            for later in order[stage + 1 :]:
                with (cut / later).open("r+b") as file:
                    file.truncate(sizes[later])
            again = TrajectoryStore(cut, {})
            b_is_whole = name == "index.jsonl" and size == end
            assert again.keys == ({("a", 0), ("b", 0)} if b_is_whole else {("a", 0)})
            again.append(record("c", 2), columns(2, 3))
            assert (load_trajectories(cut).of(0)["margin"] == columns(5, 1)["margin"]).all()
            assert (
                again.load().of(len(again.records) - 1)["token_id"] == columns(2, 3)["token_id"]
            ).all()
            shutil.rmtree(cut)


def test_a_beginning_is_kept_until_its_trajectory_is_whole(tmp_path: Path) -> None:
    store = TrajectoryStore(tmp_path / "t", {})
    store.note(("a", 0), {"token_id": [1, 2]})
    store.note(("b", 1), {"token_id": [7]})
    store.note(("a", 0), {"token_id": [3]})
    with (tmp_path / "t" / "begun.jsonl").open("ab") as file:
        file.write(b'{"question": "a", "sam')
    again = TrajectoryStore(tmp_path / "t", {})
    assert again.begun() == {("a", 0): {"token_id": [1, 2, 3]}, ("b", 1): {"token_id": [7]}}
    again.append(record("a", 3), columns(3, 1))
    assert again.begun() == {("b", 1): {"token_id": [7]}}


def test_trajectories_of_something_else_are_refused(tmp_path: Path) -> None:
    TrajectoryStore(tmp_path / "t", {"seed": 1, "large": "a"})
    with pytest.raises(ProfilingError, match="made with seed 1, not 2"):
        TrajectoryStore(tmp_path / "t", {"seed": 2, "large": "a"})
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ProfilingError, match="holds no trajectories"):
        TrajectoryStore(tmp_path, {})
    assert (tmp_path / "x").read_text() == "mine"


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    TrajectoryStore(tmp_path / "t", {}).append(record("a", 5), columns(5, 1))
    with (tmp_path / "t" / "margin.bin").open("r+b") as file:
        file.truncate(7)
    with pytest.raises(ProfilingError, match="damaged"):
        TrajectoryStore(tmp_path / "t", {})
