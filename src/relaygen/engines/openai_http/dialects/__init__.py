"""One file a kind of server. `DIALECTS` names them."""

from relaygen.engines.openai_http.dialects.base import (
    Chunk,
    Dialect,
    DialectFactory,
    DialectLeg,
    Recovers,
    Served,
    TextTokenizer,
)
from relaygen.engines.openai_http.dialects.llama_server import LlamaServer
from relaygen.engines.openai_http.dialects.sglang import SGLang
from relaygen.engines.openai_http.dialects.text import Text
from relaygen.engines.openai_http.dialects.vllm import VLLM

DIALECTS: dict[str, DialectFactory] = {
    VLLM.name: VLLM,
    SGLang.name: SGLang,
    LlamaServer.name: LlamaServer,
    Text.name: Text,
}
"""By the names in `relaygen.settings`; a new one is a file and a line here."""

__all__ = [
    "DIALECTS",
    "Chunk",
    "Dialect",
    "DialectFactory",
    "DialectLeg",
    "Recovers",
    "Served",
    "TextTokenizer",
]
