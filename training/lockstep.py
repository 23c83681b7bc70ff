"""Generates many rows at once, every row at the same position, each written by one model or the other.

Both models read every token of every row, so handing over costs nothing and needs no bookkeeping: which model's
distribution a row draws from is decided token by token. That is right for measuring accuracy and useless for
measuring speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from training.model import ModelConfig

LARGE, SMALL = 0, 1
_TOP_K, _TOP_P = 20, 0.95


class StepModel:
    """A Qwen3 model that reads one token a row and step, with its cache."""

    def __init__(
        self, config: ModelConfig, weights: dict[str, Tensor], rows: int, length: int
    ) -> None:
        self.config, self.weights = config, {k: v.float() for k, v in weights.items()}
        shape = (config.layers, rows, config.kv_heads, length, config.head_size)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        inverse = config.rope_theta ** (
            -torch.arange(0, config.head_size, 2).float() / config.head_size
        )
        angles = torch.outer(torch.arange(length).float(), torch.cat((inverse, inverse)))
        self.cos, self.sin = angles.cos(), angles.sin()
        self.position = 0

    def keep(self, rows: Tensor) -> None:
        """Drops all rows but those of the index tensor `rows`."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]

    @torch.no_grad()
    def step(self, ids: Tensor) -> Tensor:
        """Reads `ids` of shape [rows] and returns logits of shape [rows, vocab]."""
        c, t = self.config, self.position
        x = self.weights["model.embed_tokens.weight"][ids]
        for layer in range(c.layers):
            x = x + self._attend(layer, self._norm(x, f"model.layers.{layer}.input_layernorm"))
            h = self._norm(x, f"model.layers.{layer}.post_attention_layernorm")
            mlp = f"model.layers.{layer}.mlp"
            gate = F.silu(self._linear(h, f"{mlp}.gate_proj")) * self._linear(h, f"{mlp}.up_proj")
            x = x + self._linear(gate, f"{mlp}.down_proj")
        self.position = t + 1
        return F.linear(self._norm(x, "model.norm"), self.weights["model.embed_tokens.weight"])

    def _attend(self, layer: int, x: Tensor) -> Tensor:
        c, t, name = self.config, self.position, f"model.layers.{layer}.self_attn"
        rows = x.shape[0]
        q = self._linear(x, f"{name}.q_proj").view(rows, c.heads, c.head_size)
        k = self._linear(x, f"{name}.k_proj").view(rows, c.kv_heads, c.head_size)
        v = self._linear(x, f"{name}.v_proj").view(rows, c.kv_heads, c.head_size)
        q = self._rotate(self._norm(q, f"{name}.q_norm"))
        self.keys[layer, :, :, t] = self._rotate(self._norm(k, f"{name}.k_norm"))
        self.values[layer, :, :, t] = v
        q = q.view(rows, c.kv_heads, c.heads // c.kv_heads, c.head_size) * c.head_size**-0.5
        keys, values = self.keys[layer, :, :, : t + 1], self.values[layer, :, :, : t + 1]
        out = (q @ keys.mT).softmax(-1) @ values
        return self._linear(out.reshape(rows, -1), f"{name}.o_proj")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.config.norm_eps)

    def _rotate(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return x * self.cos[self.position] + turned * self.sin[self.position]


@dataclass
class Row:
    """What one row has generated.

    Attributes:
        tokens: Generated token ids.
        roles: The model that wrote each of them.
        margins: p(first) - p(second) of the large model (of the only one, where there is one) for each of them.
    """

    tokens: list[int] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)


#: Given a row and one proposed token per model, returns the role whose token counts, or None to end the row.
Chooser = Callable[[int, Row, Sequence[int]], int | None]


def sample(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Draws one token a row (top-k 20, top-p 0.95); temperature 0 takes the likeliest."""
    if temperature == 0:
        return logits.argmax(-1)
    top, index = (logits / temperature).topk(_TOP_K, dim=-1)
    probabilities = top.softmax(-1)
    probabilities[probabilities.cumsum(-1) - probabilities >= _TOP_P] = 0
    drawn = torch.multinomial(probabilities, 1, generator=generator)
    return index.gather(-1, drawn).squeeze(-1)


def generate(
    models: Sequence[tuple[ModelConfig, dict[str, Tensor]]],
    prompts: Sequence[Sequence[int]],
    choose: Chooser,
    *,
    temperature: float,
    seed: int,
    max_tokens: int = 800,
) -> list[Row]:
    """Continues every prompt until `choose` ends its row.

    Args:
        models: One model, or the large and the small one.
        prompts: Token ids; rows of different length run side by side, each starting when its prompt is read.
        choose: Decides whose token counts.
        temperature: Of the sampling.
        seed: Of the sampling.
        max_tokens: Most tokens a row may generate.
    """
    generator = torch.Generator().manual_seed(seed)
    length = max(len(p) for p in prompts) + max_tokens
    steppers = [StepModel(config, weights, len(prompts), length) for config, weights in models]
    rows = [Row() for _ in prompts]
    alive = list(range(len(prompts)))
    for t in range(length):
        feed = [
            (prompts[r] if t < len(prompts[r]) else rows[r].tokens)[_at(prompts[r], t)]
            for r in alive
        ]
        logits = [stepper.step(torch.tensor(feed)) for stepper in steppers]
        proposals = [sample(scores, temperature, generator).tolist() for scores in logits]
        best = logits[0].softmax(-1).topk(2, dim=-1).values
        margins = (best[:, 0] - best[:, 1]).tolist()
        ended = set()
        for i, r in enumerate(alive):
            if t + 1 < len(prompts[r]):
                continue
            role = choose(r, rows[r], [p[i] for p in proposals])
            if role is not None:
                rows[r].tokens.append(proposals[role][i])
                rows[r].roles.append(role)
                rows[r].margins.append(margins[i])
            if role is None or len(rows[r].tokens) >= max_tokens:
                ended.add(r)
        if ended:
            kept = [i for i, r in enumerate(alive) if r not in ended]
            alive = [alive[i] for i in kept]
            if not alive:
                break
            for stepper in steppers:
                stepper.keep(torch.tensor(kept))
    return rows


def _at(prompt: Sequence[int], t: int) -> int:
    return t if t < len(prompt) else t - len(prompt)
