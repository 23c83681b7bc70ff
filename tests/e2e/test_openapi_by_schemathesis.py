"""Requests made up from the gateway's own ``/openapi.json``, and its replies held against it."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .serving import MODEL

pytestmark = pytest.mark.e2e

CONFORMS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
)
NULL = {"type": "null"}
BOOLEAN = {"type": ["boolean", "null"]}


def number(low: float, high: float) -> dict[str, Any]:
    return {"anyOf": [{"type": "number", "minimum": low, "maximum": high}, NULL]}


def integer(low: int, high: int) -> dict[str, Any]:
    return {"anyOf": [{"type": "integer", "minimum": low, "maximum": high}, NULL]}


def text(most: int = 40) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most}


def of(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


RELAY = of(
    [],
    policy={"enum": ["relay", "large", "small", "random", "paper"]},
    cues={"type": "array", "items": {"enum": ["So,", "Then"]}, "minItems": 1, "uniqueItems": True},
    handoff_share=number(0, 1),
    trace=BOOLEAN,
    margins=BOOLEAN,
    max_small_tokens=integer(8, 64),
    force_answer=BOOLEAN,
)
COMMON = {
    "model": {"const": MODEL},
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": 6},
    "n": integer(1, 2),
    "stream": BOOLEAN,
    "seed": integer(-(2**31), 2**31),
    "stop": {"anyOf": [text(), {"type": "array", "items": text(), "maxItems": 4}, NULL]},
    "temperature": number(0, 2),
    "top_p": number(0.1, 1),
    "top_k": integer(0, 50),
    "min_p": number(0, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "repetition_penalty": number(0.5, 2),
    "user": {"type": ["string", "null"]},
    "prompt_cache_key": {"type": ["string", "null"]},
    "return_token_ids": BOOLEAN,
    "relaygen": {"anyOf": [RELAY, NULL]},
}
MESSAGE = of(["role", "content"], role={"enum": ["user", "assistant", "system"]}, content=text(200))
HONOURED = {
    "ChatRequest": of(
        ["model", "messages", "max_tokens"],
        **COMMON,
        messages={"type": "array", "items": MESSAGE, "minItems": 1, "maxItems": 3},
        logprobs=BOOLEAN,
    ),
    "CompletionRequest": of(
        ["model", "prompt", "max_tokens"],
        **COMMON,
        prompt={"anyOf": [text(200), {"type": "array", "items": text(), "minItems": 1, "maxItems": 2}]},
        logprobs=integer(0, 5),
    ),
}  # fmt: skip
"""Requests that the embedded pair honours, whatever the values: a part of what is described."""


def described(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/openapi.json") as reply:
        document: dict[str, Any] = json.load(reply)
    return document


def statuses(report: Path) -> Counter[tuple[str, int]]:
    """How often each operation answered what."""
    found: Counter[tuple[str, int]] = Counter()
    for line in report.read_text(encoding="utf-8").splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for exchange in recorder.get("interactions", {}).values():
            if exchange["response"]:
                found[recorder["label"], exchange["response"]["status_code"]] += 1
    return found


def run(
    program: Path, url: str, document: dict[str, Any], folder: Path, *flags: str
) -> Counter[tuple[str, int]]:
    """Lets schemathesis loose; raises with its findings where there are any."""
    schema, report = folder / "openapi.json", folder / "report.ndjson"
    schema.write_text(json.dumps(document), encoding="utf-8")
    ended = subprocess.run(
        [
            *(program / "st", "run", schema, "--url", url, "--no-color", "--seed", "1"),
            *("--continue-on-failure", "--request-timeout", "20", "--generation-database", "none"),
            *("--phases", "coverage,fuzzing", "--report-ndjson-path", report),
            *("--output-sanitize", "false", *flags),
        ],
        capture_output=True,
        text=True,
        timeout=400,
        cwd=folder,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-2000:]
    return statuses(report)


def test_whatever_is_sent_the_reply_is_one_of_those_described(
    clients: Path, gateway_url: str, tmp_path: Path
) -> None:
    document = described(gateway_url)
    for name in HONOURED:  # else nearly everything would end at an unknown model
        document["components"]["schemas"][name]["properties"]["model"] = {"const": MODEL}
    checks = (*CONFORMS, "unsupported_method", "negative_data_rejection")
    found = run(
        clients, gateway_url, document, tmp_path,
        "--checks", ",".join(checks), "--max-examples", "100",
    )  # fmt: skip
    print(f"{found.total()} requests, valid and not: {dict(found)}")
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert found[f"POST {path}", 400] > 100


def test_what_can_be_honoured_is_answered_as_described(
    clients: Path, gateway_url: str, tmp_path: Path
) -> None:
    document = described(gateway_url)
    for name, schema in HONOURED.items():
        assert (
            schema["properties"].keys()
            <= document["components"]["schemas"][name]["properties"].keys()
        )
    document["components"]["schemas"] |= HONOURED
    one = document["paths"]["/v1/models/{model}"]["get"]["parameters"][0]
    one["schema"] = {"enum": [MODEL, f"{MODEL}:large"]}
    found = run(
        clients, gateway_url, document, tmp_path,
        "--checks", ",".join((*CONFORMS, "positive_data_acceptance")),
        "--mode", "positive", "--max-examples", "60",
    )  # fmt: skip
    print(f"{found.total()} valid requests: {dict(found)}")
    assert {status for _, status in found} == {200}
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert found[f"POST {path}", 200] > 60
