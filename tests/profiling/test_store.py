from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

from relaygen.errors import ProfilingError
from relaygen.profiling.store import TrajectoryStore, load_trajectories, made_with
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
    parts = {"a": columns(5, 1), "b": columns(3, 2)}
    with TrajectoryStore(tmp_path / "t", {"seed": 1}) as store:
        for name, part in parts.items():
            store.append(record(name, len(part["margin"])), part)
    with TrajectoryStore(tmp_path / "t", {"seed": 1}) as again:
        found = again.load()
    assert found.records == (record("a", 5), record("b", 3))
    assert found.first.tolist() == [0, 5, 8]
    for index, part in enumerate(parts.values()):
        for name in COLUMNS:
            assert (found.of(index)[name] == part[name]).all()


def test_an_interruption_in_any_file_loses_no_whole_trajectory(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with TrajectoryStore(whole, {}) as store:
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
            b_is_whole = name == "index.jsonl" and size == end
            with TrajectoryStore(cut, {}) as again:
                assert again.keys == ({("a", 0), ("b", 0)} if b_is_whole else {("a", 0)})
                again.append(record("c", 2), columns(2, 3))
            found = load_trajectories(cut)
            assert (found.of(0)["margin"] == columns(5, 1)["margin"]).all()
            last = found.of(len(found.records) - 1)
            assert (last["token_id"] == columns(2, 3)["token_id"]).all()
            shutil.rmtree(cut)


def test_a_beginning_is_kept_until_its_trajectory_is_whole(tmp_path: Path) -> None:
    with TrajectoryStore(tmp_path / "t", {}) as store:
        store.note(("a", 0), {"token_id": [1, 2]})
        store.note(("b", 1), {"token_id": [7]})
        store.note(("a", 0), {"token_id": [3]})
    with (tmp_path / "t" / "begun.jsonl").open("ab") as file:
        file.write(b'{"question": "a", "sam')
    with TrajectoryStore(tmp_path / "t", {}) as again:
        assert again.begun() == {("a", 0): {"token_id": [1, 2, 3]}, ("b", 1): {"token_id": [7]}}
        again.append(record("a", 3), columns(3, 1))
        assert again.begun() == {("b", 1): {"token_id": [7]}}


def test_trajectories_of_something_else_are_refused(tmp_path: Path) -> None:
    TrajectoryStore(tmp_path / "t", {"seed": 1, "large": "a"}).close()
    with pytest.raises(ProfilingError, match="made with seed 1, not 2"):
        TrajectoryStore(tmp_path / "t", {"seed": 2, "large": "a"})
    assert made_with(tmp_path / "t", {"large": "a"}, partly=True)
    assert not made_with(tmp_path / "new", {"large": "a"}, partly=True)
    for wanted, partly in (({"large": "b"}, True), ({"large": "a"}, False)):
        with pytest.raises(ProfilingError, match="made with"):
            made_with(tmp_path / "t", wanted, partly=partly)
    (tmp_path / "t" / "lock").unlink()
    (tmp_path / "t" / "lock").mkdir()
    with pytest.raises(ProfilingError, match="cannot be written"):
        TrajectoryStore(tmp_path / "t", {"seed": 1, "large": "a"})
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ProfilingError, match="holds no trajectories"):
        TrajectoryStore(tmp_path, {})
    assert (tmp_path / "x").read_text() == "mine"


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    with TrajectoryStore(tmp_path / "t", {}) as store:
        store.append(record("a", 5), columns(5, 1))
    with (tmp_path / "t" / "margin.bin").open("r+b") as file:
        file.truncate(7)
    with pytest.raises(ProfilingError, match="damaged"):
        TrajectoryStore(tmp_path / "t", {})


HOLDER = """
import sys
from pathlib import Path
from relaygen.profiling.store import TrajectoryStore
store = TrajectoryStore(Path(sys.argv[1]), {})
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_kept_out_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "t")]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            with pytest.raises(ProfilingError, match=rf"in use by process {process.pid} on .*wait"):
                TrajectoryStore(tmp_path / "t", {})
        finally:
            process.kill()
    with TrajectoryStore(tmp_path / "t", {}) as store:
        store.append(record("a", 5), columns(5, 1))


def test_a_folder_that_was_refused_is_let_go(tmp_path: Path) -> None:
    TrajectoryStore(tmp_path / "t", {"seed": 1}).close()
    with pytest.raises(ProfilingError, match="seed"):
        TrajectoryStore(tmp_path / "t", {"seed": 2})
    with TrajectoryStore(tmp_path / "t", {"seed": 1}) as first:
        with pytest.raises(ProfilingError, match="in use"):
            TrajectoryStore(tmp_path / "t", {"seed": 1})
        first.append(record("a", 5), columns(5, 1))


def test_a_folder_whose_process_was_killed_at_its_very_start_is_used(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 1 on a machine\n")
    (tmp_path / "about.json.new").write_text("{")
    TrajectoryStore(tmp_path, {}).close()
    assert load_trajectories(tmp_path).records == ()
