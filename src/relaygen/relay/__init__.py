"""The relay: a pure state machine, its cues, sentences and policies."""
