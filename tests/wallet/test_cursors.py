"""Cursors belong to one source."""

from wallet import cursors


def test_own_cursor() -> None:
    assert cursors.read("dev-02ab", cursors.write("dev-02ab", 17)) == 17


def test_no_or_foreign_cursor_begins_at_the_beginning() -> None:
    for cursor in (
        "",
        ":",
        "17",
        "lnd-02ab:17",
        "dev-02ab:",
        "dev-02ab:-1",
        "dev-02ab:x",
        "dev-02ab:²",
    ):
        assert cursors.read("dev-02ab", cursor) == 0
