"""The ways from image files to features that `throughput.py` compares, each run in a fresh process of its own.

    python benchmarks/contenders.py NAME CONFIG

CONFIG is JSON, the fields of `Config`; the last line of stdout is JSON as well. Nothing is imported before it is
needed, and nothing of featx but by its own rows, so that this file runs in any environment.

The loop is timed alike for all: the clock starts when the first batch (the first image, one at a time) is done, and
counts the images after it. So imports, weights, compilation and warm-up are in the whole process and not in the loop.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What to run on which files.

    Parameters
    ----------
    folder : str
        Of images; the first `images` by name are taken by all but featx, which takes the folder as it is.
    images : int
        Number of images.
    backbone, constructor, arguments, preprocessing, timm, side
        Names of the same network in featx, in Keras, in timm, and its image side.
    weights : str or None
        File of weights; None is untrained.
    precision, runtime, batch_size, workers
        As in `featx.extract`.
    batch : int
        Images per batch of the others than featx.
    seconds : float
        How long the backbone alone is run for at least, after its warm-up.
    cores : int
        Processes of a PyTorch DataLoader.
    out : str
        Place for a feature store, or for the features as .npy.
    """

    folder: str
    images: int
    backbone: str
    constructor: str
    arguments: dict[str, Any]
    preprocessing: str
    timm: str | None
    side: int
    weights: str | None
    precision: Any = "float32"
    runtime: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    batch: int = 32
    seconds: float = 4.0
    cores: int
    out: str

    @property
    def files(self) -> list[str]:
        """Paths of the images, sorted."""
        return [str(path) for path in sorted(Path(self.folder).iterdir())[: self.images]]

    @property
    def featx_options(self) -> dict[str, Any]:
        """Arguments for featx's own options that aren't left to it."""
        chosen = {"runtime": self.runtime, "batch_size": self.batch_size, "workers": self.workers}
        return {name: value for name, value in chosen.items() if value is not None}


Result = dict[str, Any]


class Clock:
    """Times a loop from the end of its first step: on the clock, and the CPU time of this process and its children."""

    def __init__(self) -> None:
        self.skipped = 0
        self.start = 0.0
        self.cpu = 0.0

    def step(self, images: int) -> None:
        """Note that so many images are done."""
        if not self.start:
            self.skipped = images
            self.cpu = cpu_seconds()
            self.start = time.perf_counter()

    def result(self, images: int, **more: Any) -> Result:
        """Give the loop's figures, now that all images are done."""
        seconds = time.perf_counter() - self.start
        loop = {"loop_images": images - self.skipped, "loop_seconds": seconds, "loop_cpu": cpu_seconds() - self.cpu}
        return {"images": images, **loop, **more}


def cpu_seconds() -> float:
    """CPU time of this process, of its children that have ended, and (on Linux) of those that still run."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent) + _children_cpu(os.getpid()) / os.sysconf("SC_CLK_TCK")


def _children_cpu(pid: int) -> int:
    ticks = 0
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has just ended
            for child in file.read_text(encoding="ascii").split():
                fields = Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15])) + _children_cpu(int(child))
    return ticks


def featx_extract(config: Config) -> Result:
    """From the folder to a sealed feature store, by ``featx.extract``."""
    import featx
    from featx.progress import Silent

    clock = Clock()

    class Watch(Silent):
        seen: Any = None

        def advance(self, _task: Path, *, done: int, failed: int) -> None:
            clock.step(done + failed)

        def end(self, _task: Path, result: Any) -> None:
            self.seen = result

    watch = Watch()
    Path(config.out).unlink(missing_ok=True)  # its rows would be taken
    store = featx.extract(
        config.folder,
        backbone=config.backbone,
        weights=config.weights or "none",
        precision=config.precision,
        out=config.out,
        progress=watch,
        **config.featx_options,
    )
    if watch.seen.extracted != config.images:
        raise SystemExit(f"{watch.seen.extracted} images were computed, not {config.images}")
    return clock.result(
        len(store),
        stages=watch.seen.timings,
        seconds=watch.seen.seconds,
        width=store.features.shape[1],
        heavy=sorted({"tensorflow", "keras", "sklearn", "matplotlib"} & sys.modules.keys()),
    )


def _runner(config: Config) -> Any:
    from featx.backbones import Request
    from featx.pipeline.filling.job import RunOptions
    from featx.pipeline.filling.runner import BackboneRunner

    request = Request(backbone=config.backbone, weights=config.weights or "none", precision=config.precision)
    return BackboneRunner.resolve(request, RunOptions(**config.featx_options))


def _decoded(config: Config, runner: Any) -> Iterator[Any]:
    from featx.pipeline.filling.runner import decoders

    names = sorted(path.name for path in Path(config.folder).iterdir())[: config.images]
    with decoders(runner) as processes:
        for batch in processes.batches(Path(config.folder), enumerate(names)):
            yield batch.images


def decoder_alone(config: Config) -> Result:
    """featx's decoder processes without a backbone."""
    clock = Clock()
    for images in _decoded(config, _runner(config)):
        clock.step(len(images))
    return clock.result(config.images)


def backbone_alone(config: Config) -> Result:
    """The backbone on featx's runtime; decoded batches ready in memory."""
    few = dataclasses.replace(config, images=min(config.images, 256))
    runner = _runner(config)
    batches = [images.copy() for images in _decoded(few, runner)]
    run = runner.runtime
    run(batches[0])
    clock = Clock()
    clock.step(0)
    done = 0
    while done < config.images or time.perf_counter() - clock.start < config.seconds:
        for images in batches:
            run(images)
            done += len(images)
    return clock.result(done, runtime=run.name, precision=run.precision)


def _keras_model(config: Config) -> tuple[Any, Callable[[Any], Any]]:
    import keras

    model = getattr(keras.applications, config.constructor.rpartition(".")[2])(
        include_top=False, weights=config.weights, pooling="avg", **config.arguments
    )
    module, _, function = config.preprocessing.rpartition(".")
    return model, getattr(importlib.import_module(module), function)


def tf_data(config: Config) -> Result:
    """tf.data and ``model.predict``, as Keras's guides write it."""
    import keras
    import numpy as np
    import tensorflow as tf

    model, preprocess = _keras_model(config)

    def load(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (config.side, config.side))

    dataset = (
        tf.data.Dataset.from_tensor_slices(config.files)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(config.batch)
        .map(preprocess, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    clock = Clock()
    watch = keras.callbacks.LambdaCallback()
    watch.on_predict_batch_end = lambda _batch, logs: clock.step(len(logs["outputs"]))
    features = model.predict(dataset, verbose=0, callbacks=[watch])
    result = clock.result(len(features), width=features.shape[1])
    np.save(config.out, features)
    return result


def one_at_a_time(config: Config) -> Result:
    """One image at a time through ``model.predict``, as tutorials write it."""
    import keras
    import numpy as np

    model, preprocess = _keras_model(config)
    clock = Clock()
    features = []
    for path in config.files:
        image = keras.utils.load_img(path, target_size=(config.side, config.side))
        pixels = preprocess(np.expand_dims(keras.utils.img_to_array(image), axis=0))
        features.append(model.predict(pixels, verbose=0)[0])
        clock.step(1)
    result = clock.result(len(features), width=len(features[0]))
    np.save(config.out, np.stack(features))
    return result


def timm_loader(config: Config) -> Result:
    """timm on PyTorch with a DataLoader, channels last."""
    # A torchvision built for another PyTorch has operators that don't load; none of them is used here.
    import types

    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    import timm  # type: ignore[import-not-found]
    import torch  # type: ignore[import-not-found]
    from PIL import Image

    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.precision]
    model = timm.create_model(config.timm, pretrained=False, num_classes=0).eval()
    model = model.to(dtype=dtype, memory_format=torch.channels_last)
    transform = timm.data.create_transform(
        input_size=(3, config.side, config.side), interpolation="bilinear", crop_pct=1.0, crop_mode="squash"
    )

    class Files(torch.utils.data.Dataset):  # type: ignore[misc]
        def __init__(self, files: list[str]) -> None:
            self.files = files

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> Any:
            with Image.open(self.files[index]) as image:
                return transform(image.convert("RGB"))

    loader = torch.utils.data.DataLoader(Files(config.files), batch_size=config.batch, num_workers=config.cores)
    clock = Clock()
    parts = []
    with torch.inference_mode():
        for images in loader:
            features = model(images.to(dtype=dtype, memory_format=torch.channels_last))
            parts.append(features.float())
            clock.step(len(features))
    features = torch.cat(parts)
    return clock.result(len(features), width=features.shape[1])


CONTENDERS: dict[str, Callable[[Config], Result]] = {
    "featx": featx_extract,
    "decoder": decoder_alone,
    "backbone": backbone_alone,
    "tf.data": tf_data,
    "one-at-a-time": one_at_a_time,
    "timm": timm_loader,
}


def main() -> None:
    name, config = sys.argv[1:]
    result = CONTENDERS[name](Config(**json.loads(config)))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
