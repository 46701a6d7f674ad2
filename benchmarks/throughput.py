"""How fast is featx, beside the ways that Keras's guides, tutorials and timm have from image files to features?

    python benchmarks/throughput.py --images 1000 --repeats 5 --write docs/benchmarks.md
    python benchmarks/throughput.py --small            # a minute or two: does it all still run?
    python benchmarks/throughput.py --speeds src/featx/backbones/speeds.json   # the speeds that `featx backbones` names

Every run is a fresh process. The contenders take turns, and ratios are taken within a turn, so that a machine that is
slow for a while is slow for all. Real photos and weights are used where FEATX_MATERIAL names a folder of them.
timm is run by the interpreter of an environment that has it: --timm-python PATH.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from contenders import Config
from featx.backbones import find
from featx.backbones.advice import USES
from featx.machine import available_cores
from photos import Photos, tiny
from processes import FailedError, Finished, machine, processor, run, wait_until_quiet
from records import Findings, Record
from results import SECTIONS, page, speeds

HERE = Path(__file__).parent
SETS = ["flowers5_dev", "trashnet_dev", "sign_digits"]
TIMM = {
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv2-0.35": "mobilenetv2_035",
    "resnet50": "resnet50",
    "densenet121": "densenet121",
    "vgg16": "vgg16",
    "efficientnetb0": "tf_efficientnet_b0",
}
"""The same architecture in timm; a backbone that isn't here is not run there."""

WEIGHTS = {
    "mobilenetv2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "mobilenetv2-0.35": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
}
"""In the folder of weights of FEATX_MATERIAL; other backbones run untrained, which is as fast."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A contender and how it is run."""

    contender: str
    precision: str = "float32"
    sections: tuple[str, ...] = ("loop",)
    one_by_one: bool = False


ROWS = {
    "featx f32": Row(contender="featx", sections=("loop", "start", "memory", "many")),
    "featx bf16": Row(contender="featx", precision="bfloat16", sections=("loop", "start", "memory", "many")),
    "decoder alone": Row(contender="decoder"),
    "backbone alone f32": Row(contender="backbone"),
    "backbone alone bf16": Row(contender="backbone", precision="bfloat16"),
    "tf.data": Row(contender="tf.data", sections=("loop", "start", "memory")),
    "one at a time": Row(contender="one-at-a-time", one_by_one=True),
    "timm f32": Row(contender="timm", sections=("loop", "start", "memory")),
    "timm bf16": Row(contender="timm", precision="bfloat16", sections=("loop", "start", "memory")),
}


class Bench:
    """Folders, caches and options of a run of the whole benchmark."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.cores = available_cores()
        self.records: list[Record] = []
        self.skipped: dict[str, str] = {}
        self.kinds: dict[int, str] = {}
        self._folder = folder
        self._photos = Photos(folder / "photos", options.sets, made=options.made)
        self._counter = 0
        self._environment = {"FEATX_CACHE": str(options.cache or folder / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
        material = os.environ.get("FEATX_MATERIAL")
        self._weights = {
            name: str(path)
            for name, file in WEIGHTS.items()
            if material and (path := Path(material, "weights", file)).exists()
        }

    def weights(self, backbone: str) -> str:
        """Which weights a backbone has, in words."""
        if find(backbone).formula:
            return "none"
        return "ImageNet" if backbone in self._weights else "untrained"

    def config(self, name: str, backbone: str, images: int, folder: Path) -> Config:
        """What a contender is told."""
        entry = find(backbone)
        self._counter += 1
        # A folder for each, since featx takes rows that it needs from the stores beside the one that it makes.
        out = (
            self._folder
            / f"run-{self._counter}"
            / ("features.h5" if ROWS[name].contender == "featx" else "features.npy")
        )
        out.parent.mkdir()
        return Config(
            folder=str(folder),
            images=images,
            backbone=entry.name,
            constructor=str(entry.constructor),
            arguments=dict(entry.arguments),
            preprocessing=entry.preprocessing,
            timm=TIMM.get(entry.name),
            side=entry.image_size[0],
            weights=self._weights.get(entry.name),
            precision=ROWS[name].precision,
            runtime=self.options.runtime,
            batch_size=self.options.batch_size,
            workers=self.options.workers,
            batch=8 if self.options.small else 32,
            seconds=0.0 if self.options.small else 4.0,
            cores=self.cores,
            out=str(out),
        )

    def folder(self, images: int) -> Path:
        """Give the folder of so many images."""
        folder = self._folder / f"images-{images}"
        if images not in self.kinds:
            self.kinds[images] = self._photos.fill(folder, images)
        return folder

    def measure(self, section: str, turn: int, backbone: str, name: str, images: int) -> Record | None:
        """Run one contender once; one that can't run here is left out from then on, with its reason."""
        row, key = ROWS[name], f"{name}, {backbone}"
        if key in self.skipped:
            return None
        config = self.config(name, backbone, images, self.folder(images))
        python = self.options.timm_python if row.contender == "timm" else sys.executable
        try:
            if row.contender == "timm" and (python is None or config.timm is None):
                raise FailedError(
                    "no --timm-python was given" if python is None else "no such network is named in TIMM"
                )
            command = [python, str(HERE / "contenders.py"), row.contender, json.dumps(dataclasses.asdict(config))]
            wait_until_quiet(self.options.patience)
            done = run(command, environment=self._environment, watch_memory=section in ("memory", "many"))
        except (OSError, FailedError) as error:
            self.skipped[key] = str(error)
            print(f"left out: {key}: {error}", flush=True)
            return None
        finally:
            if not self.options.keep:
                Path(config.out).unlink(missing_ok=True)
        return self._record(section, turn, backbone, name, done, done.result)

    def extract_again(self, backbone: str, images: int, repeats: int) -> None:
        """Time ``featx extract`` on a folder in which nothing has changed, beside an interpreter that does nothing."""
        folder = self._folder / "unchanged"
        self.kinds[-1] = tiny(folder, images)
        weights = self._weights.get(backbone, "none")
        command = [sys.executable, "-c", "from featx.cli import main; main()", "extract", str(folder)]
        command += ["--backbone", backbone, "--weights", weights, "--out", str(self._folder / "unchanged.h5")]
        run(command, environment=self._environment)
        for turn in range(repeats):
            for name, what in (("featx extract", command), ("interpreter alone", [sys.executable, "-c", "pass"])):
                done = run(what, environment=self._environment)
                self._record("unchanged", turn, backbone, name, done, {"images": images})

    def _record(
        self, section: str, turn: int, backbone: str, name: str, done: Finished, result: dict[str, Any]
    ) -> Record:
        record = Record(
            section=section,
            turn=turn,
            backbone=backbone,
            row=name,
            images=result["images"],
            rate=result["loop_images"] / result["loop_seconds"] if result.get("loop_images") else None,
            wall=done.wall,
            cpu=done.cpu,
            others=done.others,
            memory=done.memory,
            more={
                key: result[key]
                for key in ("loop_cpu", "loop_images", "stages", "seconds", "heavy", "runtime")
                if key in result
            },
        )
        self.records.append(record)
        rate = "" if record.rate is None else f"{record.rate:8.1f} images/s in the loop"
        memory = "" if record.memory is None else f"{record.memory:8.0f} MB"
        print(
            f"{section:9} {turn} {backbone:16} {name:20}{rate} {record.wall:7.2f} s whole{memory}, "
            f"others {record.others:.0%}",
            flush=True,
        )
        return record


def measure_all(bench: Bench) -> None:
    """Run every section that was asked for."""
    options = bench.options
    names = [name for name in ROWS if name in options.rows]
    first = options.backbones[0]
    for backbone in options.backbones if options.sections else ():  # the caches are warm from here on
        for name in names:
            if ROWS[name].contender == "featx":
                bench.measure("warm", 0, backbone, name, min(options.images, 16))
    if "loop" in options.sections:
        for turn in range(options.repeats):
            for backbone in options.backbones:
                for name in names:
                    images = min(options.images, options.slow_images) if ROWS[name].one_by_one else options.images
                    bench.measure("loop", turn, backbone, name, images)
    counts = {"start": min(100, options.images), "memory": min(1000, options.images), "many": options.many}
    for section, count in counts.items():
        if section in options.sections and count:
            for turn in range(options.repeats if section == "start" else 1):
                for name in names:
                    if section in ROWS[name].sections:
                        bench.measure(section, turn, first, name, count)
    if "unchanged" in options.sections:
        bench.extract_again(first, options.unchanged, options.repeats)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=["mobilenetv2", "resnet50"])
    parser.add_argument("--rows", "--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument(
        "--sections",
        nargs="*",
        default=list(SECTIONS),
        metavar="SECTION",
        help=f"of {', '.join(SECTIONS)}; none: the page",
    )
    parser.add_argument("--slow-images", type=int, default=200, help="images for the row that takes them one at a time")
    parser.add_argument("--unchanged", type=int, default=10_000, help="images of the folder that is extracted again")
    parser.add_argument("--many", type=int, default=0, help="images of a second look at the memory, such as 60000")
    parser.add_argument("--sets", nargs="+", default=SETS, help="sets of photos in FEATX_MATERIAL, in this order")
    parser.add_argument("--made", action="store_true", help="made images even where there are photos")
    parser.add_argument("--runtime", default="auto", help="of featx")
    parser.add_argument("--batch-size", type=int, help="of featx; its own default if not given")
    parser.add_argument("--workers", type=int, help="of featx; its own default if not given")
    parser.add_argument("--timm-python", help="interpreter of an environment with timm")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait, before a run, for a quiet machine")
    parser.add_argument("--cache", type=Path, help="featx's cache folder; a new one if not given")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep stores and features in this folder")
    parser.add_argument("--records", type=Path, help="JSON file of all runs: what is there is added to")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the results as a Markdown page")
    parser.add_argument(
        "--speeds",
        type=Path,
        metavar="FILE",
        help="measure and write the speeds that `featx backbones` names",
    )
    parser.add_argument("--processor", default=processor(), metavar="WORDS", help="name of the processor in that file")
    parser.add_argument("--small", action="store_true", help="a few images, a small backbone, one turn")
    options = parser.parse_args(arguments)
    if options.speeds:
        options.images, options.repeats, options.made = 128, 3, True
        options.sections, options.rows = ["loop"], ["featx f32", "backbone alone f32"]
        options.backbones = list(USES)
    if options.small:
        options.images, options.repeats, options.slow_images, options.unchanged = 16, 1, 4, 50
        options.backbones, options.batch_size = ["mobilenetv2-0.35"], 8
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"--sections: {', '.join(sorted(unknown))}: not of {', '.join(SECTIONS)}")
    options.backbones = [find(name).name for name in options.backbones]
    return options


def main() -> int:
    """Run, print, write; 0 where every row of featx gave figures."""
    options = parse()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="featx-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        bench = Bench(options, folder)
        measure_all(bench)
    finally:
        if not options.keep:
            shutil.rmtree(folder)
    findings = Findings(
        records=bench.records,
        images=list(bench.kinds.values()),
        weights={name: bench.weights(name) for name in options.backbones if bench.records},
        skipped=bench.skipped,
    )
    if options.records:
        if options.records.exists():
            findings = Findings.from_json(options.records.read_text(encoding="utf-8")).joined(findings)
        options.records.write_text(findings.to_json(), encoding="utf-8")
    text = page(findings, machine(bench.cores, options.timm_python))
    print("\n" + text)
    if options.speeds:
        table = speeds(findings, processor=options.processor, cores=bench.cores)
        options.speeds.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    return int(any(key.startswith("featx f32") for key in bench.skipped))


if __name__ == "__main__":
    sys.exit(main())
