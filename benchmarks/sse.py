"""What an event of a stream costs its reader: parsing, decoding, understanding. One core; ``python -m benchmarks.sse``."""

from __future__ import annotations

import json
import time

from relaygen.engines.base import GenerateRequest
from relaygen.engines.openai_http.client import Client
from relaygen.engines.openai_http.dialects import DIALECTS, Served
from relaygen.engines.openai_http.options import HTTPOptions
from relaygen.engines.openai_http.sse import SSEParser

EVENTS = {
    "vllm": b'{"id":"cmpl-9f0c2c3e4d5a4b6c8d7e9f0a1b2c3d4e","object":"text_completion","created":'
    b'1764000000,"model":"Qwen/Qwen3-32B","choices":[{"index":0,"text":" number","logprobs":null,'
    b'"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":[1372]}]}',
    "sglang": b'{"text":" number","output_ids":[1372],"meta_info":{"id":"9f0c2c3e4d5a4b6c8d7e9f0a1b'
    b'2c3d4e","finish_reason":null,"prompt_tokens":812,"weight_version":"default",'
    b'"completion_tokens":%d,"cached_tokens":800}}',
    "llama_server": b'{"index":0,"content":" number","tokens":[1372],"stop":false,"id_slot":-1,'
    b'"tokens_predicted":%d,"tokens_evaluated":812}',
}


def microseconds_a_token(dialect: str, tokens: int = 50_000, rounds: int = 5) -> float:
    """The best of some rounds; each event arrives in a chunk of its own."""
    client = Client("http://127.0.0.1:1", HTTPOptions())
    served = Served(model="m", context_tokens=2**20, vocab_size=2**18)
    made = DIALECTS[dialect](client, served)
    event = EVENTS[dialect]
    numbered = b"%d" in event
    chunks = [
        b"data: " + (event % n if numbered else event) + b"\n\n" for n in range(1, tokens + 1)
    ]
    best = float("inf")
    for _ in range(rounds):
        leg = made.leg(GenerateRequest(prompt=(1,), max_tokens=tokens))
        parser = SSEParser(max_bytes=2**22)
        began = time.perf_counter()
        for chunk in chunks:
            for data in parser.feed(chunk):
                leg.read(data)
        best = min(best, time.perf_counter() - began)
    return best / tokens * 1e6


if __name__ == "__main__":
    print(json.dumps({name: round(microseconds_a_token(name), 2) for name in EVENTS}, indent=2))
