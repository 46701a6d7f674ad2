"""The page of a report as a path that a notebook shows as the page."""

from html import escape
from pathlib import Path

HEIGHT = 720
"""Pixels of the frame; the page scrolls in it."""

OWN_ADDRESS = '<base href="about:srcdoc">'
"""Makes ``#map`` a place of the page in a frame that has it as text."""


class Page(type(Path())):  # type: ignore[misc]  # Path itself can't be inherited from before Python 3.12
    """Path of an HTML page.

    A notebook shows the page in a frame of its own. The frame holds a copy, which a saved notebook keeps, and nothing
    in it can reach the notebook.
    """

    def _repr_html_(self) -> str | None:
        if self.suffix != ".html" or not self.is_file():  # a folder that was made of it by `parent`
            return None
        # Links inside the page would lead to the address of the notebook.
        text = escape(self.read_text(encoding="utf-8").replace("<head>", f"<head>{OWN_ADDRESS}", 1))
        style = f"width:100%;height:{HEIGHT}px;border:0"
        return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{text}"></iframe>'
