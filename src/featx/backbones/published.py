"""Check that weights are the published ones before they are called ``imagenet``."""

import hashlib
import logging
from pathlib import Path
from typing import Any

from featx.backbones.session import fresh_names, import_keras, silent
from featx.backbones.table import Entry
from featx.errors import WeightsError
from featx.ownership import anybody_writes, others_rights
from featx.weights import digest_tensors

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


def check_folder(path: Path) -> None:
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


def check_published(network: Any, entry: Entry, path: Path, *, top: bool) -> None:
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
