"""Options that several commands share, each written once; their defaults are the library's."""

from pathlib import Path
from typing import Annotated

import typer

Backbone = Annotated[
    str,
    typer.Option(
        "--backbone",
        "-m",
        help="Pretrained network, or several with commas; `featx backbones` lists them.",
        metavar="NAME",
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        help="`imagenet` (downloaded once by Keras), `none` (untrained, fixed seed) or a file of Keras weights.",
        metavar="imagenet|none|FILE",
    ),
]
MovedWeights = Annotated[
    Path | None,
    typer.Option("--weights", help="Where the backbone's weights are now, if they have moved.", metavar="FILE"),
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
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", "-j", help="Decoder processes.", metavar="N", min=1, show_default="one for each core, at most 8"
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        help="Images whose header announces more fail; those that were too large before are tried again.",
        metavar="N",
        min=1,
        show_default="the decoder's own",
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        help="What executes the backbone; `auto` is Keras where it can use a GPU, else OpenVINO.",
        metavar="auto|keras|openvino",
    ),
]
Device = Annotated[str, typer.Option(help="Where the backbone runs.", metavar="auto|cpu|gpu|gpu:N")]
Seed = Annotated[
    int, typer.Option(help="Of everything drawn at random: the same seed gives the same result.", metavar="N", min=0)
]
Json = Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="Regular expression searched in each path; images that it matches alike stay in one fold.",
        metavar="REGEX",
        show_default="the manifest's groups",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
