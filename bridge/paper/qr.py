"""QR codes as SVG: drawn with attributes alone, so that a strict content policy holds."""

from __future__ import annotations

import segno

QUIET_ZONE = 4


def qr_matrix(text: str, error: str = "m") -> list[bytes]:
    """The modules of a QR code by row, 1 for dark, without quiet zone."""
    return [bytes(row) for row in segno.make(text, error=error, micro=False).matrix]


def qr_path(matrix: list[bytes]) -> str:
    """The dark modules as SVG path data, in units of one module."""
    parts: list[str] = []
    for y, row in enumerate(matrix):
        x = 0
        while x < len(row):
            if not row[x]:
                x += 1
                continue
            run = 1
            while x + run < len(row) and row[x + run]:
                run += 1
            parts.append(f"M{x} {y}h{run}v1h-{run}z")
            x += run
    return "".join(parts)


def qr_svg(text: str, label: str) -> str:
    """A QR code with its quiet zone as an SVG element, always dark on white.

    Args:
        text: what it says; capitals make LNURLs and invoices smaller.
        label: what a screen reader says, already escaped for HTML.
    """
    matrix = qr_matrix(text)
    size = len(matrix) + 2 * QUIET_ZONE
    return (
        f'<svg class="qr" role="img" aria-label="{label}" viewBox="0 0 {size} {size}" '
        f'shape-rendering="crispEdges"><rect width="{size}" height="{size}" fill="#fff"/>'
        f'<path transform="translate({QUIET_ZONE} {QUIET_ZONE})" fill="#000" '
        f'd="{qr_path(matrix)}"/></svg>'
    )
