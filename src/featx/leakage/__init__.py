"""Search for images that occur twice: in training and in test, or in training under two labels.

Features alone can't tell (two photos of one flower may be as near as two copies of one photo), so they only propose.

`featx.leakage.leak`       the pairs that were found
`featx.leakage.pictures`   small pictures of images to compare, 2,592 bytes each
`featx.leakage.proposals`  the nearest rows of one matrix in another, in bounded memory
`featx.leakage.agreement`  the decision if two small pictures are of one image
`featx.leakage.search`     proposals by features and by pictures, decided by pictures
"""

from featx.leakage.agreement import Agreement, compare, same
from featx.leakage.leak import Kind, Leak, Leaks
from featx.leakage.pictures import SIDE, WIDTH, mirrored, reduced
from featx.leakage.proposals import Chosen, nearest
from featx.leakage.search import Found, Pictured, clumps, copies, joined

__all__ = [
    "SIDE",
    "WIDTH",
    "Agreement",
    "Chosen",
    "Found",
    "Kind",
    "Leak",
    "Leaks",
    "Pictured",
    "clumps",
    "compare",
    "copies",
    "joined",
    "mirrored",
    "nearest",
    "reduced",
    "same",
]
