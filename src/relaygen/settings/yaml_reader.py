"""YAML as it is safe to read, and as a person can have meant it."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """The value of a document.

    Raises:
        YAMLError: it is no YAML, or gives a key twice: YAML forbids that, and PyYAML would
            take the last without a word.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            twin = first.setdefault((key.tag, key.value), key)
            if twin is not key:
                raise yaml.composer.ComposerError(
                    problem=f"{key.value} is given twice, first on line {twin.start_mark.line + 1}",
                    problem_mark=key.start_mark,
                )
        return node
