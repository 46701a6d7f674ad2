"""The job of a run, its options and its result; nothing here changes a feature's value."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from featx import notebook
from featx.errors import REASONS, Reason, UsageError
from featx.machine import available_cores
from featx.manifest import Failure, TableOptions
from featx.words import NAMED, counted, some

if TYPE_CHECKING:
    from featx.spec import ExtractionSpec, ViewsSpec
    from featx.store import FeatureStore


Check = Literal["mtime", "content"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of computing features that don't change their values.

    Parameters
    ----------
    runtime : {"auto", "keras", "openvino"}
        What executes the backbone; auto is Keras where it can use a GPU, else OpenVINO.
    device : str
        ``"auto"``, ``"cpu"``, ``"gpu"`` or ``"gpu:1"``.
    batch_size : int or None
        Images that the backbone takes at once; None is as many as suit what executes it.
    workers : int or None
        Decoder processes; None is one for each core, at most eight.
    max_pixels : int or None
        Images whose header announces more are failures; None is the decoder's own limit.
    timeout : float
        Seconds that one image may take to read and decode.
    """

    runtime: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    max_pixels: int | None = None
    timeout: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        for name, value in (
            ("batch_size", self.batch_size),
            ("workers", self.workers),
            ("max_pixels", self.max_pixels),
            ("timeout", self.timeout),
        ):
            if value is not None and value <= 0:
                raise UsageError(f"`{name}` must be 1 or more, and is {value}")

    @property
    def decoders(self) -> int:
        """Number of decoder processes."""
        return self.workers if self.workers is not None else min(available_cores(), 8)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The images to extract and the place for their features.

    Parameters
    ----------
    source : Path
        Folder or CSV.
    path_column, label_column : str or None
        Columns of a CSV that hold the paths and the labels; None looks for those of the usual names.
    root : Path or None
        Folder that the paths of a CSV are relative to; None is that of the CSV.
    split : str or None
        Only this one; None is every split that the source has.
    limit : int or None
        Only so many images of each split, drawn evenly from the classes.
    seed : int
        Of that draw, and of the views.
    views : int or None
        Augmented views of each image whose features are kept too; None is what the store there has, else none.
    flip : bool
        Half of the views are mirrored.
    out : Path or None
        File or folder of the stores; None is their default place.
    overwrite : bool
        Replace what is there, whatever it is, and take no row from it.
    for_scoring : bool
        The stores are made to score models on: of several splits the one named test is taken, where `split` names
        none; a source without splits is a test set; and where a store of another spec or folder has the default name,
        another name is taken.
    check : {"mtime", "content"}
        How an image is known to be unchanged: by its path, size and modification time, or by reading and digesting it.
    retry_failed : bool
        Try images again that failed before, also where their files are unchanged.
    failures : Path or None
        CSV to be written of the images that have no row: path, reason, message.
    safe_csv : bool
        Write paths and messages in that CSV so that no spreadsheet takes one for a formula.
    one_split : bool
        Refuse a source of several splits.
    strict : bool
        No image may fail.
    max_errors : str or None
        A number (``"10"``) or a share (``"0.5%"``) of the images found that may fail; None is any.
    dry_run : bool
        Only say what would be done.
    """

    source: Path
    path_column: str | None = None
    label_column: str | None = None
    root: Path | None = None
    split: str | None = None
    limit: int | None = None
    seed: int = 0
    views: int | None = None
    flip: bool = True
    out: Path | None = None
    overwrite: bool = False
    for_scoring: bool = False
    one_split: bool = False
    check: Check = "mtime"
    retry_failed: bool = False
    failures: Path | None = None
    safe_csv: bool = False
    strict: bool = False
    max_errors: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        if self.limit is not None and self.limit <= 0:
            raise UsageError(f"`limit` must be 1 or more, and is {self.limit}")
        if self.check not in get_args(Check):
            raise UsageError(f"`check` must be one of {', '.join(get_args(Check))}, and is {self.check!r}")
        self.failures_allowed(0)
        if not self.flip and not self.views:
            raise UsageError("`flip=False` works only with views: give their number with `views`")
        if self.views:
            _ = self.views_spec

    @property
    def views_spec(self) -> "ViewsSpec | None":
        """Spec of the views that are asked for; None where none are."""
        from featx.spec import ViewsSpec

        return ViewsSpec(count=self.views, seed=self.seed, flip=self.flip) if self.views else None

    @property
    def table(self) -> TableOptions:
        """The way to read the source where it is a CSV."""
        return TableOptions(path_column=self.path_column, label_column=self.label_column, root=self.root)

    @property
    def drawn(self) -> str:
        """Part of a store's name that says which draw of the source it holds; empty for the whole source."""
        seed = f"-seed{self.seed}" if self.seed else ""
        return "" if self.limit is None else f"-limit{self.limit}{seed}"

    def retried(self, options: RunOptions) -> tuple[Reason, ...]:
        """Return the reasons of earlier failures that are tried again although the file is the same.

        A limit of pixels is no property of the file: where one is given, what was too large is tried again.
        """
        return REASONS if self.retry_failed else ("too-large",) if options.max_pixels is not None else ()

    def failures_allowed(self, found: int) -> float:
        """Return the number of failures among `found` images up to which a finished run counts as successful."""
        if self.strict:
            return 0
        if self.max_errors is None:
            return float("inf")
        number, share = self.max_errors.removesuffix("%"), self.max_errors.endswith("%")
        try:
            allowed = float(number) if share else int(number)
        except ValueError:
            allowed = -1
        if allowed < 0 or (share and allowed > 100):
            raise UsageError(f"`max_errors` must be a number or a percentage such as 1%, and is {self.max_errors!r}")
        return found * allowed / 100 if share else allowed


@dataclass(frozen=True, kw_only=True, repr=False)
class Extraction:
    """The result of one run of `extract`, or the plan of a dry run, for one feature store.

    Parameters
    ----------
    target : Path
        The feature store.
    spec : ExtractionSpec
        Of its features.
    feature_shape : tuple of int
        Of one feature before it was flattened.
    found, extracted, reused, failed : int
        Images: listed, computed by this run, taken over from earlier work, without a row. In a dry run `extracted`
        counts those that would be computed.
    classes : dict of str to int
        Images listed of each class; the others of those found have no label.
    seconds : float
        Wall time of this run.
    timings : dict of str to float
        Seconds: ``start`` until the backbone was ready; then ``wait`` for decoded images, ``backbone``, ``write``; and
        ``read`` and ``decode``, which the decoder processes spent beside them, summed.
    failures : tuple of Failure
        The images without a row.
    untrained : bool
        The backbone's weights are random.
    fallback : str or None
        Why a slower runtime than usual executed the backbone, and what that costs.
    store : FeatureStore or None
        None in a dry run.
    lent : dict of Path to int
        Rows taken over from other stores, and from one that was moved here, by store.
    views : int
        Augmented views of each image that the store holds too.
    views_computed : int
        Images whose views were computed by this run; in a dry run, would be.
    """

    target: Path
    spec: "ExtractionSpec"
    feature_shape: tuple[int, ...]
    found: int
    extracted: int
    reused: int
    failed: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    untrained: bool = False
    fallback: str | None = None
    store: "FeatureStore | None" = None
    lent: dict[Path, int] = field(default_factory=dict)
    views: int = 0
    views_computed: int = 0

    def __repr__(self) -> str:
        return f"<Extraction of {self.target.name}: {self._counts}>"

    def _repr_html_(self) -> str:
        classes = [f"{name} ({count:,})" for name, count in self.classes.items()]
        rows = [
            ("images", self._counts),
            ("backbone", self.spec.backbone),
            ("classes", f"{len(classes)}: {some(classes)}" if classes else "no labels"),
        ]
        notes = [f"{one.path}: {one.message}" for one in self.failures[:NAMED]]
        return notebook.html_table(str(self.target), rows, notes=notes)

    @property
    def _counts(self) -> str:
        parts = (f"{self.extracted:,} new", f"{self.reused:,} reused", f"{self.failed:,} unreadable")
        views = f"; {self.views} views each, new for {counted(self.views_computed, 'image')}" if self.views else ""
        return f"{counted(self.found, 'image')}: {', '.join(parts)}{views}"

    @property
    def speed(self) -> float | None:
        """Images computed per second, after the backbone was ready; None if none was computed."""
        loop = self.seconds - self.timings.get("start", 0.0)
        return self.extracted / loop if self.extracted and loop > 0 else None

    @property
    def bottleneck(self) -> str | None:
        """Slower part of the run, ``"decode"`` or ``"backbone"``; None if they are about equally fast."""
        wait, backbone = self.timings.get("wait", 0.0), self.timings.get("backbone", 0.0)
        if not self.extracted or max(wait, backbone) < 0.6 * (wait + backbone):
            return None
        return "decode" if wait > backbone else "backbone"
