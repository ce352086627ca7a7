"""`strom owed` of a refund that no wallet can tell about, as a process against a whole Strom."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.doubts import DOUBT
from agent.machine.events import RefundDecided
from agent.machine.refund import Refund
from tests.agent.journal.journals import opened_at
from tests.agent.unconfirmed import HASH, stored, unknown
from tests.bridge.cli.command import Strom
from tests.bridge.cli.test_chargers import house
from tests.bridge.whole import CONFIG

JOURNAL = Path("data") / "strom.sqlite"


@pytest.mark.parametrize("arrived", [True, False])
async def test_the_operator_says_what_became_of_it(tmp_path: Path, arrived: bool) -> None:
    session = await stored(tmp_path / JOURNAL, unknown())
    option = "--paid" if arrived else "--unpaid"
    async with house(tmp_path) as running:
        listed = await running.strom("owed")
        for part in (session.id, "not confirmed yet", HASH, f"strom owed {session.id}:1 --unpaid"):
            assert part in listed.out, listed.out
        refused = await running.strom("owed", session.id, option, stdin=b"n\n")
        assert refused.code == 1
        assert "warning" in refused.err
        assert [one.state for one in running.app.site.office.owed()] == ["UNKNOWN"]
        said = await running.strom("owed", session.id, option, stdin=b"y\n")
        assert said.code == 0, said.err
        assert ("Nothing more is owed" if arrived else "owed again") in said.out
        left = [one.state for one in running.app.site.office.owed()]
        assert left == ([] if arrived else ["FAILED"])
    async with opened_at(tmp_path / JOURNAL) as journal:
        [word] = journal.sessions.events(session.id, only=RefundDecided)
        assert isinstance(word, RefundDecided)
        who = os.environ.get("SUDO_USER") or getpass.getuser()
        assert (word.operator, word.arrived, word.payment_hash) == (who, arrived, HASH)


@pytest.mark.parametrize("arrived", [True, False])
async def test_what_may_have_been_paid_already_waits_for_his_word(
    tmp_path: Path, arrived: bool
) -> None:
    session = await stored(tmp_path / JOURNAL, Refund(1, 1_000_000))
    async with opened_at(tmp_path / JOURNAL) as journal:
        await journal.set_setting(f"{DOUBT}{session.id}", "1 payments")
    async with house(tmp_path) as running:
        listed = await running.strom("owed")
        for part in (session.id, "look there whether 1,000 sat", f"{session.id}:1 --unpaid"):
            assert part in listed.out, listed.out
        (trouble,) = running.app.alerts.current().values()
        assert "see strom owed" in trouble
        option = "--paid" if arrived else "--unpaid"
        said = await running.strom("owed", session.id, option, "--yes")
        assert ("Nothing more is owed" if arrived else "owed again") in said.out, said.err
        left = running.app.site.office.owed()
        assert [one.doubted for one in left] == ([] if arrived else [False])
        assert not running.app.alerts.current()


async def test_of_several_it_has_to_be_said_which(tmp_path: Path) -> None:
    paid_by_hand = Refund(2, 5_000)
    session = await stored(tmp_path / JOURNAL, unknown(amount_msat=995_000), paid_by_hand)
    async with house(tmp_path) as running:
        unclear = await running.strom("owed", session.id, "--paid", "--yes")
        assert unclear.code == 1
        assert f"say {session.id}:1 or {session.id}:2" in unclear.err
        said = await running.strom("owed", f"{session.id}:2", "--paid", "--yes")
        assert "Nothing more is owed" in said.out, said.err
        early = await running.strom("owed", f"{session.id}:2", "--unpaid", "--yes")
        assert "nothing is owed" in early.err
        assert [one.refund_no for one in running.app.site.office.owed()] == [1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--paid"], "say which refund"),
        (["abc", "--paid", "--unpaid"], "either"),
        (["abc", "--paid"], "nothing is owed for abc"),
    ],
)
def test_mistakes_get_a_sentence(
    strom: Strom, tmp_path: Path, arguments: Sequence[str], sentence: str
) -> None:
    (tmp_path / "strom.toml").write_text(CONFIG.format(strom="", point=""))
    told = strom("owed", *arguments)
    assert told.code == 1
    assert sentence in told.err


async def test_nothing_is_decided_while_strom_is_down(tmp_path: Path) -> None:
    session = await stored(tmp_path / JOURNAL, unknown())
    async with house(tmp_path) as running:
        pass
    told = await running.strom("owed", session.id, "--unpaid", "--yes")
    assert told.code == 1
    assert "no Strom is running" in told.err
