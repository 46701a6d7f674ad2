"""The result of one check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was checked.

    Parameters
    ----------
    name : str
        Its name, such as ``"gpu"``.
    state : {"ok", "note", "failed"}
        ``note``: worth knowing, and featx works; ``failed``: featx would compute wrong features here, or none.
    text : str
        One line for people: what was found and, unless it is ok, what to do.
    facts : mapping
        The same for programs, as JSON can hold it.
    """

    name: str
    state: State
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
