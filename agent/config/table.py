"""What every table of the operator's file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table: keys that it does not know are refused, and what was read never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
