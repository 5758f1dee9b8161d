"""Output that may come interleaved, one block after the other."""

from typing import Final

import msgspec

from schemas.chunks import OutputDelta, ToolCallDelta

DECODE: Final = msgspec.json.Decoder().decode


class InOrder:
    """Holds back what comes between the pieces of a tool call until that call's arguments are whole.

    Whether a call is over is only told by what follows it, and a block that was stopped cannot go on: what comes next
    is let through at once if the arguments so far are a JSON object, and else when they are, or at the end.
    """

    def __init__(self) -> None:
        self._call: int | None = None
        self._over: set[int] = set()
        self._arguments: list[str] = []
        self._waiting: list[OutputDelta] = []

    @property
    def calling(self) -> bool:
        """Whether a tool call may still go on, so that anything else has to ask its leave."""
        return self._call is not None

    def add(self, delta: OutputDelta) -> list[OutputDelta]:
        """What is to be written now."""
        if isinstance(delta, ToolCallDelta):
            if delta.index in self._over:
                return []  # an empty last word: the arguments were whole
            if self._call is None or delta.index == self._call:
                return self._go_on(delta)
        elif self._call is None:
            return [delta]
        if not self._waiting and self._is_whole():
            self._close()
            return self.add(delta)
        self._waiting.append(delta)
        return []

    def flush(self) -> list[OutputDelta]:
        """All that still waits, each call's pieces together, as nothing more will come."""
        out: list[OutputDelta] = []
        while self._waiting:
            first = self._waiting.pop(0)
            out.append(first)
            if isinstance(first, ToolCallDelta):
                out += [each for each in self._waiting if _is_of(each, first.index)]
                self._waiting = [each for each in self._waiting if not _is_of(each, first.index)]
        self._call = None
        return out

    def _go_on(self, delta: ToolCallDelta) -> list[OutputDelta]:
        self._call = delta.index
        self._arguments.append(delta.arguments)
        out: list[OutputDelta] = [delta]
        if self._waiting and self._is_whole():
            self._close()
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                out += self.add(each)
        return out

    def _close(self) -> None:
        if self._call is not None:
            self._over.add(self._call)
        self._call = None
        self._arguments = []

    def _is_whole(self) -> bool:
        if not self._arguments or not self._arguments[-1].rstrip().endswith("}"):
            return False
        try:
            return isinstance(DECODE("".join(self._arguments)), dict)
        except msgspec.DecodeError:
            return False


def _is_of(delta: OutputDelta, index: int) -> bool:
    return isinstance(delta, ToolCallDelta) and delta.index == index
