"""How Kafka is reached: where, whether over TLS, and as whom. Every client of it is told so from here."""

import ssl
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.errors import InvalidValue

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

ENCRYPTED: Final = frozenset({"ssl", "sasl_ssl"})
NAMED: Final = frozenset({"sasl_plaintext", "sasl_ssl"})


@dataclass(frozen=True)
class Kafka:
    """`ca_file` is whom its certificate is trusted from, the system's authorities if empty; files are PEM.

    `certificate_file` and `private_key_file` are our own, for servers that ask for one.
    """

    bootstrap: str
    security: Security = "plaintext"
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    private_key_file: str = ""

    def __repr__(self) -> str:
        return f"Kafka({self.bootstrap!r}, {self.security!r})"

    @property
    def is_named(self) -> bool:
        """Whether clients say who they are by SASL."""
        return self.security in NAMED

    def tls(self) -> ssl.SSLContext | None:
        """None where nothing is encrypted. Raises InvalidValue for files that cannot be used."""
        if self.security not in ENCRYPTED:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.private_key_file or None)
        except OSError as failure:
            # An SSLError is one too; it says what is wrong, and not in which file.
            files = ", ".join(filter(None, (self.ca_file, self.certificate_file, self.private_key_file)))
            raise InvalidValue(f"Kafka's certificates cannot be used ({files}): {failure}.") from failure
        return context

    def options(self) -> dict[str, Any]:
        """What aiokafka's clients are made with. Raises InvalidValue."""
        named = {
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security.upper(),
            "ssl_context": self.tls(),
            **(named if self.is_named else {}),
        }


def kafka_options(at: str | Kafka) -> dict[str, Any]:
    """The same for an address alone, which is reached in plain text."""
    return (Kafka(at) if isinstance(at, str) else at).options()
