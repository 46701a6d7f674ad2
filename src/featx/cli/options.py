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
VIEWS = "Views"
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
        help="`imagenet` (downloaded once by Keras), `none` (untrained, for tests only) or a file of Keras weights.",
        metavar="NAME|FILE",
    ),
]
MovedWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="File with the weights of the backbone, if it was moved.",
        metavar="FILE",
    ),
]
MovedRoot = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="Folder of the images, if it was moved and is not found.",
        metavar="FOLDER",
        show_default="found",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "-b",
        help="Number of images that the backbone works on at the same time.",
        metavar="N",
        min=1,
        show_default="32, or 64 on a GPU",
        rich_help_panel=SPEED,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        help="Number of processes that read images.",
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
        help="Largest number of pixels that an image may have; larger images are not read, until the limit is raised.",
        metavar="N",
        min=1,
        show_default="a safe limit",
        rich_help_panel=PIXELS,
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        help="Library that runs the backbone; `auto` is Keras if it can use a GPU, else OpenVINO.",
        metavar="auto|keras|openvino",
        rich_help_panel=SPEED,
    ),
]
Device = Annotated[
    str,
    typer.Option(help="Device that runs the backbone.", metavar="auto|cpu|gpu|gpu:N", rich_help_panel=SPEED),
]
SEED = "Seed of the random numbers: the same seed gives the same result."
Seed = Annotated[int, typer.Option(help=SEED, metavar="N", min=0)]
SeedOfFolds = Annotated[int, typer.Option(help=SEED, metavar="N", min=0, rich_help_panel=CROSS_VALIDATION)]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="Regular expression that is searched in each path; images where it finds the same text stay in one fold.",
        metavar="REGEX",
        show_default="the groups of the CSV, if it has any",
        rich_help_panel=CROSS_VALIDATION,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV file (path, label) with labels to use instead of those in the store; the images are not needed.",
        metavar="FILE",
        show_default="the store's labels",
    ),
]
SafeCsv = Annotated[
    bool,
    typer.Option(
        "--safe-csv",
        help="Write a ' before paths and names in the CSV file that a spreadsheet could take for a formula.",
        rich_help_panel=OUTPUT,
    ),
]
PathColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that holds the paths.",
        metavar="NAME",
        show_default="path, or a similar name",
        rich_help_panel=TABLE,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that holds the labels.",
        metavar="NAME",
        show_default="label, or a similar name",
        rich_help_panel=TABLE,
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        help="Folder that the paths are relative to.",
        metavar="FOLDER",
        show_default="the folder of the CSV",
        rich_help_panel=TABLE,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Write the result as JSON to standard output.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only errors.", rich_help_panel=OUTPUT)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show more.", rich_help_panel=OUTPUT)]
