"""Micro-dollars for people."""


def dollars(microusd: int) -> str:
    """Dollars to the micro-dollar: 1_500 is 0.001500."""
    return f"{microusd // 1_000_000}.{microusd % 1_000_000:06d}"
