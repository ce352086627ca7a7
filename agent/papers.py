"""What is handed out about a session beyond its state: receipts, the power curve, meter values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.config.tables import ChargePointConfig
from agent.journal.journal import Journal
from agent.machine.events import MeterSampled
from agent.machine.model import Session
from agent.notary import Notary
from agent.ports.errors import Refused
from agent.ports.site import PowerSample
from agent.receipts import Receipt, Seller, receipt_of
from agent.signed_values import SignedValue
from nips.identity import Identity


class Papers:
    """Made from the journal each time they are asked for.

    Args:
        journal: open.
        configs: what the operator's file says of each charge point, by its id.
        identities: of each charge point, by its id: they sign receipts.
    """

    def __init__(
        self,
        journal: Journal,
        configs: Mapping[str, ChargePointConfig],
        identities: Mapping[str, Identity],
    ) -> None:
        self._journal = journal
        self._configs = configs
        self._notary = Notary(identities)

    def receipt(self, session: Session) -> Receipt:
        """The receipt of a closed session; raises Refused while it is open."""
        events = self._journal.sessions.events(session.id, without=["MeterSampled"])
        signed = self._journal.signed.of(session.id)
        receipt = receipt_of(session, events, self._seller(session.charge_point), signed)
        if receipt is None:
            raise Refused("the receipt comes when the charge is over")
        return receipt

    def signed_receipt(self, session: Session) -> str:
        """The same, signed by the charge point, as JSON (see `agent.notary`); raises alike."""
        return self._notary.sign(self.receipt(session))

    def _seller(self, charge_point_id: str) -> Seller:
        """A charge point by its present name, or by its id when it has left the file."""
        config = self._configs.get(charge_point_id)
        if config is None:
            return Seller(charge_point_id, charge_point_id)
        place = config.location
        return Seller(charge_point_id, config.name, place.address if place else "")

    def signed_values(self, session: Session) -> Sequence[SignedValue]:
        """The values that the meter itself signed, oldest first."""
        return self._journal.signed.of(session.id)

    def power_curve(self, session: Session) -> Sequence[PowerSample]:
        """The power measured so far, oldest first."""
        return [
            PowerSample(event.at_ms, event.power_w)
            for event in self._journal.sessions.events(session.id, only=MeterSampled)
            if isinstance(event, MeterSampled) and event.power_w is not None
        ]
