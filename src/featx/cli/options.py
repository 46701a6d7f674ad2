"""Options that several commands share, each written once; their defaults are the library's.

A command's help shows its options in panels. Those that people use first have none of these names and come on top.
"""

from pathlib import Path
from typing import Annotated

import typer

FEATURE = "Feature"
PIXELS = "Pixels"
TABLE = "A CSV of images"
SPEED = "Speed"
FAILURES = "Images that fail"
CLASSIFIER = "Classifier"
CROSS_VALIDATION = "Cross-validation"
OUTPUT = "Output"

Backbone = Annotated[
    str,
    typer.Option(
        "--backbone",
        "-m",
        help="Pretrained network, or several with commas; `featx backbones` says which to start with.",
        metavar="NAME",
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        help="`imagenet` (downloaded once by Keras), `none` (untrained, fixed seed) or a file of Keras weights.",
        metavar="NAME|FILE",
    ),
]
MovedWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="File of the backbone's weights, if it is no longer where it was.",
        metavar="FILE",
    ),
]
MovedRoot = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="Folder of the images, if it is neither where it was nor near the store.",
        metavar="FOLDER",
        show_default="found",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "-b",
        help="Images that the backbone takes at once.",
        metavar="N",
        min=1,
        show_default="32, on a GPU 64",
        rich_help_panel=SPEED,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        help="Processes that decode images.",
        metavar="N",
        min=1,
        show_default="one for each core, at most 8",
        rich_help_panel=SPEED,
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        help="Limit of an image's pixels, as its header gives them; images over an earlier limit are tried again.",
        metavar="N",
        min=1,
        show_default="the decoder's own",
        rich_help_panel=PIXELS,
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        help="Library that executes the backbone; `auto` is Keras where it can use a GPU, else OpenVINO.",
        metavar="auto|keras|openvino",
        rich_help_panel=SPEED,
    ),
]
Device = Annotated[
    str,
    typer.Option(help="Device that runs the backbone.", metavar="auto|cpu|gpu|gpu:N", rich_help_panel=SPEED),
]
SEED = "Seed of everything drawn at random: the same seed gives the same result."
Seed = Annotated[int, typer.Option(help=SEED, metavar="N", min=0)]
SeedOfFolds = Annotated[int, typer.Option(help=SEED, metavar="N", min=0, rich_help_panel=CROSS_VALIDATION)]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="Regular expression searched in each path; images in which it matches the same text stay in one fold.",
        metavar="REGEX",
        show_default="the manifest's groups",
        rich_help_panel=CROSS_VALIDATION,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV (path, label) that replaces the labels in the store, joined by path; no image is needed.",
        metavar="FILE",
        show_default="the store's labels",
    ),
]
SafeCsv = Annotated[
    bool,
    typer.Option(
        "--safe-csv",
        help="Write paths and names in the CSV so that no spreadsheet takes one for a formula: with ' before it.",
        rich_help_panel=OUTPUT,
    ),
]
PathColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that holds the paths.", metavar="NAME", show_default="path or alike", rich_help_panel=TABLE
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that holds the labels.", metavar="NAME", show_default="label or alike", rich_help_panel=TABLE
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        help="Folder that the paths are relative to.",
        metavar="FOLDER",
        show_default="that of the CSV",
        rich_help_panel=TABLE,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", rich_help_panel=OUTPUT)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=OUTPUT)]
