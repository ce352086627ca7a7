"""Whether a new payment can be received, and whether what is prepaid could all be paid back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.alerts import Alerts
from agent.clock import Clock
from agent.machine.money import MSAT_PER_SAT
from agent.ports.errors import Refused
from wallet.base import Wallet, WalletError, WalletInfo

FRESH_MS = 30_000
ANSWER_S = 3.0
ALERT = "liquidity"
_UNPAID = "wallet may not pay"


class Liquidity:
    """What the wallet can do, asked for now and then.

    Args:
        wallet: whom to ask.
        bound_msat: what may have to go back: what is owed, and what open sessions have left.
        clock: Unix milliseconds.
        reserve_msat: what must stay in the wallet besides.
        alerts: who tells the operators.
    """

    def __init__(
        self,
        wallet: Wallet,
        bound_msat: Callable[[], int],
        clock: Clock,
        reserve_msat: int,
        alerts: Alerts,
    ) -> None:
        self._wallet = wallet
        self._bound_msat = bound_msat
        self._clock = clock
        self._reserve_msat = reserve_msat
        self._alerts = alerts
        self._info: WalletInfo | None = None
        self._asked_at_ms = 0

    def changed(self) -> None:
        """Money moved: what is known of the wallet is old."""
        self._asked_at_ms = 0

    async def check(self, amount_msat: int) -> None:
        """Let a payment be asked for.

        Raises:
            Refused: it could not be received, or what is owed could not be paid back.
        """
        info = await self._known()
        if info is None:
            return
        self._tell_whether_it_pays(info)
        if info.inbound_msat is not None and info.inbound_msat < amount_msat:
            self._alerts.raised(
                ALERT,
                f"the wallet can receive {_sats(info.inbound_msat)} only: "
                "a larger payment was refused",
            )
            if info.inbound_msat < MSAT_PER_SAT:
                raise Refused("this charge point cannot receive payments at the moment")
            raise Refused(
                f"this charge point can receive {_sats(info.inbound_msat)} at most at the moment"
            )
        spendable = [m for m in (info.balance_msat, info.budget_msat) if m is not None]
        bound_msat = self._bound_msat()
        if spendable and min(spendable) < bound_msat + self._reserve_msat:
            self._alerts.raised(
                ALERT,
                f"the wallet can pay {_sats(min(spendable))}, but {_sats(bound_msat)} may have to "
                f"go back to drivers (and {_sats(self._reserve_msat)} are the reserve): "
                "new payments are refused until it has more",
            )
            raise Refused(
                "this charge point could not pay back what you do not use at the moment, so it "
                "takes no payment; try again later"
            )
        self._alerts.cleared(ALERT, "the wallet has enough again: payments are taken")

    def _tell_whether_it_pays(self, info: WalletInfo) -> None:
        """Some let Strom receive only, and pay back by hand; of others the key was replaced."""
        if info.pays:
            self._alerts.cleared(_UNPAID, "the wallet may pay refunds again")
        else:
            self._alerts.raised(
                _UNPAID,
                "the wallet's key may not pay: payments are taken, and no refund can be paid by "
                "Strom; see strom wallet and strom owed",
            )

    async def _known(self) -> WalletInfo | None:
        """What the wallet can do, as last heard; None when it never said."""
        now_ms = self._clock()
        if not 0 <= now_ms - self._asked_at_ms < FRESH_MS:
            try:
                async with asyncio.timeout(ANSWER_S):
                    self._info = await self._wallet.info()
                self._asked_at_ms = now_ms
            except (WalletError, TimeoutError):
                # Whether an invoice can be made is asked next, and says it better.
                return self._info
        return self._info


def _sats(amount_msat: int) -> str:
    return f"{amount_msat // MSAT_PER_SAT:,} sat"
