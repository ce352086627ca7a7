"""What a wallet and a zapping client send, step by step."""

from __future__ import annotations

from typing import Any

from lnurl import LnurlPayActionResponse, LnurlPayResponse

from nips.identity import Identity
from nips.zaps import zap_request
from tests.bridge.http_world import HttpWorld, path_of


async def first_step(world: HttpWorld, path: str = "/lnurl/cp001") -> LnurlPayResponse:
    return LnurlPayResponse.model_validate(await world.lnurl(path))


async def second_step(world: HttpWorld, first: LnurlPayResponse, **query: Any) -> dict[str, Any]:
    answer = await world.lnurl(path_of(str(first.callback)), **query)
    LnurlPayActionResponse.model_validate(answer)
    return answer


def zap(
    world: HttpWorld, payer: Identity, amount_msat: int = 500_000, anonymous: bool = False
) -> str:
    return zap_request(
        payer,
        recipient_pubkey=world.identity.pubkey,
        amount_msat=amount_msat,
        relays=["wss://relay.example.com"],
        comment="charge + go",
        created_at=world.clock() // 1000,
        anonymous=anonymous,
    ).to_json()
