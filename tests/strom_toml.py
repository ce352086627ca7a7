"""Pieces of an operator's file, for tests to put together: one tariff, and charge points of it."""

from __future__ import annotations

LOCAL = """
[strom]
public_url = "http://127.0.0.1:8080"
http_listen = "127.0.0.1:0"
ocpp_listen = "127.0.0.1:0"
"""
"""Of a Strom in the test's process, on ports of the system's choice. Further keys may follow."""
SERVED = """
[strom]
public_url = "http://127.0.0.1:{http_port}"
http_listen = "127.0.0.1:{http_port}"
ocpp_listen = "127.0.0.1:0"
[nostr]
embedded_relay = "127.0.0.1:0"
"""
"""Of a Strom with a relay of its own, whose port for HTTP is named."""
DAY = """
[tariffs.day]
energy_per_kwh = 300
"""


def charge_point(identifier: str = "CP001", name: str = "Old Mill", more: str = "") -> str:
    """The table of a charge point. Further keys may follow, or stand in `more`."""
    keys = f'id = "{identifier}"\nname = "{name}"\ntariff = "day"\n'
    return f"[[charge_points]]\n{keys}" + (f"{more}\n" if more else "")
