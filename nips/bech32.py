"""BIP-173: bech32, without its limit of 90 characters, as private zaps use it.

https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki
"""

from __future__ import annotations

from collections.abc import Iterable

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6


def encode(prefix: str, data: bytes) -> str:
    """Bytes as bech32 under a lower-case prefix."""
    values = _regroup(data, 8, 5, pad=True)
    checked = [*_expand(prefix), *values]
    remainder = _polymod([*checked, *[0] * _CHECKSUM_LENGTH]) ^ 1
    checksum = [remainder >> 5 * (5 - place) & 31 for place in range(_CHECKSUM_LENGTH)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in [*values, *checksum])


def decode(prefix: str, text: str) -> bytes:
    """The bytes in a bech32 text of that prefix.

    Raises:
        ValueError: it is none.
    """
    text = text.lower() if text.upper() == text else text
    head, separator, tail = text.rpartition("1")
    if not separator or head != prefix or len(tail) < _CHECKSUM_LENGTH:
        raise ValueError(f"not a bech32 text of {prefix}1")
    try:
        values = [_VALUES[letter] for letter in tail]
    except KeyError:
        raise ValueError("a letter is not of the bech32 alphabet") from None
    if _polymod([*_expand(prefix), *values]) != 1:
        raise ValueError("the bech32 checksum is wrong")
    return bytes(_regroup(values[:-_CHECKSUM_LENGTH], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    codes = [ord(letter) for letter in prefix]
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, part in enumerate(_GENERATOR):
            if top >> place & 1:
                checksum ^= part
    return checksum


def _regroup(values: Iterable[int], from_bits: int, to_bits: int, *, pad: bool) -> list[int]:
    pending, bits = 0, 0
    result: list[int] = []
    for value in values:
        pending = (pending << from_bits | value) & 0xFFF
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            result.append(pending >> bits & (1 << to_bits) - 1)
    if pad and bits:
        result.append(pending << to_bits - bits & (1 << to_bits) - 1)
    elif not pad and (bits >= from_bits or pending & (1 << bits) - 1):
        raise ValueError("the bech32 text has wrong padding")
    return result
