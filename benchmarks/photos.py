"""Folders of images to measure with: real photos where FEATX_MATERIAL names some, else made ones."""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png"}
MADE = 64


class Photos:
    """Images that any number of names can be given to.

    Parameters
    ----------
    folder : Path
        Place for them, on the file system of the folders that `fill` makes.
    sets : sequence of str
        Folders of images in the material; the later ones are used where the earlier ones don't suffice.
    made : bool
        Make images even where there are photos.

    Attributes
    ----------
    kind : str
        What they are, in words.
    """

    def __init__(self, folder: Path, sets: list[str], *, made: bool = False) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        material = os.environ.get("FEATX_MATERIAL")
        self._files: list[tuple[str, Path]] = []
        if material and not made:
            for name in sets:
                found = sorted(Path(material, "images", name).rglob("*"))
                files = [file for file in found if file.suffix.lower() in SUFFIXES]
                np.random.default_rng(0).shuffle(files)
                self._files += [(name, file) for file in files]
        if not self._files:
            self._files = [("made JPEGs of 500 x 375", self._make(number)) for number in range(MADE)]

    def fill(self, folder: Path, count: int) -> str:
        """Give `count` images names in a folder, and say in words what they are."""
        folder.mkdir(parents=True)
        chosen = self._files[:count]
        places = np.random.default_rng(1).permutation(count)  # or the sets would follow one another
        originals = []
        for number, place in enumerate(places.tolist()):
            file = chosen[number % len(chosen)][1]
            target = folder / f"{place:06}{file.suffix.lower()}"
            if number < len(chosen):
                originals.append(Path(shutil.copyfile(file, target)))
            else:
                os.link(originals[number % len(chosen)], target)
        return self._words([name for name, _ in chosen], originals, count)

    def _words(self, names: list[str], files: list[Path], count: int) -> str:
        sizes = []
        for file in files:
            with Image.open(file) as image:
                sizes.append(image.size)
        median = " x ".join(f"{side:.0f}" for side in np.median(sizes, axis=0))
        parts = ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
        kilobytes = sum(file.stat().st_size for file in files) / len(files) / 1e3
        linked = "" if count == len(files) else f", each under {count / len(files):.3g} names (hard links)"
        return f"{count} images: {parts}{linked}; median {median} pixels, mean {kilobytes:.0f} KB"

    def _make(self, number: int) -> Path:
        """Blotches of colour under a little noise: files about as large as a photo's."""
        file = self._folder / f"made-{number}.jpg"
        generator = np.random.default_rng(number)
        blotches = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        smooth = np.asarray(blotches.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(smooth + generator.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(file, quality=88)
        return file


def tiny(folder: Path, count: int) -> str:
    """Fill a folder with small PNG files, a hundred different ones."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(2)
    for number in range(count):
        file = folder / f"{number:06}.png"
        if number < 100:
            Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
        else:
            os.link(folder / f"{number % 100:06}.png", file)
    return f"{count} PNG files of 16 x 16 pixels"
