"""The manifest: the ordered list of images with their labels and, if known, splits and groups.

`featx.manifest.listing`   the manifest itself, made of the images that are listed
`featx.manifest.folders`   the files below a folder, each folder entered once
`featx.manifest.classes`   splits and classes of a folder, from the names of its sub-folders
`featx.manifest.encoding`  the text of a CSV
`featx.manifest.quotes`    quotes in the records of a CSV that are at fault
`featx.manifest.records`   the records of a CSV, read strictly
`featx.manifest.columns`   the columns of a CSV that are taken
`featx.manifest.spellings` the files that paths of a CSV lead to, in whatever way they are written
`featx.manifest.tables`    the images that a CSV names
`featx.manifest.alike`     names of classes that people take for the same
`featx.manifest.drawing`   a smaller manifest, drawn evenly from the classes
`featx.manifest.elsewhere` images outside the folder, which links or a CSV lead to
`featx.manifest.finding`   `find`, which chooses among them
"""

from featx.manifest.alike import difference
from featx.manifest.elsewhere import outside
from featx.manifest.finding import find, is_table, source_path
from featx.manifest.listing import Failure, Manifest, TableOptions

__all__ = [
    "Failure",
    "Manifest",
    "TableOptions",
    "difference",
    "find",
    "is_table",
    "outside",
    "source_path",
]
