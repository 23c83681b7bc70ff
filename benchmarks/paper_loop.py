"""The published code's loop, as a program of its own, to be timed beside ours.

One request after another, not streamed: the large model until a cue, the small one until a full
stop, the new text tokenised again. Like the original it asks ``/v1/models`` before each request, and
it uses OpenAI's client where that is installed (else ``http.client``, which is quicker). Unlike the
original it sends token ids, so that no server tokenises the whole text at every switch.

Source: Song, Kim, Kim, "RelayGen", arXiv 2602.06454; jiwonsong-dev/RelayGen, ``utils/utils.py``.
"""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

THINK_END = "</think>"
SENTENCE_ENDS = (".", "!", "?", "\n\n")
_MAX_TOKENS = 8192

Answer = tuple[str, int]
"""The text, and how many tokens it has."""
Complete = Callable[[Sequence[int], Sequence[str]], Answer]


def openai_client(url: str) -> Complete:
    """OpenAI's own client, as in the original."""
    client: Any = importlib.import_module("openai").OpenAI(api_key="EMPTY", base_url=f"{url}/v1")

    def complete(prompt: Sequence[int], stop: Sequence[str]) -> Answer:
        answer = client.completions.create(
            model=client.models.list().data[0].id,
            prompt=list(prompt),
            max_tokens=_MAX_TOKENS,
            stop=list(stop),
            extra_body={"include_stop_str_in_output": True},
        )
        return answer.choices[0].text, answer.usage.completion_tokens

    return complete


def plain_client(url: str) -> Complete:
    """The standard library's, on one connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())

    def complete(prompt: Sequence[int], stop: Sequence[str]) -> Answer:
        body = {
            "model": ask("GET", "/v1/models")["data"][0]["id"],
            "prompt": list(prompt),
            "max_tokens": _MAX_TOKENS,
            "stop": list(stop),
            "include_stop_str_in_output": True,
        }
        answer = ask("POST", "/v1/completions", body)
        return answer["choices"][0]["text"], answer["usage"]["completion_tokens"]

    return complete


def relay(
    large: Complete,
    small: Complete,
    encode: Callable[[str], list[int]],
    prompt: Sequence[int],
    cues: Sequence[str],
) -> tuple[int, int]:
    """Generates once; how many requests and tokens that took."""
    ids, requests, tokens = list(prompt), 0, 0
    writer, other, stop, other_stop = large, small, (THINK_END, *cues), (THINK_END, *SENTENCE_ENDS)
    while True:
        text, count = writer(ids, stop)
        requests, tokens = requests + 1, tokens + count
        ids += encode(text)
        if THINK_END in text:
            break
        if text.endswith(stop[1:]):
            writer, other, stop, other_stop = other, writer, other_stop, stop
    _, count = small(ids, ())
    return requests + 1, tokens + count


def main() -> None:
    """Prints the seconds of one generation, its requests and tokens as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--large", required=True)
    add("--small", required=True)
    add("--tokenizer", required=True, help="a tokenizer.json")
    add("--prompt", required=True, help="token ids, as a JSON list")
    add("--cues", required=True, help="a JSON list")
    options = parser.parse_args()

    tokenizer: Any = importlib.import_module("tokenizers").Tokenizer.from_file(options.tokenizer)
    name = "openai" if find_spec("openai") else "http.client"
    client = openai_client if name == "openai" else plain_client
    large, small = client(options.large), client(options.small)

    def encode(text: str) -> list[int]:
        found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return found

    prompt, cues = json.loads(options.prompt), json.loads(options.cues)
    for warm in (large, small):  # connections and caches of the client, but no prefix of ours
        warm(prompt[:2] + prompt, (" ",))
    began = time.perf_counter()
    requests, tokens = relay(large, small, encode, prompt, cues)
    seconds = time.perf_counter() - began
    result = {"seconds": seconds, "requests": requests, "tokens": tokens, "client": name}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
