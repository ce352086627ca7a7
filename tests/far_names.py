"""Names of strangers' servers: what a resolver says of them, and certificates for them."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

import trustme


@dataclass
class Resolver:
    """A resolver that answers each question with its next answer, and then with the last again.

    Attributes:
        answers: the addresses of each answer; an empty one is that there is no such name.
        asked: every host and port that it was asked for.
    """

    answers: Sequence[Sequence[str]]
    asked: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append((host, port))
        if not answer:
            raise OSError("no such name")
        return answer


class Certified:
    """A server's side and a client's side of TLS, under an authority of their own.

    Args:
        name: whom the certificate is for.

    Attributes:
        wanted: the names that clients asked for (SNI).
    """

    def __init__(self, name: str) -> None:
        authority = trustme.CA()
        self.wanted: list[str | None] = []
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = authority.issue_cert(name)
        certificate.configure_cert(self.server)  # pyright: ignore[reportUnknownMemberType]
        self.server.sni_callback = self._note
        self.client = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())

    def _note(self, _: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        self.wanted.append(name)
