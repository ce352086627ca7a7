"""What decided a bill's energy, in a driver's language: one line for him, details to look into."""

from __future__ import annotations

from agent.machine.evidence import MeterEvidence
from agent.machine.meter import Correction, Source
from agent.talk.words import Words


def evidence_line(evidence: MeterEvidence, words: Words) -> str:
    """The two readings that decided, why those, and whether others were set right: one line."""
    read = words(
        "meter.now" if evidence.ending is None else "meter.read",
        start=words.number(evidence.start_wh),
        end=words.number(evidence.end_wh),
    )
    why = reason(evidence, words)
    parts = [f"{read} ({why})." if why else f"{read}."]
    if evidence.corrections:
        parts.append(words("meter.corrected"))
    return " ".join(parts)


def reason(evidence: MeterEvidence, words: Words) -> str:
    """Why the last reading is the one that decided."""
    if evidence.end_source is Source.START:
        return words("meter.why.nothing_read")
    why = "" if evidence.ending is None else words(f"meter.why.{evidence.ending}")
    if evidence.end_source is not Source.INTERVALS:
        return why
    summed_up = words("meter.why.intervals")
    return f"{summed_up}; {why}" if why else summed_up


def evidence_details(evidence: MeterEvidence, words: Words) -> tuple[str, ...]:
    """What was done to readings that did not fit, a sentence each."""
    return tuple(_detail(correction, words) for correction in evidence.corrections)


def _detail(correction: Correction, words: Words) -> str:
    told = words(
        f"meter.fix.{correction.fix}",
        before=words.number(correction.before_wh),
        reading=words.number(correction.reading_wh),
    )
    if correction.count > 1:
        told += f" ({correction.count}×)"
    if not correction.energy_wh:
        return told
    sign = "+" if correction.energy_wh > 0 else "−"
    return f"{told} {sign}{words.number(abs(correction.energy_wh))} Wh"
