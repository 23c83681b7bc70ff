"""Engines: whatever turns tokens into more tokens. `base` is the contract."""
