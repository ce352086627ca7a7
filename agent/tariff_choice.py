"""By which tariff each charge point sells: the file's, or the one that the operator chose since."""

from __future__ import annotations

import logging

from agent.charge_point import ChargePointAgent
from agent.clock import Clock
from agent.config.tables import Config
from agent.journal.journal import Journal
from agent.ports.errors import Refused
from agent.tariff.model import Tariff

log = logging.getLogger(__name__)


class TariffChoice:
    """The operator's choice among the tariffs of his file; it survives a restart."""

    def __init__(self, config: Config, journal: Journal, clock: Clock) -> None:
        self._config = config
        self._journal = journal
        self._clock = clock

    async def resume(self, agent: ChargePointAgent) -> None:
        """Sell by the tariff that was last chosen, unless the file was changed since."""
        chosen = self._journal.setting(f"tariff:{agent.id}") or ""
        in_file, _, name = chosen.partition("\n")
        if name and in_file == agent.config.tariff:
            if name in self._config.tariffs:
                agent.sales.set_tariff(self._config.tariffs[name].frozen(name))
            else:
                log.warning('%s: the chosen tariff "%s" is no longer in the file', agent.id, name)
        await self._note(agent)

    async def choose(self, agent: ChargePointAgent, name: str) -> Tariff:
        """Sell by another tariff of the file from now on.

        Args:
            agent: where.
            name: the tariff's name in the file, in any case.

        Returns:
            The tariff that holds for new quotes.

        Raises:
            Refused: no such tariff; the text names those that there are.
        """
        tariffs = self._config.tariffs
        by_name = {known.lower(): known for known in tariffs}
        known = name if name in tariffs else by_name.get(name.lower())
        if known is None:
            raise Refused(f"there is no such tariff, only {', '.join(sorted(tariffs))}")
        await self._journal.set_setting(f"tariff:{agent.id}", f"{agent.config.tariff}\n{known}")
        tariff = tariffs[known].frozen(known)
        agent.sales.set_tariff(tariff)
        await self._note(agent)
        return tariff

    async def _note(self, agent: ChargePointAgent) -> None:
        """Remember by what a charge point sells from now on: zaps elsewhere are priced by it."""
        if agent.config.lud16:
            await self._journal.outside.publish_tariff(
                agent.id, self._clock(), agent.sales.base_tariff
            )
