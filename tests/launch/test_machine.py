"""Looking at a machine and at models."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from relaygen import demo_models
from relaygen.errors import InvalidRequestError, MissingExtraError, ModelLoadError
from relaygen.launch.gpus import only_visible, parse
from relaygen.launch.machine import check_installed, this_machine
from relaygen.launch.model_files import read_model
from relaygen.launch.options import Engine
from relaygen.launch.ports import check_free, free_ports, where_to_ask

from .models import gpus

TABLE = "0, GPU-aa11, 81559, 81037\n1, GPU-bb22, 81559, 1200\n2, GPU-cc, [N/A], [N/A]\n\n"


def test_nvidia_smi_is_read() -> None:
    assert [(g.index, g.total, g.free) for g in parse(TABLE)] == [
        ("0", 81559 * 2**20, 81037 * 2**20),
        ("1", 81559 * 2**20, 1200 * 2**20),
    ]


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [(None, "012"), ("", ""), ("2,0", "20"), ("GPU-1", "1"), ("1,-1,2", "1")],
)
def test_visible_gpus(visible: str | None, chosen: str) -> None:
    assert "".join(gpu.index for gpu in only_visible(gpus(3), visible)) == chosen


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="names GPU '7'"):
        only_visible(gpus(2), "7")


@pytest.mark.parametrize("role", ["large", "small"])
def test_a_folder_and_a_gguf_file_of_a_model_agree(role: str) -> None:
    file, folder = read_model(demo_models.gguf(role)), read_model(demo_models.hf_folder(role))  # type: ignore[arg-type]
    assert file.cache_per_token == folder.cache_per_token > 0
    assert file.context_tokens == folder.context_tokens == 2048
    assert (file.form, folder.form) == ("gguf", "folder")
    assert folder.weights > file.weights > 0


@pytest.mark.parametrize(
    ("config", "cache"),
    [
        # 2 (keys, values) x 2 bytes each
        ({"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}, 2 * 4 * 16 * 4),
        ({"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 8}, 2 * 8 * 4),
        ({"num_hidden_layers": 2, "num_attention_heads": 4, "kv_lora_rank": 512, "qk_rope_head_dim": 64}, 2 * 576 * 2),
        ({"layer_types": ["full_attention", "linear_attention"], "num_attention_heads": 1, "head_dim": 8}, 8 * 4),
    ],
)  # fmt: skip
def test_the_cache_of_a_token(tmp_path: Path, config: dict[str, object], cache: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    assert read_model(tmp_path).cache_per_token == cache
    (tmp_path / "config.json").write_text(json.dumps({"text_config": config}))
    assert read_model(tmp_path).cache_per_token == cache


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="there is no model at /nowhere"):
        read_model(Path("/nowhere"))
    with pytest.raises(ModelLoadError, match=r"has no config\.json"):
        read_model(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelLoadError, match="is not an object"):
        read_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="holds no weights"):
        read_model(tmp_path)


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidRequestError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            check_free("127.0.0.1", port)
    check_free("127.0.0.1", free_ports(1)[0])


def test_where_a_server_can_be_asked() -> None:
    hosts = ["127.0.0.1", "0.0.0.0", "::", "10.1.2.3"]
    assert [where_to_ask(host) for host in hosts] == ["127.0.0.1", "127.0.0.1", "::1", "10.1.2.3"]


def test_an_engine_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "python"  # an interpreter without any module
    empty.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    empty.chmod(0o755)
    check_installed(Engine.LLAMA_CPP, str(empty))
    with pytest.raises(MissingExtraError, match=r"has no vLLM: `pip install vllm`"):
        check_installed(Engine.VLLM, str(empty))
    with pytest.raises(InvalidRequestError, match=r"cannot be run .* --python"):
        check_installed(Engine.SGLANG, "/nonexistent/python")


def test_this_machine() -> None:
    found = this_machine({"PATH": ""}, use_gpus=False, server_python=None)
    assert found.gpus == ()
    assert found.memory > 2**28
    assert found.llama_server is None
    assert found.python == found.server_python == sys.executable
    assert len(set(found.ports)) == 2
