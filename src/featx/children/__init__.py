"""Child processes that run a function of featx, without modules of the folder that they are started in.

A folder may hold files from strangers: a ``json.py`` that Python would import in place of its own, a library that
TensorFlow would load. So a child is started by the absolute path of its script, without the current folder among the
places of modules (``-P``), and in a new, empty folder.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).with_name("run_function.py").resolve()


def command(function: str, *arguments: Any) -> list[str]:
    """Return the command line of a child process that runs a function of featx; its result is the exit code.

    To be started with a new, empty folder as its working folder.

    Parameters
    ----------
    function : str
        ``"module:function"``.
    *arguments
        Positional arguments, as JSON can hold them.
    """
    task = {"function": function, "arguments": arguments, "places": _places()}
    # One word for the option and its value: TensorFlow takes the first word without a dash for the program's path, and
    # loads libraries that lie beside it.
    return [_interpreter(), "-P", "-Wignore", str(_SCRIPT), json.dumps(task)]


def environment(**more: str) -> dict[str, str]:
    """Give a child's environment variables: this process's, but no place relative to the current folder.

    An empty place means the current folder; importing cv2 puts one into LD_LIBRARY_PATH.
    """
    inherited = dict(os.environ)
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        if places := inherited.pop(name, ""):
            absolute = [str(Path(place).absolute()) for place in places.split(os.pathsep) if place]
            inherited[name] = os.pathsep.join(absolute)
    return inherited | more


def _places() -> list[str]:
    """List where this process finds modules, without the current folder and what is relative to it."""
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # it was removed
        here = ""
    entries = [entry for entry in sys.path if isinstance(entry, str)]  # as Python, which passes over anything else
    return [entry for entry in entries if Path(entry).is_absolute() and os.path.realpath(entry) != here]


def _interpreter() -> str:
    # As multiprocessing would start it: programs that embed Python tell it where a real interpreter is.
    from multiprocessing.spawn import get_executable

    return os.fsdecode(get_executable() or sys.executable)
