"""Which NVIDIA GPUs there are, and how much memory they have."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from relaygen.errors import InvalidRequestError

_QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.total,memory.free", "--format=csv,noheader,nounits")  # fmt: skip
_MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU.

    Attributes:
        index: in the order of the PCI bus, as nvidia-smi counts.
        uuid: for example ``GPU-8932f937-...``.
        total: bytes of memory.
        free: bytes that nobody uses now.
    """

    index: str
    uuid: str
    total: int
    free: int


def find_gpus(visible: str | None) -> tuple[Gpu, ...]:
    """The GPUs that servers may use; none where the machine has no NVIDIA driver.

    Args:
        visible: ``CUDA_VISIBLE_DEVICES`` of this process; None: all.

    Raises:
        InvalidRequestError: `visible` names a GPU that is not there.
    """
    try:
        ran = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return only_visible(parse(ran.stdout), visible) if ran.returncode == 0 else ()


def parse(report: str) -> tuple[Gpu, ...]:
    """Reads nvidia-smi's table; lines of another form (a broken GPU, a MIG part) are left out."""
    found = []
    for line in report.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4 and cells[2].isdigit() and cells[3].isdigit():
            total, free = int(cells[2]) * _MIB, int(cells[3]) * _MIB
            found.append(Gpu(index=cells[0], uuid=cells[1], total=total, free=free))
    return tuple(found)


def only_visible(gpus: Sequence[Gpu], visible: str | None) -> tuple[Gpu, ...]:
    """Those that ``CUDA_VISIBLE_DEVICES`` names, in its order.

    Raises:
        InvalidRequestError: it names a GPU that is not there.
    """
    if visible is None:
        return tuple(gpus)
    chosen = []
    for name in filter(None, (part.strip() for part in visible.split(","))):
        if name in ("-1", "NoDevFiles"):
            break
        match = [g for g in gpus if name == g.index or g.uuid.startswith(name)]
        if len(match) != 1:
            known = ", ".join(g.index for g in gpus) or "none"
            raise InvalidRequestError(
                f"CUDA_VISIBLE_DEVICES names GPU {name!r:.60}, which nvidia-smi does not list "
                f"({known}); correct it, or give --cpu",
                param="CUDA_VISIBLE_DEVICES",
            )
        chosen.append(match[0])
    return tuple(chosen)
