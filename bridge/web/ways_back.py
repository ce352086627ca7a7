"""Where a page that only tells something leads back to: whoever ends there has lost nothing."""

from __future__ import annotations

from dataclasses import dataclass

from agent.links import SECRET


@dataclass(frozen=True, slots=True)
class WayBack:
    """A link.

    Attributes:
        url: a path on this Strom.
        word: the key of what stands on the link.
    """

    url: str
    word: str


TO_LIST = WayBack("/", "web.to_list")
TO_CONSOLE = WayBack("/admin", "console.back")


def way_back(path: str, status_code: int) -> WayBack:
    """The page that a refused request probably came from.

    Args:
        path: that was asked for.
        status_code: of the answer: what is not there is not led to.
    """
    parts = path.split("/")
    match parts:
        case ["", "admin", _, *_]:
            return TO_CONSOLE
        case ["", "s", secret, *_] if status_code != 404 and SECRET.fullmatch(secret):
            return WayBack(f"/s/{secret}", "web.your_charge")
        case ["", "cp", name, _, *_] if status_code != 404:
            return WayBack(f"/cp/{name}", "web.to_point")
        case _:
            return TO_LIST
