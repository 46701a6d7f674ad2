"""Runs one function of featx; started as a script by `featx.children.command`."""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    # The same featx as the parent's, wherever that lies: once the package is there, its modules are found in it.
    home = str(Path(__file__).parents[2])
    sys.path.insert(0, home)
    import featx  # noqa: F401

    sys.path.remove(home)
    # Behind Python's own modules and what is installed, which nothing from there can stand in for.
    sys.path += [place for place in task["places"] if place not in sys.path]

    import importlib

    module, _, name = task["function"].partition(":")
    sys.exit(getattr(importlib.import_module(module), name)(*task["arguments"]))
