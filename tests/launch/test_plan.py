"""What is decided, for machines and models of many sizes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relaygen import settings
from relaygen.errors import InvalidRequestError
from relaygen.launch.options import Draft, DraftMethod, Engine
from relaygen.launch.running import as_script

from .models import commands, flag, gpus, large, machine, model, plan

EAGLE = Draft(method=DraftMethod.EAGLE3, path=Path("/models/eagle"), tokens=3)


def test_on_one_gpu_both_caches_hold_the_same_number_of_tokens() -> None:
    made = plan(on=machine(gpus=gpus(1)))
    parts = [float(flag(argv, "--gpu-memory-utilization")) for argv in commands(made)]
    assert sum(parts) == pytest.approx(0.9, abs=0.002)
    overhead = [18 + 1.5, 3.2 + 1.5]  # GiB of weights and allowance
    per_token = [256 / 2**20, 112 / 2**20]
    tokens = [(80 * p - o) / t for p, o, t in zip(parts, overhead, per_token, strict=True)]
    assert tokens[0] == pytest.approx(tokens[1], rel=0.02)


def test_on_one_gpu_the_small_server_waits_for_the_large_one() -> None:
    made = plan(on=machine(gpus=gpus(1)))
    assert [[service.name for service in wave] for wave in made.waves] == [["large"], ["small"]]


def test_with_two_gpus_each_model_has_its_own() -> None:
    made = plan(on=machine(gpus=gpus(2)))
    assert len(made.waves) == 1
    shown = [s.command.environment["CUDA_VISIBLE_DEVICES"] for s in made.waves[0]]
    assert shown == ["0", "1"]
    parts = [float(flag(a, "--gpu-memory-utilization")) for a in commands(made)]
    assert parts == pytest.approx([0.9, 0.9], abs=0.002)


def test_tensor_parallel_over_all_gpus_shares_the_first() -> None:
    made = plan(on=machine(gpus=gpus(2)), tensor_parallel=2)
    assert [flag(a, "--tensor-parallel-size") for a in commands(made)] == ["2", "1"]
    environments = [wave[0].command.environment for wave in made.waves]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments] == ["0,1", "0"]


@pytest.mark.parametrize(
    ("asked", "on", "context"),
    [
        ({}, machine(gpus=gpus(1)), 32_768),
        ({"context_tokens": 8000}, machine(gpus=gpus(1)), 8000),
        ({}, machine(), 8192),
        ({}, machine(gpus=gpus(1, gib=32)), 13_056),  # what fits, in steps of 256
        ({}, machine(gpus=gpus(1, gib=24)), 1024),  # does not fit; see the warning
    ],
)
def test_the_context(asked: dict[str, Any], on: Any, context: int) -> None:
    made = plan(on=on, **asked)
    assert [int(flag(a, "--max-model-len")) for a in commands(made)] == [context, context]


@pytest.mark.parametrize(
    ("asked", "gib", "warning"),
    [
        ({}, 80, None),
        ({}, 24, "the weights alone need more"),
        ({"context_tokens": 32_768}, 32, r"room for 13,\d{3} tokens, and 32,768 are needed"),
        ({"context_tokens": 65_536}, 80, r"was trained for 40,960 tokens"),
    ],
)
def test_warnings(asked: dict[str, Any], gib: int, warning: str | None) -> None:
    made = plan(on=machine(gpus=gpus(1, gib=gib)), **asked)
    if warning is None:
        assert made.warnings == ()
    else:
        with pytest.raises(AssertionError, match=warning):
            raise AssertionError(made.warnings)


def test_vllm_on_a_gpu() -> None:
    argv = commands(plan(on=machine(gpus=gpus(1))))[0]
    assert argv[:3] == ("/servers/bin/python", "-m", "vllm.entrypoints.openai.api_server")
    assert flag(argv, "--block-size") == "16"
    assert flag(argv, "--dtype") == "auto"
    assert flag(argv, "--host") == "127.0.0.1"
    assert {"--enable-prefix-caching", "--no-enable-log-requests"} < set(argv)
    assert "--enforce-eager" not in argv


def test_vllm_on_a_cpu() -> None:
    made = plan(context_tokens=4096)
    argv, environment = commands(made)[0], made.waves[0][0].command.environment
    assert flag(argv, "--block-size") == "32"
    assert flag(argv, "--dtype") == "float32"
    assert "--gpu-memory-utilization" not in argv
    # 4 generations of 4,096 tokens of 256 KiB, in single precision
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "8"
    assert environment["OMP_NUM_THREADS"] == "8"
    assert environment["TORCHDYNAMO_DISABLE"] == "1"
    assert environment["VLLM_MAX_STOP_STRINGS"] == "64"
    # Without the variable, vLLM takes "uni" for "mp" on a CPU.
    assert flag(argv, "--distributed-executor-backend") == "uni"
    assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    # Otherwise a seeded prompt may be read in two steps, and the server dies of it.
    assert "--no-enable-chunked-prefill" in argv
    assert int(flag(argv, "--max-num-batched-tokens")) >= int(flag(argv, "--max-model-len"))


@pytest.mark.parametrize(
    ("draft", "config"),
    [
        (
            EAGLE,
            {
                "method": "eagle3",
                "model": "/models/eagle",
                "num_speculative_tokens": 3,
                "draft_tensor_parallel_size": 1,
            },
        ),
        (
            Draft(method=DraftMethod.DRAFT_MODEL, path=Path("/m/0.6b"), tokens=5),
            {"method": "draft_model", "model": "/m/0.6b", "num_speculative_tokens": 5},
        ),
        (
            Draft(method=DraftMethod.NGRAM, tokens=4),
            {
                "method": "ngram",
                "num_speculative_tokens": 4,
                "prompt_lookup_min": 2,
                "prompt_lookup_max": 5,
            },
        ),
    ],
)
def test_only_the_large_model_is_drafted(draft: Draft, config: dict[str, Any]) -> None:
    files = model("draft", gib=1, kib=8, tokens=40_960) if draft.path else None
    big, little = commands(plan(on=machine(gpus=gpus(1)), draft=draft, draft_files=files))
    assert json.loads(flag(big, "--speculative-config")) == config
    assert "--speculative-config" not in little


def test_llama_server() -> None:
    on = machine(llama_server="/usr/bin/llama-server", gpus=gpus(1))
    argv = commands(plan("gguf", on=on, context_tokens=8192, slots=3))[0]
    assert argv[0] == "/usr/bin/llama-server"
    assert flag(argv, "--ctx-size") == str(3 * 8192)
    assert flag(argv, "--parallel") == "3"
    assert flag(argv, "--cache-reuse") == "0"
    assert flag(argv, "--n-gpu-layers") == "999"
    assert flag(argv, "--flash-attn") == "auto"
    assert {"--no-webui", "--no-context-shift"} < set(argv)


def test_without_llama_server_the_one_in_the_wheel_runs() -> None:
    made = plan("gguf", context_tokens=2048)
    argv = commands(made)[0]
    assert argv[:3] == ("/venv/bin/python", "-m", "relaygen.launch.llama_server")
    assert flag(argv, "--flash-attn") == "off"
    assert len(made.waves) == 1


def test_a_gpu_that_cannot_be_used_is_told() -> None:
    made = plan("gguf", on=machine(gpus=gpus(1)))
    assert "no llama-server in PATH" in made.warnings[0]
    assert flag(commands(made)[0], "--ctx-size") == str(4 * 8192)


def test_cpu_means_no_layer_on_a_gpu() -> None:
    argv = commands(plan("gguf", on=machine(use_gpus=False)))[0]
    assert flag(argv, "--n-gpu-layers") == "0"


def test_sglang_measures_by_what_is_free() -> None:
    made = plan(on=machine(gpus=gpus(1)), engine=Engine.SGLANG)
    big, little = commands(made)
    assert big[:3] == ("/servers/bin/python", "-m", "sglang.launch_server")
    assert 0.6 < float(flag(big, "--mem-fraction-static")) < 0.9
    assert 0.6 < float(flag(little, "--mem-fraction-static")) < 0.97  # of what the large one left
    assert made.keys == ()  # it takes a key on its command line only
    assert "api_key_env" not in made.config


def test_keys_are_in_no_command_line() -> None:
    made = plan(on=machine(gpus=gpus(1)))
    assert made.keys == ("RELAYGEN_LARGE_SERVER_KEY", "RELAYGEN_SMALL_SERVER_KEY")
    service = made.waves[0][0]
    environment = service.command.full_environment({}, dict.fromkeys(made.keys, "k-1"))
    assert environment["VLLM_API_KEY"] == "k-1"
    assert "k-1" not in repr(service)


def test_own_flags_come_last() -> None:
    made = plan(on=machine(gpus=gpus(1)), large_flags=("--block-size", "64"), small_flags=("--x",))
    big, little = commands(made)
    assert flag(big, "--block-size") == "64"
    assert little[-1] == "--x"


@pytest.mark.parametrize(
    ("form", "asked", "problem"),
    [
        ("gguf", {"engine": Engine.VLLM}, "--engine vllm runs folders"),
        ("folder", {"engine": Engine.LLAMA_CPP}, "--engine llama.cpp runs GGUF files"),
        ("gguf", {"tensor_parallel": 2}, "--tensor-parallel means nothing to llama.cpp"),
        ("gguf", {"dtype": "float16"}, "--dtype means nothing to llama.cpp"),
        ("folder", {"gpu_layers": 3}, "--gpu-layers means nothing to vllm"),
        ("folder", {"tensor_parallel": 2}, "--tensor-parallel 2 needs as many GPUs"),
        ("gguf", {"draft": EAGLE}, "a draft for llama.cpp needs its llama-server"),
    ],
)
def test_contradictions(form: Any, asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        plan(form, **asked)


@pytest.mark.parametrize(
    ("method", "path"), [(DraftMethod.EAGLE3, None), (DraftMethod.NGRAM, Path("/m"))]
)
def test_a_draft_has_what_its_method_needs(method: DraftMethod, path: Path | None) -> None:
    with pytest.raises(InvalidRequestError, match="draft model"):
        Draft(method=method, path=path)


@pytest.mark.parametrize("form", ["gguf", "folder"])
def test_the_gateway_reads_its_configuration(
    form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(form, profile="qwen3", port=9000)
    config = tmp_path / "gateway.toml"
    config.write_text(made.config, encoding="utf-8")
    command = made.gateway(config).command
    inherited = {"RELAYGEN_LARGE__REPLICAS": '["http://elsewhere:1"]', "RELAYGEN_SERVER__PORT": "1"}
    for name, value in command.full_environment(inherited, dict.fromkeys(made.keys, "k")).items():
        monkeypatch.setenv(name, value)
    read = settings.load(config)
    assert read.large.replicas == ("http://127.0.0.1:4001",)
    assert read.small.replicas == ("http://127.0.0.1:4002",)
    assert read.small.api_key_env == "RELAYGEN_SMALL_SERVER_KEY"
    assert read.large.dialect == ("llama_server" if form == "gguf" else "vllm")
    assert read.large.stop_strings == (None if form == "gguf" else 64)
    assert read.relay.profile == "qwen3"
    assert read.relay.tokenizer == large(form).path
    assert read.server.port == 9000


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_what_is_shown_is_a_shell_script() -> None:
    script = as_script(plan(on=machine(gpus=gpus(1)), large_flags=("--x", "it's; rm -rf $HOME")))
    assert """'it'"'"'s; rm -rf $HOME'""" in script
    assert 'VLLM_API_KEY="$RELAYGEN_LARGE_SERVER_KEY"' in script
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
