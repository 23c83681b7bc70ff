"""The server inside the wheel understands what a launch gives it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from relaygen.errors import EngineError
from relaygen.launch import llama_server

from .conftest import Start, fake, service
from .models import commands, flag, plan


def test_it_takes_the_flags_of_a_plan() -> None:
    xllamacpp = pytest.importorskip("xllamacpp")
    argv = commands(plan("gguf", context_tokens=2048, slots=2))[0]
    given = llama_server.parser().parse_args(argv[3:])
    wanted = llama_server.parameters(xllamacpp, given, "key")
    assert wanted.model.path == flag(argv, "--model")
    assert (wanted.n_ctx, wanted.n_parallel, wanted.port) == (4096, 2, 4001)
    assert wanted.api_keys == ["key"]
    assert not wanted.ui
    assert not wanted.ctx_shift


async def test_an_unknown_flag_is_one_line_with_advice(start: Start) -> None:
    flags = [*commands(plan("gguf"))[0][3:], "--no-such-flag"]
    large = service("large", (sys.executable, "-m", llama_server.__name__, *flags))
    launch = start([large], [fake("gateway")])
    with pytest.raises(EngineError, match="large ended with exit code 2 .* if it is yours"):
        await launch.ended()
    told = launch.lines.of("large")
    assert len(told) == 2  # when it comes, and once more at the end
    assert "--no-such-flag" in told[0]


async def test_a_damaged_file_ends_the_launch_with_advice(start: Start, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF\x03\x00\x00\x00")
    flags = [*commands(plan("gguf"))[0][3:], "--model", str(bad)]
    large = service("large", (sys.executable, "-m", llama_server.__name__, *flags))
    launch = start([large], [fake("gateway")])
    with pytest.raises(
        EngineError, match="large ended with exit code 1 .* download the file again"
    ):
        await launch.ended()
