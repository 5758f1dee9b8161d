"""YAML for a person to read and for other programs to take."""

from collections.abc import Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Repeats what stands in two places, and writes text of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def document(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)


def documents(values: Sequence[Any]) -> str:
    """One after the other, with YAML's mark between."""
    return "---\n".join(document(value) for value in values)
