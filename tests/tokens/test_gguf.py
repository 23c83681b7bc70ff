from __future__ import annotations

import contextlib
import random
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relaygen.errors import ModelLoadError, RelayGenError
from relaygen.tokens import Tokenizer, read_gguf
from relaygen.tokens.ggml_types import GGML_BLOCKS
from tests.tokens.tiny_models import train, write_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", train(), template="{{ 1 }}")


def test_says_what_the_writer_wrote(model: Path) -> None:
    file = read_gguf(model)
    assert (file.architecture, file.name, file.file_type) == ("qwen3", "Tiny", "F16")
    assert (file.context_length, file.block_count) == (2048, 2)
    assert file.parameter_count == 8 * 64 + 64
    assert file.chat_template == "{{ 1 }}"
    assert file.bos_id is None
    assert file.metadata["tokenizer.ggml.tokens"][file.eos_id] == "<|im_end|>"  # type: ignore[index]
    reference = gguf.GGUFReader(model)
    assert [(t.name, t.offset, t.size) for t in file.tensors] == [
        (t.name, t.data_offset, t.n_bytes) for t in reference.tensors
    ]


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "kinds.gguf", "x")
    values = {"u8": 200, "i8": -3, "u16": 60_000, "i16": -9, "u32": 2**31, "i32": -7}
    values |= {"u64": 2**63, "i64": -(2**40)}
    for kind, value in values.items():
        name = (
            kind.replace("u", "uint").replace("i", "int", 1)
            if kind[0] == "i"
            else f"uint{kind[1:]}"
        )
        getattr(writer, f"add_{name}")(kind, value)
    writer.add_float32("f32", 0.5)
    writer.add_float64("f64", 0.1)
    writer.add_bool("yes", True)
    writer.add_array("floats", [0.5, 1.5])
    writer.add_tensor("t", np.zeros((2, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = read_gguf(tmp_path / "kinds.gguf").metadata
    assert {kind: read[kind] for kind in values} == values
    assert (read["f32"], read["f64"], read["yes"], read["floats"]) == (0.5, 0.1, True, [0.5, 1.5])


def test_block_sizes_are_those_of_the_reference() -> None:
    known = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    for number, (name, block, size) in GGML_BLOCKS.items():
        if number in known:
            assert known[number] == (block, size), name


def test_a_file_cut_off_anywhere_is_refused(model: Path, tmp_path: Path) -> None:
    whole = model.read_bytes()
    short = tmp_path / "short.gguf"
    rng = random.Random(0)
    for length in [0, 3, 4, 8, 24, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(40))]:
        short.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError, match=r"short\.gguf"):
            read_gguf(short)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_damage_never_raises_anything_else(model: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    damaged = bytearray(model.read_bytes())
    limit = rng.choice([64, 600, len(damaged)])
    for _ in range(rng.randrange(1, 6)):
        damaged[rng.randrange(limit)] = rng.choice([0, 0xFF, rng.randrange(256)])
    path = tmp_path / "damaged.gguf"
    path.write_bytes(damaged)
    with contextlib.suppress(RelayGenError):  # no other exception, no crash, no endless read
        Tokenizer.from_gguf(path)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"PK\x03\x04" + bytes(64), "not a GGUF file"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(64), "version 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(64), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "more than the file has room for"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "more than the file has room for"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**50) + bytes(64), "at most 65,535"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelLoadError, match=problem):
        read_gguf(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"nowhere\.gguf.*check the path"):
        read_gguf(tmp_path / "nowhere.gguf")
