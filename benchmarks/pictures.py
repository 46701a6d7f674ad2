"""Draw the two pictures of the README: the terminal of a real run, and the page of the model that it scored.

    python benchmarks/pictures.py [--out docs/images]

The images are the handwritten digits of `featx demo`, the backbone needs no weights, and nothing is downloaded.
Needs Chromium on the PATH, and Playwright, which drives it.
"""

import argparse
import fcntl
import io
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from featx.demo import EACH, write_digits

COLUMNS = 100
COMMANDS = (
    "featx extract data/train --backbone scattering --image-size 32",
    "featx fit --clf svm",
    "featx score",
)
WIDTH, HEIGHT, GAP, FRAME = 800, 1500, 20, "#b8bcc4"
"""Pixels of the part of the page on the left, and between two parts; the colour around each."""

LARGEST = 300_000
"""Bytes of a picture."""

CONTROL = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")
"""What the commands send a terminal: control sequences, ends of lines, text."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "images")
    out = options.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_digits(Path(folder, "data"), each=EACH)
        transcript = Text()
        for command in COMMANDS:
            transcript.append("$ ", style="bold green").append(f"{command}\n", style="bold")
            transcript.append(Text.from_ansi(screen(run(command, Path(folder)))).append("\n\n"))
        transcript.rstrip()
        (page,) = Path(folder, "artifacts", "reports").glob("*.html")
        draw(out, drawn(transcript), page)
    for picture in sorted(out.glob("*.png")):
        size = picture.stat().st_size
        print(f"{picture}  {size / 1000:.0f} kB")
        if size > LARGEST:
            sys.exit(f"{picture.name} is larger than {LARGEST / 1000:.0f} kB")


def run(command: str, folder: Path) -> str:
    """Run a command of featx in a terminal of its own, and give what it sent there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    arguments = [sys.executable, "-c", "from featx.cli import main; main()", *shlex.split(command)[1:]]
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    received = b""
    while chunk := _read(ours):
        received += chunk
    os.close(ours)
    if process.wait():
        sys.exit(f"{command}: {received.decode()}")
    return received.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other side is closed
        return b""


def screen(sent: str) -> str:
    """Lines that a terminal shows in the end, colours included: a progress bar rewrites its lines.

    >>> screen("half\\r\\x1b[2Kdone\\r\\n")
    'done'
    """
    lines, row = [""], 0
    for part in CONTROL.finditer(sent):
        parameter, what = part.groups()
        if part[0] == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif what == "A":
            row = max(row - int(parameter or 1), 0)
        elif what == "K":
            lines[row] = ""
        elif what == "m" or (what is None and part[0] != "\r"):
            lines[row] += part[0]
    return "\n".join(lines).rstrip()


def drawn(transcript: Text) -> str:
    """Draw the terminal as HTML around rich's SVG, in a font of this machine."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(transcript)
    svg = console.export_svg(title="featx", theme=SVG_EXPORT_THEME)
    svg = re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL)
    return f"<body style='margin:0'>{svg}</body>"


def draw(out: Path, terminal: str, page: Path) -> None:
    """Photograph the terminal and the page in Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium on the PATH to draw with")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        shown: Any = browser.new_page(viewport={"width": 1240, "height": 800})
        shown.set_content(terminal)
        shown.locator("svg").screenshot(path=out / "terminal.png", omit_background=True)
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        shown.goto(page.resolve().as_uri())
        shown.wait_for_selector("#matrix tbody")
        shown.locator("#plot").scroll_into_view_if_needed()  # it is drawn when it is seen
        shown.wait_for_selector("#plot[data-state=drawn]")
        tops = [shown.locator(part).bounding_box()["y"] for part in ("body", "#mistakes", "#map")]
        collage(shown.screenshot(full_page=True), [top - tops[0] for top in tops]).save(out / "page.png", optimize=True)
        browser.close()


def collage(page: bytes, tops: list[float]) -> Image.Image:
    """Show the head of a page on the left, and the beginnings of two sections, one above the other, beside it."""
    whole = Image.new("RGB", (2 * WIDTH + GAP, HEIGHT), "white")
    half = (HEIGHT - GAP) // 2
    places = ((0, 0, HEIGHT), (WIDTH + GAP, 0, half), (WIDTH + GAP, half + GAP, half))
    with Image.open(io.BytesIO(page)) as picture:
        for top, (x, y, height) in zip(tops, places, strict=True):
            part = picture.convert("RGB").crop((1, int(top) + 1, WIDTH - 1, int(top) + height - 1))
            whole.paste(ImageOps.expand(part, 1, FRAME), (x, y))
    return whole.quantize(256, Image.Quantize.MAXCOVERAGE)  # which keeps the colours of few pixels


if __name__ == "__main__":
    main()
