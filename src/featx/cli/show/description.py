"""Descriptions of files, and the table of backbones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featx.cli.show.tables import Column, print_table
from featx.cli.show.terminal import as_json, console, shown

if TYPE_CHECKING:
    from featx.backbones import Entry

BACKBONES = (
    Column(heading="backbone", left=True),
    Column(heading="image", rank=1),
    Column(heading="features", rank=2),
    Column(heading="parameters", rank=3),
    Column(heading="ImageNet top-1"),
    Column(heading="licence of the weights", left=True, rank=4),
    Column(heading="weights", left=True),
)


def description(found: dict[str, Any]) -> None:
    """Print the description of a file on stdout: a line for each fact, a mapping indented below its name."""
    screen = console(data=True)

    def row(name: str, value: Any, indent: int) -> None:
        start = f"{'  ' * indent}[bold]{shown(name.replace('_', ' '))}[/]"
        if isinstance(value, dict):
            screen.print(start, soft_wrap=True)
            for key, inner in value.items():
                row(str(key), inner, indent + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            screen.print(start, soft_wrap=True)
            for inner in value:
                text = "  ".join(
                    f"{key} {item:.4g}" if isinstance(item, float) else str(item) for key, item in inner.items()
                )
                screen.print(f"{'  ' * (indent + 1)}{shown(text)}", soft_wrap=True)
        else:
            text = " x ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
            screen.print(f"{start}  {shown(text)}", soft_wrap=True)

    for name, value in found.items():
        if value not in (None, [], {}):
            row(name, value, 0)


def backbones(entries: "Sequence[Entry]", *, json: bool) -> None:
    """The table of backbones."""
    from featx.backbones import cached

    if json:
        as_json(
            [
                {
                    "name": entry.name,
                    "image_size": list(entry.image_size),
                    "width": entry.width,
                    "parameters": entry.parameters,
                    "top1": entry.top1,
                    "licence": entry.licence,
                    "weights_file": entry.weights_file,
                    "here": cached(entry, top=False) is not None,
                }
                for entry in entries
            ]
        )
        return
    rows = [
        (
            entry.name,
            f"{entry.image_size[0]} x {entry.image_size[1]}",
            f"{entry.width:,}",
            f"{entry.parameters / 1e6:.1f} M" if entry.parameters else "",
            "" if entry.top1 is None else f"{entry.top1:.1f}%",
            entry.licence or "",
            "none needed" if entry.weights_file is None else "here" if cached(entry, top=False) else "",
        )
        for entry in entries
    ]
    print_table(console(data=True), BACKBONES, rows, named=False)
