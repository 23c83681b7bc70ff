"""The table of ``docs/real-models.md``: the memory that pairs of models need, computed."""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT = 8192
BITS = {"Q4_K_M": 4.85, "Q8_0": 8.5, "F16": 16.0}
"""A weight; Q4_K_M is a mixture, and 4.8 to 4.9 bits in practice."""
_CACHE_BYTES = 2  # keys and values in half precision
_GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a model's ``config.json`` says of its size."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    ffn: int
    vocabulary: int
    tied: bool

    @property
    def parameters(self) -> int:
        """Matrices only; norms and biases are less than a thousandth."""
        attention = self.width * self.head * (2 * self.heads + 2 * self.kv_heads)
        layer = attention + 3 * self.width * self.ffn
        return self.layers * layer + self.vocabulary * self.width * (1 if self.tied else 2)

    def cache(self, tokens: int) -> int:
        """Bytes of keys and values."""
        return tokens * self.layers * self.kv_heads * self.head * 2 * _CACHE_BYTES


def _qwen3(layers: int, width: int, heads: int, ffn: int, *, tied: bool) -> Shape:
    return Shape(
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=8,
        head=128,
        ffn=ffn,
        vocabulary=151_936,
        tied=tied,
    )


SHAPES = {
    "Qwen3-32B": _qwen3(64, 5120, 64, 25_600, tied=False),
    "Qwen3-14B": _qwen3(40, 5120, 40, 17_408, tied=False),
    "Qwen3-8B": _qwen3(36, 4096, 32, 12_288, tied=False),
    "Qwen3-1.7B": _qwen3(28, 2048, 16, 6144, tied=True),
    "Qwen3-0.6B": _qwen3(28, 1024, 16, 3072, tied=True),
    "R1-Distill-Qwen-32B": Shape(
        layers=64,
        width=5120,
        heads=40,
        kv_heads=8,
        head=128,
        ffn=27_648,
        vocabulary=152_064,
        tied=False,
    ),
    "R1-Distill-Qwen-1.5B": Shape(
        layers=28,
        width=1536,
        heads=12,
        kv_heads=2,
        head=128,
        ffn=8960,
        vocabulary=151_936,
        tied=False,
    ),
}
PAIRS = (
    ("Qwen3-32B", "Qwen3-1.7B", "qwen3"),
    ("Qwen3-14B", "Qwen3-0.6B", "qwen3"),
    ("Qwen3-8B", "Qwen3-0.6B", "qwen3"),
    ("R1-Distill-Qwen-32B", "R1-Distill-Qwen-1.5B", "r1-distill"),
)


def table() -> str:
    """Markdown: a row a pair, a column a quantisation."""
    head = "| large + small | `--cues` | " + " | ".join(BITS) + f" | of it for {CONTEXT:,} tokens |"
    rows = [head, "|---|---|" + "---|" * (len(BITS) + 1)]
    for names in PAIRS:
        shapes = [SHAPES[name] for name in names[:2]]
        cache = sum(shape.cache(CONTEXT) for shape in shapes)
        weights = sum(shape.parameters for shape in shapes)
        cells = [f"{(weights * bits / 8 + cache) / _GB:.1f} GB" for bits in BITS.values()]
        row = [f"{names[0]} + {names[1]}", names[2], *cells, f"{cache / _GB:.1f} GB"]
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join(rows) + "\n"
