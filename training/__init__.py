"""Trains the two small language models that RelayGen carries for its demonstration and its tests."""
