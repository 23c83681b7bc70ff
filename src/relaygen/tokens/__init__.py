"""Tokenizers, their fingerprint, and the metadata of GGUF files."""

from relaygen.tokens.fingerprint import Entry, Fingerprint, compare, shared_ids
from relaygen.tokens.gguf import GGUFFile, TensorInfo
from relaygen.tokens.gguf_reader import read_gguf
from relaygen.tokens.parts import AddedEntry
from relaygen.tokens.pretokenizers import PRE_TOKENIZERS
from relaygen.tokens.tokenizer import Tokenizer

__all__ = [
    "PRE_TOKENIZERS",
    "AddedEntry",
    "Entry",
    "Fingerprint",
    "GGUFFile",
    "TensorInfo",
    "Tokenizer",
    "compare",
    "read_gguf",
    "shared_ids",
]
