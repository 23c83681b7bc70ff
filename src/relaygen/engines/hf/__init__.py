"""The reference engine, on transformers (extra: ``hf``)."""

from relaygen.engines.hf.engine import HfEngine

__all__ = ["HfEngine"]
