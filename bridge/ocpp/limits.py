"""What one charger's connection may take, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take, and how long it may take.

    Attributes:
        frame_bytes: the largest frame; a larger one closes the connection (code 1009). A stop that
            comes with four measurands of a whole day, read every 20 s, is smaller.
        message_bytes: the largest frame that is neither an answer nor about a transaction.
        queued_frames: frames that may wait to be read; then the socket is not read.
        frames_per_s: lasting rate; what comes faster waits in the charger.
        burst_frames: what may come at once.
        ping_interval_s: a charger that was not heard for so many seconds gets a ping of ours;
            None sends none.
        ping_timeout_s: seconds that it may take to answer, be it late or slowly, before no
            payment is taken for it.
        lost_after_s: seconds without a byte after which its connection is closed.
        call_timeout_s: seconds that a charger may take to answer a call.
        patience_s: seconds that a start or a stop waits for the answer to another call.
        silence_s: a charger that says nothing for so long after connecting may be called.
        goodbye_s: seconds that its end of a connection may stay open once that is over.
        heartbeat_s: the interval that a charger is told at its boot.
    """

    frame_bytes: int = 3 << 20
    message_bytes: int = 1 << 17
    queued_frames: int = 16
    frames_per_s: float = 400.0
    burst_frames: int = 800
    ping_interval_s: float | None = 7.0
    ping_timeout_s: float = 6.0
    lost_after_s: float = 60.0
    call_timeout_s: float = 30.0
    patience_s: float = 5.0
    silence_s: float = 5.0
    goodbye_s: float = 3.0
    heartbeat_s: int = 300
