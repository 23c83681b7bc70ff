from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from relaygen.engines.llama_cpp import LlamaCppEngine, ModelOptions
from relaygen.errors import ModelLoadError
from tests.engines.llama_cpp_models import CONTEXT, VOCABULARY, tiny_qwen3, write_qwen3


def test_reports_what_one_sequence_really_gets() -> None:
    engine = LlamaCppEngine(tiny_qwen3(), ModelOptions(sequences=3))
    report = engine.report()
    assert engine.capabilities().context_tokens == report.context_tokens == CONTEXT
    assert engine.capabilities().vocab_size == VOCABULARY
    assert report.sequences == 3
    assert report.architecture == "qwen3"
    assert report.library_tested
    assert report.can_rewind
    engine.close()


def test_a_context_beyond_the_training_context_is_allowed() -> None:
    engine = LlamaCppEngine(tiny_qwen3(), ModelOptions(context_tokens=1024, sequences=1))
    assert engine.capabilities().context_tokens >= 1024
    engine.close()


@pytest.mark.parametrize("flash", [True, False])
def test_flash_attention_can_be_set(flash: bool) -> None:
    engine = LlamaCppEngine(tiny_qwen3(), ModelOptions(sequences=1, flash_attention=flash))
    assert engine.report().flash_attention is flash
    engine.close()


def with_value(content: bytes, key: bytes, value: bytes) -> bytes:
    """Replaces the 32-bit value that follows a key and its type."""
    at = content.index(key) + len(key) + 4
    return content[:at] + value + content[at + 4 :]


def damaged(path: Path, damage: str) -> Path:
    good = tiny_qwen3().read_bytes()
    match damage:
        case "missing":
            return path / "no-such-model.gguf"
        case "empty":
            content = b""
        case "not gguf":
            content = b"PK\3\4" + good[4:]
        case "cut in its metadata":
            content = good[:500]
        case "cut in its tensors":
            content = good[:-1000]
        case "unknown architecture":
            content = good.replace(b"qwen3", b"qwen0")
        case "lacks a tensor":
            content = good.replace(b"blk.1.ffn_up", b"blk.1.ffn_xx")
        case "no layers":
            content = with_value(good, b"qwen3.block_count", b"\0\0\0\0")
        case "absurd layers":
            content = with_value(good, b"qwen3.block_count", b"\0\0\0\7")
        case "absurd epsilon":
            content = with_value(good, b"qwen3.attention.layer_norm_rms_epsilon", b"\0\0\x80\xbf")
        case "a token twice":
            content = good.replace(b"t258", b"t259")
        case _:
            raise AssertionError(damage)
    file = path / "model.gguf"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "damage",
    [
        "missing",
        "empty",
        "not gguf",
        "cut in its metadata",
        "cut in its tensors",
        "unknown architecture",
        "lacks a tensor",
        "no layers",
        "absurd layers",
        "absurd epsilon",
        "a token twice",
    ],
)
def test_a_bad_file_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    file = damaged(tmp_path, damage)
    with pytest.raises(ModelLoadError, match=re.escape(file.name)):
        LlamaCppEngine(file)


def test_the_message_holds_what_llama_cpp_says(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="unknown model architecture: 'qwen0'"):
        LlamaCppEngine(damaged(tmp_path, "unknown architecture"))
    with pytest.raises(ModelLoadError, match=r"blk\.1\.ffn_up"):
        LlamaCppEngine(damaged(tmp_path, "lacks a tensor"))


def test_more_memory_than_there_is_is_refused_before_it_is_allocated() -> None:
    with pytest.raises(ModelLoadError, match="context_tokens or fewer sequences"):
        LlamaCppEngine(tiny_qwen3(), ModelOptions(context_tokens=2**31 - 1, sequences=256))


@pytest.mark.parametrize("name", ["context_tokens", "sequences", "decode_threads", "read_threads"])
def test_an_option_that_makes_no_sense_is_refused_by_name(name: str) -> None:
    with pytest.raises(ModelLoadError, match=name):
        ModelOptions(**{name: 0})


def test_another_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "libllama.so"
    with pytest.raises(ModelLoadError, match=r"libllama\.so"):
        LlamaCppEngine(tiny_qwen3(), ModelOptions(library=library))
    library.write_bytes(b"not a library")
    monkeypatch.setenv("RELAYGEN_LIBLLAMA", str(library))
    with pytest.raises(ModelLoadError, match="cannot be loaded"):
        LlamaCppEngine(tiny_qwen3())


def test_a_forgotten_engine_does_not_keep_the_interpreter_or_say_anything(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    write_qwen3(model)
    program = f"""
import time
from relaygen.engines.llama_cpp import LlamaCppEngine
from relaygen.engines.base import GenerateRequest
engine = LlamaCppEngine({str(model)!r})
tokens = []
def sink(output):
    tokens.append(output)
    return True
engine.submit(GenerateRequest(prompt=(1, 2, 3), max_tokens=400), sink)
while not tokens:
    time.sleep(0.001)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
