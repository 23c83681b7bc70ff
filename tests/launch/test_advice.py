"""What to do, from a server's last words."""

from __future__ import annotations

import pytest

from relaygen.launch.advice import advise, how_it_ended


@pytest.mark.parametrize(
    ("last_words", "remedy"),
    [
        ("[Errno 98] error while attempting to bind: address already in use", "start again"),
        ("ValueError: No available memory for the cache blocks.", "see nvidia-smi"),
        ("ValueError: Free memory on device cuda:0 (2.1/80 GiB) on startup is less", "nvidia-smi"),
        ("torch.OutOfMemoryError: CUDA out of memory.", "memory ran out"),
        ("api_server.py: error: unrecognized arguments: --no-such", "correct it if it is yours"),
        ("error: invalid argument: --cache-ram", "does not know the flag"),
        ("llama_model_load: error: unknown model architecture: 'qwen9'", "does not know the model"),
        ("segmentation fault", "its lines above say why"),
    ],
)
def test_advice(last_words: str, remedy: str) -> None:
    assert remedy in advise("vllm", ["first line", last_words, "last line"])


def test_how_it_ended() -> None:
    assert how_it_ended(2) == "ended with exit code 2"
    assert how_it_ended(-9).startswith("was ended by SIGKILL (by the kernel")
    assert how_it_ended(-15) == "was ended by SIGTERM"
