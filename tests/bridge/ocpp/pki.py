"""Authorities and certificates, made for one test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import trustme

from bridge.ocpp.security.tls import TlsFiles


@dataclass
class Authority:
    """One that signs certificates, and the folder where their files are."""

    folder: Path
    name: str = "ca"
    ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def file(self) -> Path:
        """Its own certificate."""
        path = self.folder / f"{self.name}.pem"
        self.ca.cert_pem.write_to_path(path)
        return path

    def issue(
        self, name: str, *alternatives: str, until: datetime | None = None, cn: str | None = None
    ) -> tuple[Path, Path]:
        """Files of a certificate and its key.

        Args:
            name: of the files.
            alternatives: subject alternative names.
            until: when it expires; far away without it.
            cn: its common name.
        """
        start = datetime(2020, 1, 1)
        made = self.ca.issue_cert(
            *(alternatives or ("127.0.0.1",)), common_name=cn, not_before=start, not_after=until
        )
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return certificate, key

    def server(self, client_ca: Path | None = None, until: datetime | None = None) -> TlsFiles:
        """What a central system at 127.0.0.1 shows."""
        return TlsFiles(*self.issue("server", "127.0.0.1", until=until), client_ca)

    def trusting(self, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """What a charger has: this authority, and maybe a certificate of its own."""
        context = ssl.create_default_context(cafile=str(self.file))
        if own is not None:
            context.load_cert_chain(*own)
        return context
