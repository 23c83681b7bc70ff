"""The embedded engine: llama.cpp's C API in-process, on GGUF files.

Layers, from the top: `engine` (the contract) -> `step_thread` (the thread) -> `loop` (schedule,
evaluate, deliver) -> `jobs`, `sequences` (what a sequence does, what it holds) -> `sampling`,
`model` -> `_capi`, `_library` (the binding).
"""

from relaygen.engines.llama_cpp.engine import LlamaCppEngine, ModelReport
from relaygen.engines.llama_cpp.options import ModelOptions

__all__ = ["LlamaCppEngine", "ModelOptions", "ModelReport"]
