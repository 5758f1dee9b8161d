"""YAML read so that every fault can be given its line."""

from collections.abc import Iterator, Sequence

from yaml import MappingNode, Node, SequenceNode


def line_of(node: Node, steps: Sequence[str | int]) -> int:
    """The line, from 1, of what lies at `steps` below a node; of the nearest thing around it, if that is missing."""
    line = node.start_mark.line
    for step in steps:
        found = _below(node, step)
        if found is None:
            break
        line, node = found
    return int(line) + 1


def repeated_keys(node: Node) -> Iterator[tuple[str, int]]:
    """Keys that a mapping holds twice, with their lines; YAML itself would let the last one win."""
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from repeated_keys(item)
    elif isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield str(key.value), key.start_mark.line + 1
            if isinstance(key.value, str):
                seen.add(key.value)
            yield from repeated_keys(value)


def _below(node: Node, step: str | int) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None
