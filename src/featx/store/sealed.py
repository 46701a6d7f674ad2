"""Open a sealed feature store for reading."""

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from featx import notebook
from featx.errors import Reason, StoreError
from featx.files import meant, moved, open_regular
from featx.manifest import Failure
from featx.spec import Colours, ExtractionSpec, ViewsSpec
from featx.store.disk import reason
from featx.store.format import LayoutError
from featx.store.layout import Layout, scan
from featx.store.text import decode, decode_attribute
from featx.store.verifying import disagreements
from featx.words import counted, some

if TYPE_CHECKING:
    import pandas as pd

LOOKED_FOR = 5
"""Images by which the folder of a store is known."""

_ADVICE = "give a file that was written by featx extract, or extract again"


class FeatureStore:
    """A sealed feature store; row i of each array belongs to row i of the features. Made by `open_store`.

    Attributes
    ----------
    path : Path
        The file, absolute.
    features : (n, d) float32
        Read-only, mapped from the file: rows are read when they are used. An ordinary empty array where n = 0.
    labels : (n,) int32
        Index into `classes`, -1 for none.
    digests : (n, 32) uint8
        SHA-256 of the image files' bytes.
    sizes, mtimes_ns : (n,) int64
        Size in bytes and modification time in nanoseconds of the image files as they were read.
    status : (n,) uint8
        1 where the row was extracted, 2 where it was copied from an older store.
    checksums : (n, 32) uint8
        SHA-256 of each row.
    spec : ExtractionSpec
        What decided the features' values.
    views : (n, K, d) float32 or None
        Features of K augmented views of each image, read-only and mapped as `features`; None in a store without.
    views_spec : ViewsSpec or None
        What decided the views, beside `spec`.
    views_checksums : (n, 32) uint8 or None
        SHA-256 of the views of each image.
    """

    def __init__(self, path: Path, layout: Layout, columns: dict[str, NDArray[Any]]) -> None:
        self._attributes = layout.attributes
        self._columns = columns
        self.path = path
        self.features: NDArray[np.float32] = columns["features"]
        self.labels: NDArray[np.int32] = columns["labels"]
        self.digests: NDArray[np.uint8] = columns["digests"]
        self.sizes: NDArray[np.int64] = columns["sizes"]
        self.mtimes_ns: NDArray[np.int64] = columns["mtimes_ns"]
        self.status: NDArray[np.uint8] = columns["status"]
        self.checksums: NDArray[np.uint8] = columns["checksums"]
        self.spec = ExtractionSpec.from_json(layout.text("spec"))
        self.views: NDArray[np.float32] | None = columns.get("views")
        self.views_checksums: NDArray[np.uint8] | None = columns.get("views_checksums")
        self.views_spec = ViewsSpec.from_json(layout.text("views_spec")) if "views" in columns else None

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        n, d = self.features.shape
        classes = counted(len(self.classes), "class", "classes") if self.classes else "no labels"
        views = "" if self.views_spec is None else f" · {counted(self.views_spec.count, 'view')} each"
        return f"<FeatureStore {n:,} x {d:,}{views} · {self.spec.backbone} · {classes} · {self.path}>"

    def _repr_html_(self) -> str:
        n, d = self.features.shape
        classes = [f"{name} ({count:,})" for name, count in self.class_counts.items()]
        rows = [
            ("features", f"{n:,} x {d:,} float32"),
            *([] if self.views_spec is None else [("views", f"{self.views_spec.count} of each image")]),
            ("backbone", f"{self.spec.backbone}, weights {self.weights_source}"),
            ("classes", f"{len(classes)}: {some(classes)}" if classes else "no labels"),
            ("split", self.split or "none"),
            ("unreadable images", f"{self.failed:,} of {self.found:,}" + (": see failures" if self.failed else "")),
        ]
        return notebook.html_table(str(self.path), rows)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Paths of the images, relative to `root`; bytes that aren't UTF-8 are surrogate escapes (`os.fsencode`)."""
        return decode(self._columns, "paths")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted; a label is an index into them."""
        return decode(self._columns, "classes")

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        """Group of each image; None if the manifest has none."""
        return decode(self._columns, "groups") if "groups" in self._columns else None

    @property
    def tuned_on(self) -> NDArray[np.uint8]:
        """Digests (t, 32) of the images that the backbone's weights were tuned on; t is 0 where they weren't.

        Of these images the backbone has seen the labels: cross-validation on them says nothing.
        """
        return self._columns.get("tuned_on", np.empty((0, 32), np.uint8))

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """Images that have no row, in the order of the manifest."""
        columns = {name.removeprefix("failures/"): value for name, value in self._columns.items() if "/" in name}
        return tuple(
            Failure(
                path=path,
                reason=cast("Reason", reason),
                message=message,
                digest=bytes(digest).hex() if digest.any() else None,
                size=size,
                mtime_ns=mtime_ns,
            )
            for path, reason, message, digest, size, mtime_ns in zip(
                decode(columns, "paths"),
                decode(columns, "reasons"),
                decode(columns, "messages"),
                columns["digests"],
                columns["sizes"].tolist(),
                columns["mtimes_ns"].tolist(),
                strict=True,
            )
        )

    @property
    def class_counts(self) -> dict[str, int]:
        """Number of images of each class, in the order of the labels; images without a label aren't counted."""
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    @property
    def maps(self) -> NDArray[np.float32]:
        """Features in their own shape, ``(n, *feature_shape)``: mapped as `features` are, and not copied.

        A layer with height and width that was extracted with ``pooling="none"`` gives ``(n, height, width, channels)``.
        """
        return self.features.reshape(len(self), *self.feature_shape)

    def pixels(
        self,
        size: int | tuple[int, int] | None = None,
        *,
        colours: Colours | None = None,
        max_pixels: int | None = None,
    ) -> NDArray[np.uint8]:
        """Decode the images again, as they were decoded for the backbone.

        Parameters
        ----------
        size : int or (int, int), optional
            Side, or height and width, in pixels; by default the size that the backbone saw.
        colours : {"rgb", "grey"}, optional
            The images' own colours, or grey; by default what the backbone saw.
        max_pixels : int, optional
            As in `featx.extract`.

        Returns
        -------
        (n, height, width, 3) uint8
            RGB, image i in row i, by the rules of `spec`. All of them lie in memory at once.

        Raises
        ------
        StoreError
            An image is gone, can't be read or has changed since its features were computed.
        UsageError
            A size that can't be.
        """
        from featx.store.images import read_pixels, sides

        rules = self.spec.pixels if size is None else replace(self.spec.pixels, image_size=sides(size))
        rules = rules if colours is None else replace(rules, colours=colours)
        return read_pixels(self.folder, self.paths, self.digests, rules, max_pixels=max_pixels)

    def to_pandas(self) -> "pd.DataFrame":
        """Make a pandas table: path, label (a categorical, missing where there is none), split, group, features.

        Split and group are there where the store has them. The features are float32 columns ``feature_0``, ..., which
        from pandas 3 on stay mapped from the file; ``frame.filter(regex="^feature_").to_numpy()`` is the matrix (n, d).

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        pd = notebook.pandas()
        columns = {
            "path": notebook.text_column(self.paths),
            "label": pd.Categorical.from_codes(self.labels, categories=pd.Index(self.classes, dtype=object)),
        }
        if self.split is not None:
            columns["split"] = pd.Categorical.from_codes(np.zeros(len(self), np.int8), categories=[self.split])
        if self.groups is not None:
            columns["group"] = notebook.text_column(self.groups)
        names = [f"feature_{i}" for i in range(self.features.shape[1])]
        features = pd.DataFrame(self.features, columns=names, copy=False)
        return pd.concat([pd.DataFrame(columns), features], axis=1)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the spec, 64 hexadecimal digits."""
        return self._text("fingerprint")

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one feature before it was flattened."""
        return tuple(self._attributes["feature_shape"].tolist())

    @property
    def weights_source(self) -> str:
        """Origin of the weights: a word such as ``imagenet``, or a file's path."""
        return self._text("weights_source")

    @property
    def runtime(self) -> str:
        """Runtime that executed the backbone."""
        return self._text("runtime")

    @property
    def precision(self) -> str:
        """Precision of the arithmetic that was executed."""
        return self._text("precision")

    @property
    def name(self) -> str:
        """Name of the manifest."""
        return self._text("name")

    @property
    def split(self) -> str | None:
        """Split of the images: ``"train"``, ``"val"``, ``"test"`` or a name of the user's; None if unknown."""
        return self._text("split") if "split" in self._attributes else None

    @property
    def source(self) -> str:
        """Folder or CSV that was asked for."""
        return self._text("source")

    @property
    def root(self) -> str:
        """Folder that the paths are relative to, as it was called when the store was made."""
        return self._text("root")

    @cached_property
    def folder(self) -> Path:
        """Folder that the images are in now: `root`, or where it was moved to together with the store.

        It is taken for moved where none of the first images is below `root`, and one is below a folder of the same
        name near the store.
        """
        root, first = Path(self.root), [failure.path for failure in self.failures[:1]] + [*self.paths[:LOOKED_FOR]]
        for folder in (root, *moved(root, near=self.path)):
            if any(os.path.lexists(folder / path) for path in first):
                return folder
        return root

    @property
    def featx_version(self) -> str:
        """Version of featx that planned the store."""
        return self._text("featx_version")

    @property
    def created(self) -> str:
        """Time at which the store was sealed: UTC, ISO 8601."""
        return self._text("created")

    @property
    def seconds(self) -> float:
        """Duration of the run that sealed the store, from plan to seal."""
        return float(self._attributes["seconds"])

    @property
    def found(self) -> int:
        """Number of images of the manifest: `extracted` + `reused` + `failed`."""
        return int(self._attributes["found"])

    @property
    def extracted(self) -> int:
        """Number of rows that were computed for this store."""
        return int(self._attributes["extracted"])

    @property
    def reused(self) -> int:
        """Number of rows that were copied from an older store."""
        return int(self._attributes["reused"])

    @property
    def failed(self) -> int:
        """Number of images without a row."""
        return int(self._attributes["failed"])

    @property
    def content_digest(self) -> str:
        """SHA-256 over everything in the store, the features through their checksums; 64 hexadecimal digits."""
        return self._text("content_digest")

    def _text(self, name: str) -> str:
        return decode_attribute(self._attributes, name)


def open_store(path: Path | str, *, root: Path | str | None = None) -> FeatureStore:
    """Open a sealed feature store for reading.

    All but the features is read and held against the content digest; the features are mapped. The file isn't kept
    open or locked, and may lie on read-only media; a new store that replaces it doesn't disturb the one opened.

    Parameters
    ----------
    path : Path or str
        The file.
    root : Path or str, optional
        Where the folder of its images is now (`FeatureStore.folder`), if it was moved elsewhere than the store.

    Returns
    -------
    FeatureStore

    Raises
    ------
    StoreError
        It can't be read, is no feature store, or an unfinished, truncated or altered one.
    """
    given, path = Path(path), Path(path).absolute()
    try:
        with open_regular(path) as file:
            layout = scan(file)
            if not layout.text("content_digest"):
                done = np.count_nonzero(layout.read(file.fileno(), "status"))
                raise StoreError(
                    f"{path} is unfinished ({done} of {counted(layout.places['status'].shape[0], 'row')} done); run "
                    "the same extraction again to complete it"
                )
            columns = layout.read_all(file)
        if broken := disagreements(layout, columns):
            raise LayoutError(f"was changed after it was written (the checksum of {', '.join(broken)} is wrong)")
        store = FeatureStore(path, layout, columns)
        if root is not None:
            store.folder = Path(root).absolute()
        return store
    except LayoutError as error:
        raise StoreError(f"{path} {error}; {_ADVICE}") from error
    except OSError as error:
        advice = meant(given) or f"; {_ADVICE}"
        raise StoreError(f"{path} can't be opened as a feature store: {reason(error)}{advice}") from error
