"""vLLM's server: every flag it is started with, and why.

Source: vLLM 0.32, ``engine/arg_utils.py``, ``envs.py``, ``entrypoints/launchers/cli_args.py``.
"""

from __future__ import annotations

import json

from relaygen.launch.command import Command
from relaygen.launch.memory import GIB
from relaygen.launch.options import Draft, DraftMethod
from relaygen.launch.ports import LOOPBACK
from relaygen.launch.server import ModelServer

MODULE = "vllm.entrypoints.openai.api_server"

STOP_STRINGS = 64  # cues of a profile; vLLM allows 4 of them unless told otherwise
_BATCHED_TOKENS = 2048  # vLLM's own number, where a whole prompt fits in
_KEEP_ALIVE_S = 600  # vLLM hangs up after 5 s, in the middle of a pause between two legs


def vllm_command(server: ModelServer, *, python: str) -> Command:
    """The command line of one vLLM server.

    Args:
        server: what it has to do.
        python: an interpreter that has vLLM. The ``vllm`` command is not used, for it does not
            start in the package for CPUs.
    """
    on_gpu = bool(server.gpus)
    flags = [
        *("--model", str(server.model)),
        *("--served-model-name", server.name),
        *("--host", LOOPBACK),
        *("--port", str(server.port)),
        *("--max-model-len", str(server.context_tokens)),
        # A handoff repeats the whole prefix: without this cache each would read it anew.
        "--enable-prefix-caching",
        # A hit ends at a whole block, so the smallest one that the platform runs well.
        *("--block-size", "16" if on_gpu else "32"),
        # In single precision a CPU repeats greedy tokens exactly when a text is continued.
        *("--dtype", server.dtype or ("auto" if on_gpu else "float32")),
        # Prompts belong in nobody's log, and a generation is dozens of requests.
        "--no-enable-log-requests",
        "--disable-uvicorn-access-log",
    ]
    if on_gpu:
        flags += ["--gpu-memory-utilization", f"{server.memory_fraction:.3f}"]
        flags += ["--tensor-parallel-size", str(len(server.gpus))]
    else:
        flags += ["--enforce-eager"]  # compiling takes minutes and gains nothing for small models
        # In a process of its own, the model's worker spins for a second after each step, on the
        # cores that the other server needs (`SpinCondition` in ``shm_broadcast.py``).
        flags += ["--distributed-executor-backend", "uni"]
        # A seeded prompt that is read in two steps kills vLLM 0.32 on a CPU ("CPU Generator does
        # not use offset", ``gpu_model_runner.py``), and the legs of a seeded request have seeds.
        flags += ["--no-enable-chunked-prefill"]
        flags += ["--max-num-batched-tokens", str(max(_BATCHED_TOKENS, server.context_tokens))]
    if server.slots is not None:
        flags += ["--max-num-seqs", str(server.slots)]
    if server.draft is not None:
        flags += ["--speculative-config", speculative_config(server.draft)]
    environment = {
        "VLLM_MAX_STOP_STRINGS": str(STOP_STRINGS),
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": str(_KEEP_ALIVE_S),
        "VLLM_NO_USAGE_STATS": "1",
        **(server.gpu_environment if on_gpu else _cpu_environment(server)),
    }
    return Command(
        argv=(python, "-m", MODULE, *flags, *server.flags),
        environment=environment,
        keys={"VLLM_API_KEY": server.key},
    )


def speculative_config(draft: Draft) -> str:
    """A draft as vLLM's JSON."""
    config: dict[str, str | int] = {
        "method": str(draft.method),
        "num_speculative_tokens": draft.tokens,
    }
    if draft.path is not None:
        config["model"] = str(draft.path)
    if draft.method is DraftMethod.NGRAM:
        # Its own default looks for five equal tokens; reasoning repeats shorter phrases.
        config |= {"prompt_lookup_min": 2, "prompt_lookup_max": 5}
    if draft.method is DraftMethod.EAGLE3:
        config["draft_tensor_parallel_size"] = 1  # its one layer is not worth the communication
    return json.dumps(config)


def _cpu_environment(server: ModelServer) -> dict[str, str]:
    cache = 2 * server.cache_bytes  # single precision
    return {
        # Without it each server wants nine tenths of the machine's memory, and refuses to start.
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, -(-cache // GIB))),
        # Left to itself, each of the two binds its threads to the same cores.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # Else ``uni`` is taken for ``mp`` on a CPU. The server's engine has its process all the same.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # Else the first request for log-probabilities stops every stream for 17 s, while torch
        # compiles a kernel for it (``v1/sample/ops/logprobs.py``); --enforce-eager does not prevent it.
        "TORCHDYNAMO_DISABLE": "1",
        "OMP_NUM_THREADS": str(server.threads),
    }
