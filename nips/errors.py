"""What can go wrong in this room; every text is one sentence and never holds a secret.

NostrError
├── InvalidEvent             not a nostr event, or its id or signature is wrong
│   ├── InvalidZapRequest    NIP-57: refused before an invoice exists; the text is for the driver
│   ├── InvalidZapReceipt    NIP-57: not a proof of anything
│   └── InvalidMessage       NIP-04, NIP-17: not a readable direct message
├── InvalidKey               a key, mnemonic or NIP-19 code that is none
├── InvalidRelayUrl          not a URL of a relay
├── NotConnected             asked of a relay that is not connected now
├── NotPublic                a server that a stranger named must not be connected to
│   └── NotFound             its name leads nowhere now
└── EmbeddedRelayError       the relay we serve ourselves cannot run
"""


class NostrError(Exception):
    """Root of this room's errors."""


class InvalidEvent(NostrError):
    """Not a nostr event, or its id or signature is wrong."""


class InvalidZapRequest(InvalidEvent):
    """A zap request that NIP-57's server rules refuse; the text is meant for the driver."""


class InvalidZapReceipt(InvalidEvent):
    """A zap receipt that proves nothing."""


class InvalidMessage(InvalidEvent):
    """An event that is no readable direct message to us."""


class InvalidKey(NostrError):
    """A key, a mnemonic or a NIP-19 code that is none; the text never repeats it."""


class InvalidRelayUrl(NostrError):
    """Not the URL of a relay."""


class NotConnected(NostrError):
    """The relay is not connected now."""


class NotPublic(NostrError):
    """A server that a stranger named must not be connected to."""


class NotFound(NotPublic):
    """The name of a server that a stranger named leads nowhere now."""


class EmbeddedRelayError(NostrError):
    """The relay we serve ourselves cannot run."""
