"""The file of a model, written whole or not at all, and checked before anything in it is built.

It is a zip archive as skops writes it, plus a member ``featx.json`` that names the format and holds the SHA-256 of
every other member. It is refused unless they all fit. The digests find rot and careless edits; they are no signature.
What protects against a hostile file is skops, which builds nothing but types that are trusted by name: those of
scikit-learn that it vouches for, and featx's own estimators.
"""

import hashlib
import io
import json
import platform
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from featx.classifiers import trusted_steps
from featx.errors import ModelError
from featx.files import meant, open_regular, parse_json, whole
from featx.version import __version__

FORMAT = "featx model"
PLAIN, WITH_VIEWS = 1, 2
"""Versions of the format: a model that was fitted without views is written as version 1, as it always was."""
SEAL = "featx.json"


def versions() -> dict[str, str]:
    """Versions of what makes a model."""
    import skops

    return {
        "featx": __version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "skops": skops.__version__,
        "python": platform.python_version(),
    }


def write(path: Path, contents: Mapping[str, Any], *, version: int = PLAIN) -> None:
    """Write the parts of a model to one file.

    Parameters
    ----------
    path : Path
        Replaced where it exists, in one step; folders are made.
    contents : mapping
        A scikit-learn pipeline, NumPy arrays and plain data.
    version : int
        Version of the format.

    Raises
    ------
    ModelError
        The file can't be written, or it would hold a type that `read` refuses.
    """
    data = _seal(contents, path, version)
    try:
        with whole(path) as file:
            file.write(data)
    except OSError as error:
        raise ModelError(f"can't write model {str(path)!r}: {error.strerror}; choose another place") from error


def read(path: Path) -> Any:
    """Read the contents of a file from `write`; nothing in it is executed.

    Raises
    ------
    ModelError
        There is no such file, or it is no whole, safe model of a format that this version of featx reads.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise ModelError(
            f"can't read model {str(path)!r}: {error.strerror or error}{meant(path) or '; make a model with fit'}"
        ) from error
    return _unseal(data, path)


def _own_types() -> list[str]:
    return [f"{kind.__module__}.{kind.__name__}" for kind in trusted_steps() if kind.__module__.startswith("featx.")]


def _untrusted(data: bytes) -> list[str]:
    # skops lists every estimator of scikit-learn when imported, which only a model's file is worth.
    import skops.io

    return sorted(set(skops.io.get_untrusted_types(data=data)) - set(_own_types()))


def _seal(contents: Mapping[str, Any], path: Path, version: int) -> bytes:
    import skops.io

    data = skops.io.dumps(dict(contents))
    if untrusted := _untrusted(data):
        raise ModelError(
            f"model {str(path)!r} can't be saved, because loading it would not be safe: it contains "
            f"{', '.join(untrusted)}; keep it in memory (save=False), or use another estimator"
        )
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        members = {member: hashlib.sha256(archive.read(member)).hexdigest() for member in archive.namelist()}
        archive.writestr(SEAL, json.dumps({"format": FORMAT, "format_version": version, "members": members}))
    return buffer.getvalue()


def _unseal(data: bytes, path: Path) -> Any:
    import skops.io

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            # A model's members are not packed, so that what it takes is seen by its size.
            if SEAL in names and sum(member.file_size for member in archive.infolist()) > len(data):
                raise ModelError(
                    f"{str(path)!r} is not a model that featx wrote: it would unpack to more than its size; fit it "
                    "again"
                )
            seal = parse_json(archive.read(SEAL)) if SEAL in names else {}
            if seal.get("format") != FORMAT:
                raise ModelError(
                    f"{str(path)!r} is an archive, but not a model written by featx; make a model with fit"
                )
            if seal["format_version"] > WITH_VIEWS:
                raise ModelError(
                    f"model {str(path)!r} has format {seal['format_version']}, but this featx reads only formats up "
                    f"to {WITH_VIEWS}: update featx"
                )
            found = {member: hashlib.sha256(archive.read(member)).hexdigest() for member in names if member != SEAL}
        if len(names) != len(found) + 1 or found != seal["members"]:
            raise ModelError(f"model {str(path)!r} was changed after it was written, or is damaged: fit it again")
        if untrusted := _untrusted(data):
            raise ModelError(
                f"model {str(path)!r} is not safe to load, because it contains {', '.join(untrusted)}: fit it again"
            )
        with warnings.catch_warnings():
            # The versions in the model's own record tell it better, in one line.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            return skops.io.loads(data, trusted=_own_types())
    except ModelError:
        raise
    except Exception as error:
        # Whatever its bytes make zipfile, json, skops and numpy raise, it says the same about a file from outside.
        raise ModelError(f"{str(path)!r} is not a model, or is damaged; make a model with fit") from error
