import asyncio
from contextlib import AbstractContextManager
from typing import Any

def uniffi_set_event_loop(eventloop: asyncio.AbstractEventLoop | None) -> None: ...

class _UniffiRustBuffer:
    data: Any
    len: int

class _UniffiRustBufferBuilder:
    rbuf: _UniffiRustBuffer
    def _reserve(self, num_bytes: int) -> AbstractContextManager[None]: ...
    def write(self, value: bytes) -> None: ...
    def discard(self) -> None: ...
