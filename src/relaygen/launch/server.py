"""One model server of a launch, before it is known how its flags are spelled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relaygen.launch.options import Draft


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelServer:
    """What one server has to do.

    Attributes:
        name: ``large`` or ``small``; clients of the server ask for the model by it.
        model: a file or folder.
        port: on this machine alone.
        key: the name of the key that its clients must show.
        context_tokens: of one generation.
        slots: generations at once; None: the server's choice.
        threads: CPU threads.
        gpus: indices of the GPUs it may use; none: it runs on the CPU.
        memory_fraction: of each GPU's whole memory, for everything the server needs.
        rest_fraction: of what is free when it starts, for weights and cache.
        cache_bytes: that all slots' keys and values need, in half precision.
        dtype: of weights and activations; None: the server module's own rule.
        gpu_layers: layers on a GPU; None: all.
        draft: speculative decoding.
        flags: more flags, after all others, so that they win.
    """

    name: str
    model: Path
    port: int
    key: str
    context_tokens: int
    slots: int | None
    threads: int
    gpus: tuple[str, ...] = ()
    memory_fraction: float = 0.9
    rest_fraction: float = 0.9
    cache_bytes: int = 0
    dtype: str | None = None
    gpu_layers: int | None = None
    draft: Draft | None = None
    flags: tuple[str, ...] = ()

    @property
    def gpu_environment(self) -> dict[str, str]:
        """Shows the server its GPUs only, counted as nvidia-smi counts."""
        if not self.gpus:
            return {}
        return {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": ",".join(self.gpus),
        }
