"""The tables, as migrations that are recorded in the database when applied."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("strom")


def unknown_migrations(db: Database) -> list[str]:
    """The names of migrations that were applied to a database and are not in this code."""
    known = {migration.name for migration in MIGRATIONS.pending(Database(memory=True))}
    return [one.name for one in MIGRATIONS.applied(db) if one.name not in known]


@MIGRATIONS()
def m001_foundation(db: Database) -> None:
    """Sessions with their events and outbox, quotes, transactions, and what nostr needs."""
    db.create_table(
        "sessions",
        {
            "id": str,
            "charge_point": str,
            "connector": int,
            "state": str,
            "owner_pubkey": str,
            "live": int,
            "opened_at_ms": int,
            "snapshot": bytes,
        },
        pk="id",
        not_null={"charge_point", "connector", "state", "live", "opened_at_ms", "snapshot"},
    )
    db.table("sessions").create_index(["live"])
    db.table("sessions").create_index(["charge_point", "owner_pubkey", "opened_at_ms"])
    db.create_table(
        "events",
        {"seq": int, "key": str, "session_id": str, "at_ms": int, "kind": str, "body": bytes},
        pk="seq",
        not_null={"key", "session_id", "at_ms", "kind", "body"},
    )
    db.table("events").create_index(["key"], unique=True)
    db.table("events").create_index(["session_id"])
    db.create_table(
        "outbox",
        {"seq": int, "session_id": str, "target": str, "kind": str, "body": bytes},
        pk="seq",
        not_null={"session_id", "target", "kind", "body"},
    )
    db.create_table(
        "quotes",
        {
            "payment_hash": str,
            "session_id": str,
            "secret": str,
            "expires_at_ms": int,
            "settled_at_ms": int,
            "body": bytes,
        },
        pk="payment_hash",
        not_null={"session_id", "secret", "expires_at_ms", "body"},
    )
    db.table("quotes").create_index(["session_id"])
    db.table("quotes").create_index(["secret"])
    db.table("quotes").create_index(["settled_at_ms", "expires_at_ms"])
    db.create_table(
        "withdraw_keys",
        {"k1": str, "session_id": str, "refund_no": int},
        pk="k1",
        not_null={"session_id", "refund_no"},
    )
    db.create_table(
        "transactions",
        {
            "id": int,
            "charge_point": str,
            "connector": int,
            "id_tag": str,
            "started_at_ms": int,
            "register_wh": int,
            "session_id": str,
        },
        pk="id",
        not_null={"charge_point", "connector", "id_tag", "started_at_ms", "register_wh"},
    )
    db.table("transactions").create_index(
        ["charge_point", "connector", "id_tag", "started_at_ms", "register_wh"], unique=True
    )
    db.create_table(
        "evidence",
        {"seq": int, "charge_point": str, "at_ms": int, "kind": str, "body": bytes},
        pk="seq",
        not_null={"charge_point", "at_ms", "kind", "body"},
    )
    db.create_table(
        "connectors",
        {"charge_point": str, "connector": int, "status": str, "at_ms": int},
        pk=("charge_point", "connector"),
    )
    db.create_table("settings", {"name": str, "value": str}, pk="name")
    db.create_table("handled", {"event_id": str, "at_ms": int}, pk="event_id")
    db.create_table(
        "publications",
        {
            "seq": int,
            "event_id": str,
            "relay": str,
            "body": str,
            "created_at_ms": int,
        },
        pk="seq",
        not_null={"event_id", "relay", "body", "created_at_ms"},
    )
    db.table("publications").create_index(["event_id", "relay"], unique=True)
    db.table("publications").create_index(["relay"])


@MIGRATIONS()
def m002_outside_address(db: Database) -> None:
    """Payments to lightning addresses elsewhere, and the prices that were published when."""
    db.create_table(
        "outside_receipts",
        {"receipt_id": str, "charge_point": str, "heard_at_ms": int, "body": str},
        pk="receipt_id",
        not_null={"charge_point", "heard_at_ms", "body"},
    )
    db.create_table(
        "outside_payments",
        {"payment_hash": str, "request_id": str, "receipt_id": str},
        pk="payment_hash",
        not_null={"request_id", "receipt_id"},
    )
    db.table("outside_payments").create_index(["request_id"], unique=True)
    db.table("outside_payments").create_index(["receipt_id"], unique=True)
    db.create_table(
        "unattributed",
        {
            "payment_hash": str,
            "amount_msat": int,
            "settled_at_ms": int,
            "reason": str,
            "told": int,
        },
        pk="payment_hash",
        not_null={"amount_msat", "settled_at_ms", "reason", "told"},
    )
    db.create_table(
        "published_tariffs",
        {"charge_point": str, "since_ms": int, "body": bytes},
        pk=("charge_point", "since_ms"),
        not_null={"body"},
    )


@MIGRATIONS()
def m003_half_done_messages(db: Database) -> None:
    """Messages that are being acted on, and which handled events may ever be forgotten."""
    db.create_table(
        "begun",
        {"message_id": str, "charge_point": str, "subject": str, "body": bytes},
        pk="message_id",
        not_null={"charge_point", "subject", "body"},
    )
    # Of the events that are there nobody knows any more what they were: all are kept.
    db.table("handled").add_column("guards_money", int, not_null_default=1)
    db.table("handled").create_index(["guards_money", "at_ms"])


@MIGRATIONS()
def m004_signed_values(db: Database) -> None:
    """Meter values that the meter itself has signed, as they came."""
    db.create_table(
        "signed_values",
        {"seq": int, "session_id": str, "sha256": str, "body": bytes},
        pk="seq",
        not_null={"session_id", "sha256", "body"},
    )
    db.table("signed_values").create_index(["session_id", "sha256"], unique=True)


@MIGRATIONS()
def m005_samples_beside_the_snapshot(db: Database) -> None:
    """Readings of a meter are stored without the snapshot that they lead to, and without a key."""
    db.table("sessions").add_column("snapshot_seq", int, not_null_default=0)
    db.conn.execute(
        "UPDATE sessions SET snapshot_seq = (SELECT ifnull(max(seq), 0) FROM"
        " events WHERE session_id = sessions.id)"
    )
    db.conn.execute("DROP INDEX idx_events_key")
    # No key is as frequent as a reading's, and none needs it less: the machine takes a reading
    # once, by its time. An index of all of them would take more than all else of a sample.
    db.conn.execute(
        "CREATE UNIQUE INDEX idx_events_key ON events(key) WHERE kind != 'MeterSampled'"
    )


@MIGRATIONS()
def m006_thinned_sessions(db: Database) -> None:
    """How far the readings of settled sessions were thinned, and the sessions by charge point."""
    db.table("sessions").add_column("thinned", int, not_null_default=0)
    db.conn.execute(
        "CREATE INDEX idx_sessions_thinned ON sessions(thinned, opened_at_ms) WHERE live = 0"
    )
    db.table("sessions").create_index(["charge_point", "opened_at_ms"])
    db.conn.execute("DELETE FROM settings WHERE name = 'pruned:samples'")
