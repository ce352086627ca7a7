"""How chargers connect: TLS for them all, and the security profile of each.

OCPP 1.6 security whitepaper, edition 3, section 2 "Security profiles":
https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from agent.config.errors import key_path, shown_text
from agent.config.raw import charge_points, table
from agent.config.table import Table
from agent.config.values import Flag, HostPort, ReadableFile, SecretFile, text, whole

BASIC, TLS, MUTUAL_TLS = 1, 2, 3


class OcppConfig(Table):
    """[ocpp]: a second listener, for chargers that come over TLS.

    With `ca_certificate` and `ca_key` chargers get their certificates from Strom, each for
    `certificate_days`.
    """

    tls_listen: HostPort | None = None
    certificate: ReadableFile | None = None
    key: SecretFile | None = None
    client_ca: ReadableFile | None = None
    ca_certificate: ReadableFile | None = None
    ca_key: SecretFile | None = None
    certificate_days: Annotated[int, whole(1, 3650)] = 365


class ChargerSecurity(Table):
    """The keys of a charge point that say how its charger must show itself.

    `security_profile` is the least that is accepted; without it `password_file` decides alone.
    With `rotate_password` that password is only the first one.
    """

    security_profile: Annotated[int, whole(0, MUTUAL_TLS)] | None = None
    password_file: SecretFile | None = None
    rotate_password: Flag = False
    certificate_name: Annotated[str, text(64)] = ""

    @property
    def least_profile(self) -> int:
        """The least security profile that a charger of this charge point must have."""
        if self.security_profile is not None:
            return self.security_profile
        return 0 if self.password_file is None else BASIC


def contradictions(raw: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between keys of this module that may each be right.

    Args:
        raw: the whole file as it was read.
    """
    ocpp = table(raw.get("ocpp"))
    listens = ocpp.get("tls_listen") is not None
    for key in ("certificate", "key"):
        if listens and ocpp.get(key) is None:
            yield f"ocpp.{key} is missing: ocpp.tls_listen needs it"
    for key in ("certificate", "key", "client_ca"):
        if not listens and ocpp.get(key) is not None:
            yield f"ocpp.tls_listen is missing: ocpp.{key} has no use without it"
    for key, other in (("ca_certificate", "ca_key"), ("ca_key", "ca_certificate")):
        if ocpp.get(key) is not None and ocpp.get(other) is None:
            yield f"ocpp.{other} is missing: ocpp.{key} has no use without it"
    if ocpp.get("ca_certificate") is not None and ocpp.get("client_ca") is None:
        yield "ocpp.client_ca is missing: without it nobody comes in with a certificate"
    for index, point in enumerate(charge_points(raw)):
        for key, sentence in _of_a_point(point, ocpp):
            shown = point.get(key)
            value = f" = {shown_text(shown) if isinstance(shown, str) else str(shown).lower()}"
            yield f"{key_path(('charge_points', index, key), raw)}{value}: {sentence}"


def _of_a_point(point: Mapping[str, Any], ocpp: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and sentence of each contradiction in a charge point."""
    profile = point.get("security_profile")
    profile = None if isinstance(profile, bool) else profile
    has_password = point.get("password_file") is not None
    if profile in (BASIC, TLS) and not has_password:
        yield "security_profile", "expected a password_file besides: this profile asks for it"
    if profile in (0, MUTUAL_TLS) and has_password:
        yield "security_profile", "expected no password_file besides: this profile asks for none"
    if profile in (TLS, MUTUAL_TLS) and ocpp.get("tls_listen") is None:
        yield "security_profile", "expected tls_listen in [ocpp] besides: this profile is over TLS"
    if profile == MUTUAL_TLS and ocpp.get("tls_listen") and ocpp.get("client_ca") is None:
        yield (
            "security_profile",
            "expected client_ca in [ocpp] besides: it says whose client certificates count",
        )
    if point.get("rotate_password") is True and not has_password:
        yield "rotate_password", "expected a password_file besides: the first password"
    if point.get("certificate_name") and profile != MUTUAL_TLS:
        yield "certificate_name", "expected security_profile = 3 besides: no other one has it"
