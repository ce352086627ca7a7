"""Direct messages: NIP-04 (encrypted direct message), NIP-17 (private direct messages).

https://github.com/nostr-protocol/nips/blob/master/04.md
https://github.com/nostr-protocol/nips/blob/master/17.md
https://github.com/nostr-protocol/nips/blob/master/44.md (encryption)
https://github.com/nostr-protocol/nips/blob/master/59.md (seal and gift wrap)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from nostr_sdk import (
    NostrSdkError,
    PublicKey,
    UnsignedEvent,
    nip04_decrypt,
    nip04_encrypt,
    nip44_decrypt,
    nip59_make_gift_wrap,
)

from nips.errors import InvalidEvent, InvalidMessage
from nips.event import (
    HEX_64,
    NostrEvent,
    Tags,
    event_id,
    freeze_tags,
    json_object,
)
from nips.identity import Identity

KIND_NIP04_MESSAGE = 4
KIND_SEAL = 13
KIND_CHAT_MESSAGE = 14
KIND_GIFT_WRAP = 1059

WRAP_BACKDATING_S = 2 * 86_400
"""NIP-59 lets senders date a gift wrap up to two days back: ask relays that much earlier."""

MAX_TEXT_CHARS = 10_000
"""Longer messages are no words of a driver."""
MAX_NIP04_CHARS = 65_536
MAX_WRAP_CHARS = 131_072
"""Three layers of base64 over the longest text, with room for tags."""
MAX_TAGS = 100
REMEMBERED_KEYS = 256

_NIP18_MARK = "[//]: # (nip18)"

DmProtocol = Literal["nip04", "nip17"]


@dataclass(frozen=True, slots=True)
class DirectMessage:
    """A message that was sent to us.

    Attributes:
        sender: the true author, hex.
        sent_at: Unix seconds, as the author says.
        event_id: hex; of a NIP-17 message the id of the message inside, so that a second
            wrapping of one message is seen to be the same.
        answers: the `event_id` of the message that this one replies to, as its author says;
            "" where he names none.
    """

    sender: str
    text: str
    sent_at: int
    protocol: DmProtocol
    event_id: str
    answers: str = ""


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """A message of ours.

    Attributes:
        event: signed, as relays get it.
        message_id: by which an answer names the message: its recipient's `event_id` of it.
    """

    event: NostrEvent
    message_id: str


def read_message(identity: Identity, event: NostrEvent) -> DirectMessage:
    """Decrypt a message to `identity`. Cheap checks come before any decryption.

    Raises:
        InvalidMessage: it is none, not for us, too large, or its author is forged.
    """
    if len(event.tags) > MAX_TAGS:
        raise InvalidMessage(f"the message has more than {MAX_TAGS} tags")
    if identity.pubkey not in (tag[1] for tag in event.tags_named("p") if len(tag) > 1):
        raise InvalidMessage("the message is not for this identity")
    if event.kind == KIND_NIP04_MESSAGE:
        return _read_nip04(identity, event)
    if event.kind == KIND_GIFT_WRAP:
        return _read_nip17(identity, event)
    raise InvalidMessage(f"kind {event.kind} is no direct message")


def _read_nip04(identity: Identity, event: NostrEvent) -> DirectMessage:
    if len(event.content) > MAX_NIP04_CHARS:
        raise InvalidMessage("the message is too long")
    if "?iv=" not in event.content:
        raise InvalidMessage("the message is not encrypted as NIP-04 says")
    try:
        text = nip04_decrypt(identity.keys.secret_key(), _key(event.pubkey), event.content)
    except NostrSdkError:
        raise InvalidMessage("the message cannot be decrypted") from None
    return DirectMessage(
        event.pubkey, _words(text), event.created_at, "nip04", event.id, _answered(event.tags)
    )


def _read_nip17(identity: Identity, wrap: NostrEvent) -> DirectMessage:
    if len(wrap.content) > MAX_WRAP_CHARS:
        raise InvalidMessage("the gift wrap is too large")
    sealed = _decrypt(identity, wrap.pubkey, wrap.content, "gift wrap")
    try:
        seal = NostrEvent.parse(sealed)
    except InvalidEvent as error:
        raise InvalidMessage(f"the gift wrap holds no valid event: {error}") from None
    if seal.kind != KIND_SEAL:
        raise InvalidMessage(f"the gift wrap holds kind {seal.kind} instead of a seal")
    rumor = _decrypt(identity, seal.pubkey, seal.content, "seal")
    author, created_at, kind, tags, text, claimed_id = _parse_rumor(rumor)
    if author != seal.pubkey:
        raise InvalidMessage("the message's author is not the one who sealed it")
    if kind != KIND_CHAT_MESSAGE:
        raise InvalidMessage(f"the seal holds kind {kind} instead of a text message")
    recipients = {tag[1] for tag in tags if len(tag) > 1 and tag[0] == "p"}
    if recipients and identity.pubkey not in recipients:
        raise InvalidMessage("the message inside is for somebody else")
    identifier = event_id(author, created_at, kind, tags, text)
    if claimed_id not in (None, identifier):
        raise InvalidMessage("the message's id is not the id of its contents")
    return DirectMessage(author, _words(text), created_at, "nip17", identifier, _answered(tags))


def _answered(tags: Tags) -> str:
    """The message that another one replies to; of several the last, as in NIP-10."""
    named = [tag[1] for tag in tags if len(tag) > 1 and tag[0] == "e"]
    return named[-1] if named and HEX_64.fullmatch(named[-1]) else ""


@lru_cache(REMEMBERED_KEYS)
def _key(pubkey: str) -> PublicKey:
    """The point behind a public key: who is read from is then written to."""
    return PublicKey.parse(pubkey)


def _decrypt(identity: Identity, peer: str, payload: str, what: str) -> str:
    try:
        return nip44_decrypt(identity.keys.secret_key(), _key(peer), payload)
    except NostrSdkError:
        raise InvalidMessage(f"the {what} cannot be decrypted") from None


def _parse_rumor(text: str) -> tuple[str, int, int, Tags, str, str | None]:
    """Author, time, kind, tags, content and claimed id of an unsigned event."""
    try:
        rumor = json_object(text, "the message inside the seal")
    except InvalidEvent as error:
        raise InvalidMessage(str(error)) from None
    author, created_at, kind = rumor.get("pubkey"), rumor.get("created_at"), rumor.get("kind")
    content, claimed_id, raw_tags = rumor.get("content"), rumor.get("id"), rumor.get("tags")
    valid = (
        isinstance(author, str)
        and HEX_64.fullmatch(author) is not None
        and type(created_at) is int
        and type(kind) is int
        and isinstance(content, str)
        and isinstance(claimed_id, str | None)
        and isinstance(raw_tags, list)
        and len(cast("list[object]", raw_tags)) <= MAX_TAGS
        and all(_is_tag(tag) for tag in cast("list[object]", raw_tags))
    )
    if not valid:
        raise InvalidMessage("the message inside the seal is not a nostr event")
    return (
        cast("str", author),
        cast("int", created_at),
        cast("int", kind),
        freeze_tags(cast("list[list[str]]", raw_tags)),
        cast("str", content),
        cast("str | None", claimed_id or None),
    )


def _is_tag(tag: object) -> bool:
    return isinstance(tag, list) and all(
        isinstance(value, str) for value in cast("list[object]", tag)
    )


def _words(text: str) -> str:
    """What the sender wrote, without the mark that some clients append."""
    text = text.strip()
    if text.endswith(_NIP18_MARK):
        text = text.removesuffix(_NIP18_MARK).rstrip()
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidMessage(f"the message is longer than {MAX_TEXT_CHARS} characters")
    return text


def write_message(
    identity: Identity,
    recipient: str,
    text: str,
    protocol: DmProtocol,
    at_s: int,
    *,
    answers: str = "",
) -> NostrEvent:
    """The event of `compose_message`, for whoever waits for no answer to it."""
    return compose_message(identity, recipient, text, protocol, at_s, answers=answers).event


def compose_message(
    identity: Identity,
    recipient: str,
    text: str,
    protocol: DmProtocol,
    at_s: int,
    *,
    answers: str = "",
) -> WrittenMessage:
    """Encrypt and sign a message.

    For NIP-17 the event is the gift wrap for the recipient; two calls give two different
    events, so store what is to be sent.

    Args:
        recipient: hex.
        at_s: the message's time, Unix seconds.
        answers: the `event_id` of the message that this one replies to; "" for none.

    Raises:
        InvalidMessage: the recipient is no public key, or the text is too long to encrypt.
    """
    tags = (("p", recipient), ("e", answers)) if answers else (("p", recipient),)
    try:
        peer = _key(recipient)
        if protocol == "nip04":
            content = nip04_encrypt(identity.keys.secret_key(), peer, text)
            event = identity.sign(KIND_NIP04_MESSAGE, content, tags, at_s)
            return WrittenMessage(event, event.id)
        message_id = event_id(identity.pubkey, at_s, KIND_CHAT_MESSAGE, tags, text)
        rumor = {
            "id": message_id,
            "pubkey": identity.pubkey,
            "created_at": at_s,
            "kind": KIND_CHAT_MESSAGE,
            "tags": tags,
            "content": text,
        }
        unsigned = UnsignedEvent.from_json(json.dumps(rumor))
        wrap = nip59_make_gift_wrap(identity.keys, peer, unsigned)
    except NostrSdkError as error:
        raise InvalidMessage(f"the message cannot be encrypted: {error}") from None
    return WrittenMessage(NostrEvent.from_own(wrap.as_json()), message_id)
