"""The nostr protocol: one file for each specification, and the one relay pool."""

from nips import sdk_buffer as sdk_buffer
