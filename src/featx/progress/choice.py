"""The observer that the parameter `progress` of a verb means; bars are loaded once they are asked for."""

import contextlib
import sys
from collections.abc import Iterator

from featx.errors import UsageError
from featx.progress.observer import SILENT, Progress


@contextlib.contextmanager
def observed(progress: Progress | bool | None) -> Iterator[Progress]:
    """Give the observer that `progress`, a parameter of the verbs, means; its bars are finished at the end.

    Parameters
    ----------
    progress : Progress, bool or None
        An observer; bars, or nothing; None is bars in a notebook and where stderr is a terminal, and nothing elsewhere.

    Raises
    ------
    UsageError
        It is none of these.
    """
    if progress is None:
        progress = in_notebook() or (sys.stderr is not None and sys.stderr.isatty())
    if isinstance(progress, bool):
        bars = _new_bars() if progress else contextlib.nullcontext(SILENT)
        with bars as observer:
            yield observer
    elif hasattr(progress, "begin"):
        yield progress
    else:
        raise UsageError(f"progress must be True, False, None or a featx.Progress, found {progress!r}")


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def _new_bars() -> contextlib.AbstractContextManager[Progress]:
    from featx.progress.bars import NotebookBars, TerminalBars

    return contextlib.closing(NotebookBars() if in_notebook() else TerminalBars())
