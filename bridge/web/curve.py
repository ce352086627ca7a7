"""The power of a session over time, as the path of a drawing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.ports.site import PowerSample

WIDTH, HEIGHT = 1000, 200
MOST_POINTS = 160


@dataclass(frozen=True, slots=True)
class DrawnCurve:
    """SVG path data on a ground of WIDTH by HEIGHT.

    Attributes:
        top_w: the highest power in it.
    """

    line: str
    area: str
    top_w: int


class PowerCurve:
    """Samples as they come; of a long session neighbours are joined, and no peak is lost."""

    def __init__(self, samples: Iterable[PowerSample] = ()) -> None:
        self._samples: list[PowerSample] = []
        for sample in samples:
            self.add(sample)

    def add(self, sample: PowerSample) -> None:
        """Take a sample; one that is not newer than the last is passed over."""
        if self._samples and sample.at_ms <= self._samples[-1].at_ms:
            return
        self._samples.append(sample)
        if len(self._samples) > 2 * MOST_POINTS:
            self._samples = [
                max(self._samples[at : at + 2], key=lambda item: item.power_w)
                for at in range(0, len(self._samples), 2)
            ]

    def draw(self) -> DrawnCurve | None:
        """The curve; None until there are two samples and some power."""
        top_w = max((sample.power_w for sample in self._samples), default=0)
        if len(self._samples) < 2 or not top_w:
            return None
        began_ms = self._samples[0].at_ms
        lasted_ms = self._samples[-1].at_ms - began_ms
        points = [
            (
                round((sample.at_ms - began_ms) * WIDTH / lasted_ms),
                round(HEIGHT - 6 - sample.power_w * (HEIGHT - 12) / top_w),
            )
            for sample in self._samples
        ]
        line = "M" + "L".join(f"{x} {y}" for x, y in points)
        return DrawnCurve(line, f"{line}V{HEIGHT}H0z", top_w)
