"""The settings that pictures are drawn with."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Draw with matplotlib's own settings, so that a picture is the same everywhere.

    matplotlib reads a ``matplotlibrc`` of the current folder, which may be a stranger's: its settings start programs
    (``text.usetex``) or import modules (``backend``).
    """
    with _root_folder():
        _import()
    import matplotlib.style

    with matplotlib.style.context("default"):
        yield


def _import() -> None:
    """Import matplotlib, which refuses to be imported where MPLBACKEND names no backend; pictures need none."""
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with contextlib.suppress(ValueError):  # a notebook's is known, and stays
            mpl.rcParams["backend"] = backend


@contextlib.contextmanager
def _root_folder() -> Iterator[None]:
    """Import matplotlib where no ``matplotlibrc`` lies, as far as no other thread needs the current folder."""
    others = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if "matplotlib" in sys.modules or others:
        yield
        return
    with contextlib.chdir(os.path.abspath(os.sep)):  # noqa: PTH100  (the drive of the current folder, on Windows)
        yield
