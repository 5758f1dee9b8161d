"""Tool calls in a chat completions stream, from pieces that upstreams number and name in ways of their own."""

import secrets

import msgspec

from schemas.chunks import ToolCallDelta


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class CallPiece(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Call:
    """One call; `number` is what it has here, whatever its upstream calls it."""

    __slots__ = ("held", "id", "name", "number", "told")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.name = ""
        self.held: list[str] = []
        self.told = False


class Calls:
    """The calls of one choice, numbered as they begin.

    A piece belongs to the call with its index. Some upstreams give every call the same index, or none: a new id with a
    name then begins a new call, and what has neither goes on with the last. A call is told once it has a name, with an
    id made up where there is none; its arguments wait till then.
    """

    __slots__ = ("_all", "_by_index", "_choice")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._by_index: dict[int, _Call] = {}
        self._all: list[_Call] = []

    def __len__(self) -> int:
        return len(self._all)

    def add(self, piece: CallPiece) -> list[ToolCallDelta]:
        name = (piece.function.name or "") if piece.function else ""
        arguments = (piece.function.arguments or "") if piece.function else ""
        call = self._call(piece, name)
        if call.told:
            return [ToolCallDelta(call.number, arguments, choice=self._choice)] if arguments else []
        call.id = call.id or piece.id or ""
        call.name = call.name or name
        call.held.append(arguments)
        return [self._tell(call)] if call.name else []

    def end(self) -> list[ToolCallDelta]:
        """Calls that never had a name, as far as they came."""
        return [self._tell(call) for call in self._all if not call.told]

    @property
    def _last(self) -> _Call | None:
        return self._all[-1] if self._all else None

    def _call(self, piece: CallPiece, name: str) -> _Call:
        numbered = piece.index is not None
        known = self._by_index.get(piece.index) if piece.index is not None else self._last
        # Some give every piece of a call an id of its own, but a name only to the first.
        renamed = known is not None and bool(name and known.name)
        another = known is not None and renamed and (piece.id != known.id if piece.id else not numbered)
        if known is not None and not another:
            return known
        call = _Call(len(self._all))
        self._all.append(call)
        if piece.index is not None:
            self._by_index[piece.index] = call
        return call

    def _tell(self, call: _Call) -> ToolCallDelta:
        call.told = True
        call.id = call.id or f"call_{secrets.token_hex(12)}"
        held, call.held = "".join(call.held), []
        return ToolCallDelta(call.number, held, call.id, call.name, self._choice)
