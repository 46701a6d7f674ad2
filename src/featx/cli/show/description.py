"""Descriptions of files, and the table of backbones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from featx.cli.show.terminal import as_json, console, shown

if TYPE_CHECKING:
    from featx.backbones import Entry


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
    table = Table(box=None, pad_edge=False)
    for heading in (
        "backbone",
        "image",
        "features",
        "parameters",
        "ImageNet top-1",
        "licence of the weights",
        "weights",
    ):
        left = heading in ("backbone", "licence of the weights", "weights")
        table.add_column(heading, justify="left" if left else "right")
    for entry in entries:
        table.add_row(
            entry.name,
            f"{entry.image_size[0]} x {entry.image_size[1]}",
            f"{entry.width:,}",
            f"{entry.parameters / 1e6:.1f} M" if entry.parameters else "",
            "" if entry.top1 is None else f"{entry.top1:.1f}%",
            entry.licence or "",
            "none needed" if entry.weights_file is None else "here" if cached(entry, top=False) else "",
        )
    console(data=True).print(table)
