"""Extension of griffe, which reads the source for the reference: default values, and a row for each parameter."""

import importlib
import inspect
import re
from typing import Any

import griffe

LITERAL = re.compile(r"^::\n", re.MULTILINE)
SHARED = re.compile(r"^(?P<names>\w+(?:, \w+)+)(?P<type> : .+)?\n(?P<text>(?: +\S.*\n?)+)", re.MULTILINE)


class Reference(griffe.Extension):
    """Show what a reader of the reference needs where the source says it in another way."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Show ``backbone: str = 'resnet50'`` where the source has ``backbone: str = Request.backbone``."""
        if not any(isinstance(parameter.default, griffe.ExprAttribute) for parameter in func.parameters):
            return
        named: Any = importlib.import_module(func.module.path)
        for name in func.path.removeprefix(f"{func.module.path}.").split("."):
            named = getattr(named, name)
        defaults = inspect.signature(named).parameters
        for parameter in func.parameters:
            if isinstance(parameter.default, griffe.ExprAttribute):
                parameter.default = repr(defaults[parameter.name].default)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Give each of several names that share a description its own: griffe shows one type and default for all.

        A lone ``::`` before a drawing is reStructuredText; in Markdown the drawing's indentation says enough.
        """
        if obj.docstring:
            obj.docstring.value = SHARED.sub(_one_by_one, LITERAL.sub("", f"{obj.docstring.value}\n"))


def _one_by_one(shared: re.Match[str]) -> str:
    text = shared["text"] if shared["text"].endswith("\n") else f"{shared['text']}\n"
    return "".join(f"{name}{shared['type'] or ''}\n{text}" for name in shared["names"].split(", "))
