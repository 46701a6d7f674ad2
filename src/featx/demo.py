"""The sample run: real images that come with scikit-learn, as folders, and the verbs on them."""

import hashlib
import importlib.metadata
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from featx.backbones import Request
from featx.batches import DecodeOptions, Decoders
from featx.cache import remember, remembered
from featx.errors import SourceError, WeightsError
from featx.model import Model
from featx.pipeline.filling.job import Job, RunOptions
from featx.pipeline.filling.loop import extract_with, listed
from featx.pipeline.filling.runner import BackboneRunner
from featx.pipeline.fitting import fit_all
from featx.pipeline.naming import model_path, report_path
from featx.pipeline.scoring import score_all
from featx.progress import SILENT, Progress, Step
from featx.reports import Report
from featx.spec import PixelRules

_SPLITS = ("train", "test")
_TEST_SHARE = 0.2
# The data's 8 x 8 pixels are a dot in a file manager. Bicubic to 32 can be read, and MobileNetV2 0.35 at 96 x 96 does
# as well on it (0.919 against 0.926, five folds of 900 images); 64 costs two points.
_SIZE = 32
_SOURCE = "scikit-learn load_digits; E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI 1998"


EACH = (60, 30)
"""Images of each digit in train and in test: half of the data. The whole takes twice as long and shows the same."""

CLASSIFIERS = ("logreg", "svm")

# 92 % on the test images, and 88 % at 64 pixels.
BACKBONE = Request(backbone="efficientnet-lite0", image_size=96)
# Averaged over the image it has 0.967 on all digits (five folds, logistic regression), and 0.99 where it keeps its
# 2 x 2 cells: a fit then takes six times as long, and hardly a mistake is left to be looked at.
WITHOUT_WEIGHTS = Request(backbone="scattering", image_size=32)


def run(*, progress: Progress = SILENT) -> list[Report]:
    """Write the sample images to ``data`` in the working folder, then extract, fit and score.

    Repeated, it takes the features, models and reports of the last run, where nothing has changed since.

    Parameters
    ----------
    progress : Progress
        Observer; its `step` gets the command that does the same, before each verb.

    Returns
    -------
    list of Report
        The models' scores on the test images.

    Raises
    ------
    SourceError
        ``data`` holds other images, which are left as they are.
    """
    train, test = write_digits(Path("data"), each=EACH)
    digits = f"{train:,} handwritten digits are in data/train, {test:,} in data/test, with a folder for each class"
    progress.step(Step(text=digits))
    resolved = choose_backbone(progress)
    spec = resolved.spec
    options = f"`backbone={spec.backbone}` `image_size={spec.image_size[0]}`"
    progress.step(Step(text=f"$ featx extract data/train {options}"))
    fitted_on, content = _extracted(Path("data/train"), resolved, progress)
    models: list[Path] = []
    for clf in CLASSIFIERS:
        progress.step(Step(text=f"$ featx fit `clf={clf}`"))
        models.append(_fitted(fitted_on, content, clf, progress))
    progress.step(Step(text="$ featx score"))
    scored_on, test_content = _extracted(Path("data/test"), resolved, progress)
    return _scored(models, scored_on, test_content, progress)


def choose_backbone(progress: Progress) -> BackboneRunner:
    """Choose the backbone of the sample run: a small one with ImageNet weights or, where they aren't, scattering."""
    try:
        return BackboneRunner.resolve(BACKBONE, RunOptions())
    except WeightsError as error:
        instead = f"ImageNet weights are not available here, so scattering is used, which needs no weights: {error}"
        progress.step(Step(text=instead))
        return BackboneRunner.resolve(WITHOUT_WEIGHTS, RunOptions())


def _extracted(source: Path, runner: BackboneRunner, progress: Progress) -> tuple[Path, str]:
    """Extract a folder; give its store and the digest of what is in it."""
    job = Job(source=source, for_scoring=True)
    (extraction,) = extract_with(job, [runner], listed(job), progress=progress)
    assert extraction.store is not None
    return extraction.target, extraction.store.content_digest


def _fitted(store: Path, content: str, clf: str, progress: Progress) -> Path:
    """Fit a classifier on a store, or take the model that the last run fitted on it."""
    path = model_path(store, clf=clf, kernel="linear", out=None)
    key = _key("fit", clf, content)
    if path in _unchanged(key):
        progress.step(Step(text=f"nothing to do: {path} is already fitted on these features"))
        progress.end(path, Model.load(path))
        return path
    (made,) = fit_all([store], clf=clf, progress=progress)
    _note(key, [made])
    return made


def _scored(models: Sequence[Path], store: Path, content: str, progress: Progress) -> list[Report]:
    """Score models on a store, or take the reports that the last run made of them."""
    key = _key("score", content, *_digests(models).values())
    if kept := _unchanged(key):
        progress.step(Step(text="nothing to do: these models are already scored on these images"))
        return [Report.load(path) for path in kept if path.suffix == ".json"]
    found = score_all(models, store, progress=progress)
    files = [report_path(report.model, report.test_set) for report in found]
    _note(key, [file.with_suffix(suffix) for file in files for suffix in (".json", ".html", ".csv", ".png")])
    return found


def _key(*parts: str) -> tuple[str, ...]:
    """Make a key of all that a file is made from: the folder, the programs and the parts given."""
    programs = hashlib.sha256()
    package = Path(__file__).parent
    for path in sorted(package.rglob("*")):
        # The version alone would keep the pages of yesterday's program in a checkout.
        if path.is_file() and path.suffix != ".pyc":
            status = path.stat()
            programs.update(f"{path.relative_to(package)} {status.st_size} {status.st_mtime_ns}\n".encode())
    for name in ("numpy", "scikit-learn", "matplotlib"):
        programs.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    return ("demo", str(Path.cwd()), programs.hexdigest(), *parts)


def _unchanged(key: Sequence[str]) -> list[Path]:
    """List the files that the last run made from the same things; none if they have changed since."""
    known = remembered(key) or {}
    files = [Path(name) for name in known]
    return files if all(path.is_file() for path in files) and _digests(files) == known else []


def _note(key: Sequence[str], files: Sequence[Path]) -> None:
    remember(key, _digests(files))


def _digests(files: Sequence[Path]) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_digits(folder: Path, *, seed: int = 0, each: tuple[int, int] | None = None) -> tuple[int, int]:
    """Write scikit-learn's 1,797 handwritten digits, or a part of them, as PNG files, one folder per digit.

    They lie under ``folder/train/<digit>/`` and ``folder/test/<digit>/``, 32 x 32 pixels, 8-bit grey, about a fifth of
    each digit in ``test``. Each of the two appears as a whole: an interrupted call can be repeated, and a repeated one
    changes nothing.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    seed : int
        Of the choice between train and test.
    each : (int, int), optional
        Images of each digit in train and in test, the first of those that lie there without it; all by default.

    Returns
    -------
    (int, int)
        Images in train and in test.

    Raises
    ------
    SourceError
        One of the two folders holds something else than exactly these images (hidden files aside), which is left as it
        is; or the folder can't be written to.

    Notes
    -----
    The digits are of few writers, who are in both parts: a score on the test part says nothing about new writers.
    """
    folder = Path(folder)
    digits = _digits(seed, each)
    try:
        missing = [split for split in _SPLITS if not _holds(folder / split, digits[split])]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".digits-", dir=folder) as staging:
                for split in missing:
                    _write(Path(staging, split), digits[split])
                for split in missing:
                    # Replaces an empty folder, and nothing else.
                    Path(staging, split).rename(folder / split)
    except OSError as error:
        raise SourceError(
            f"can't write the sample images to {folder}: {error.strerror}; work in a folder where you may write"
        ) from error
    return len(digits["train"]), len(digits["test"])


def _digits(seed: int, each: tuple[int, int] | None) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Load the digits: pixels (8, 8) by split and path within it."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.round(data.images * (255 / 16)).astype(np.uint8)
    rng = np.random.default_rng(seed)
    in_train, in_test = each or (None, None)
    rows: dict[str, list[int]] = {split: [] for split in _SPLITS}
    for digit in range(10):
        order = rng.permutation(np.flatnonzero(data.target == digit))
        cut = round(_TEST_SHARE * len(order))
        rows["test"].extend(order[:cut][:in_test])
        rows["train"].extend(order[cut:][:in_train])
    return {
        split: {f"{data.target[row]}/digit-{row:04d}.png": pixels[row] for row in sorted(rows[split])}
        for split in _SPLITS
    }


def _upscaled(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC)


def _write(folder: Path, digits: dict[str, NDArray[np.uint8]]) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Source", _SOURCE)
    for name, pixels in digits.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _upscaled(pixels).save(path, format="PNG", pnginfo=text)


def _holds(folder: Path, digits: dict[str, NDArray[np.uint8]]) -> bool:
    """Tell whether a folder holds these images; False if it is missing or empty, an error if it holds others."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found = set(_visible(folder))
    strange = sorted(found - digits.keys())
    # Pixels and not bytes: another release of the PNG encoder compresses the same image differently.
    strange = strange or _others(folder, sorted(found), digits)
    if not strange and found == digits.keys():
        return True
    held = f"{strange[0]!r}" if strange else f"only {len(found):,} of {len(digits):,} of them"
    raise SourceError(
        f"can't write the sample images to {folder}: it contains {held}, and nothing is overwritten; move it away, or "
        "work in another folder"
    )


def _visible(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = [name for name in files if not name.startswith(".")]
        if not names and not folders and Path(parent) != folder:
            names = [""]  # an empty folder would be an empty class: as foreign as a file
        yield from (Path(parent, name).relative_to(folder).as_posix() for name in names)


def _others(folder: Path, names: list[str], digits: dict[str, NDArray[np.uint8]]) -> list[str]:
    """Decode images, and give the names of those that are not these digits."""
    run, same = RunOptions(), set()
    options = DecodeOptions(workers=run.decoders, batch_size=64, timeout_s=run.timeout)
    with Decoders(PixelRules(image_size=(_SIZE, _SIZE)), options) as processes:
        for batch in processes.batches(folder, enumerate(names)):
            for slot, image in zip(batch.decoded.slots.tolist(), batch.images, strict=True):
                if np.array_equal(image, np.asarray(_upscaled(digits[names[slot]]).convert("RGB"))):
                    same.add(names[slot])
    return [name for name in names if name not in same]
