"""Waiting for what happens at a site: woken by it, as the console is."""

from __future__ import annotations

from collections.abc import Callable

from agent.machine.events import ConnectorStatus
from agent.site import Site


async def until(site: Site, condition: Callable[[], object]) -> None:
    """Return once something holds that a session, a state or a trouble of the site makes so."""
    async for _ in site.office.changes(at_least_every_s=60):
        if condition():
            return


async def until_free(site: Site, charge_point_id: str = "CP001") -> None:
    """Return once a charge point's first connector is available."""
    async for _ in site.office.changes(at_least_every_s=60):
        view = await site.view(charge_point_id)
        if view.connectors[0].status is ConnectorStatus.AVAILABLE:
            return
