"""Variants of JPEG: chroma, restarts, scans, components and what Adobe's marker says of them."""

import base64
import io
import itertools
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from PIL import Image

from variants.scene import Samples, Variant, grey, repeated, scene
from variants.tiffs import ycbcr

CHROMA = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:1:1": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
    "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
}
BOUNDS = {"4:4:4": 8, "4:2:2": 16, "4:2:0": 24, "4:1:1": 32, "4:4:0": 16}
"""Levels that compression at quality 97, and chroma of fewer pixels, move the smooth scene."""


ARITHMETIC = {
    "colour": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV009930RaI40RaI40RaI40s;X60RaO70s;a90|W#E0|NsD1O^2J1O)^G0|f^K1qKEN1_lHL"
        "2L}fR2L=WP2LIatLjeH+0RaI40|EjA1_T2H1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_uAh"
        "01*fPCIB@90U`hb5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#0Q7Nw(n}h)b*Yua4|-"
        "kXF$cN^pfsZ&C6qkTdZ(@D@J}2MSGOVa(>ul_9~-&g!n^#*oxa$SStA-n-"
        "9Eg<UtCB*b*hVIUlbCjjHUBQbt6i*6~>km>G%Ltn$$$rgVNP!wpT$Fc9***N91XY`iZs0R<p(fF!3?qAQmviIzd&=JAVl0c_23rC"
        "7t86dVMpKM}A@0tL&VG`q|=dhd$H1eK;8=vDFe=fFkI%Urd-ve&=Tk*Vpm?0JG5y*XC}R;68b&L3FF;7IuoOKIWI|XA<Dv2S!0sI"
        "Z%V#B7@Li?<%ltRj|I|W%y1IO07D=GHxtbh*5wAgcg)D5X6kz$jjz8_0h?-"
        "k4{9920`5u&<xnAvpdS)Ei}OtkYpH^I!hvk{{V)eAiQbZY;MVn2=*y_-"
        "Z%T|u<U`KfTsL_xm(gH(rEWV_Z6tgA0J;Z!;FW|KxRa;N58Oo=9z_LGoi<`cB7lP`1H*ctg}yrd))Js2xAWblI^!cm0U*93<nQ|y"
        "5z)%{{WU8!`8_YPYyMeax4>6iLn3K"
    ),
    "colour, progressive": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV009930RaI40RaI40RaI40s;X60RaO70s;a90|W#E0|NsD1O^2J1O)^G0|f^K1qKEN1_lHL"
        "2L}fR2L=WP2LIatLjeH+0RaI40|EjA1_T2H1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_lNO1_uAi"
        "01*fPCIB@90U`hb5di}c0sqVZ1^^HN5dYc$3<CiG0uTcb000610O;O;q5PZGrnfq~&4@GLt42+Mbb^*5l*G{B`QOi!X&)JA*X;S>"
        "`=#GFtaP3A<u*r@C)n^tveZ26r0&od7XFmp!b-OSxc-D*=<PY%kpIj81P}%P+5iXv0RRC70vG+xy>Ov;-"
        "8<Q1O=_rX8rpOFspEFSIY>B+n6l@4nFp(y$^xpPeV5=yWP06^(G6^Gdf5NW00a>Q|Jncu0RsU6KLHk88db(d?TcHrpn!TVcKpx#l"
        "9`Z)0FHinZWW%g2%0G%-xIk<yjw--SpUob1Q7-"
        "Q+5iXv0s#R(0Xo1uh^7E3>L3K1bfd#H<Wig^J)g?(yrbHRM*&73lL6fVfb4ucfd9+@1P}%P+5iXv0RRR+0@MEhBs#V>Q$JvvK>y4"
        "D1P}%P+5iXv0RRC%A*>N3pg;bn8=r56JpTY6Yn<C_YmB=NjM@Y9%<V6EI-b^^M~Ep<|Jncy0|5X600RI301(~@abLmBmb|-"
        "w|I7dc5e5I+00;pC0RcY{+_-^kcVf2D_VM0Un~W6y%m4%t1^?Or2mt~C0Y4CBOFFBi-"
        "8p#P1|vMs?0`%%aYT?{g#XL{1P}%P+5iXv0RRC%5T)^9rI~^0WvBM%WNB8W54XfD+9p3Ik7OaYu(0=xZe<-"
        "GG>^}qYA|Q3LLgf%$Y<NSBg+(iqq=zW7uKrCKe*h5Ob~VKL$xQcxRFTJgTlV&FC%tRp#Rw"
    ),
    "grey": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV009930RaI40RaI40RaI40s;X60RaO70s;a90|W#E0|NsD1O^2J1O)^G0|f^K1qKEN1_lHL"
        "2L}fR2L=WP2LH(b3kU!v05t&t5di<p00saM5C#9*00;pA002J#{{Z?r`lp+6L*SibQA^iY&dqm)fugnHF%Nm@{xu*l)5p9N_Q*e@"
        "6XHr5-"
        "VP<iDK&9m*G*aJ8r?kxnRAsiv94?lD?}0@qR}lxx$xuw^$<{uGUjn0E3938+Z%G>osLg;tuHow0jwhe!}cM;I+bI6+DEgQ^-"
        "SngblQy_M2qHRp=^oJ2~*8TYE&(43uDhx7aT8rpp6zHU@GXdf{<n{HsBMyJj!x7lPspDlWKH4!w9L$o`g`ulsW{G7TT7@mofFNB<"
        "Z*GBh>6W#xtYbwJ~48bAbQZ"
    ),
}
"""The scene as `jpegtran -arithmetic` of libjpeg-turbo wrote it, in base 85; Pillow writes no such files."""


def saved(mode: str, values: Samples, **options: Any) -> bytes:
    """Encode channels as they are: Pillow inverts CMYK, so it gets them inverted."""
    samples = np.rint(values).astype(np.uint8)
    samples = 255 - samples if mode == "CMYK" else samples
    image = Image.frombytes(mode, samples.shape[1::-1], samples.tobytes())
    file = io.BytesIO()
    image.save(file, "JPEG", quality=97, **options)
    return file.getvalue()


def segments(data: bytes) -> tuple[list[bytes], bytes]:
    """Split a JPEG into its segments before the first scan, and the rest."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append(data[at : at + length])
        at += length
    return found, data[at:]


def marked(data: bytes, *, adobe: int | None, jfif: bool, ids: bytes | None = None) -> bytes:
    """Replace what a JPEG says of its colours: Adobe's transform, JFIF, and the names of its components."""
    parts, rest = segments(data)
    parts = [part for part in parts if part[1] not in (0xE0, 0xEE)]
    if adobe is not None:
        parts.insert(0, b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, adobe))
    if jfif:
        parts.insert(0, b"\xff\xe0" + struct.pack(">H5sHBHHBB", 16, b"JFIF\0", 0x0101, 0, 1, 1, 0, 0))
    if ids is not None:
        parts = [renamed(part, ids) if part[1] in (0xC0, 0xC1, 0xC2) else part for part in parts]
        scan = bytearray(rest)
        for index, name in enumerate(ids):
            scan[5 + 2 * index] = name
        rest = bytes(scan)
    return b"\xff\xd8" + b"".join(parts) + rest


def renamed(frame: bytes, ids: bytes) -> bytes:
    out = bytearray(frame)
    for index, name in enumerate(ids):
        out[10 + 3 * index] = name
    return bytes(out)


def frames(data: bytes, marker: int, precision: int = 8) -> bytes:
    """Say that a JPEG is of another process."""
    parts, rest = segments(data)
    changed = [b"\xff" + bytes([marker]) + p[2:4] + bytes([precision]) + p[5:] if p[1] == 0xC0 else p for p in parts]
    return b"\xff\xd8" + b"".join(changed) + rest


def ordinary() -> Iterator[Variant]:
    """Yield chroma x restart intervals x processes, and grey."""
    shown = scene() * 255
    bgr = np.rint(shown[:, :, ::-1]).astype(np.uint8)
    for (chroma, factor), restart, progressive, optimised in itertools.product(
        CHROMA.items(), (0, 1, 3), (0, 1), (0, 1)
    ):
        options = [
            cv2.IMWRITE_JPEG_QUALITY, 97,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor,
            cv2.IMWRITE_JPEG_RST_INTERVAL, restart,
            cv2.IMWRITE_JPEG_PROGRESSIVE, progressive,
            cv2.IMWRITE_JPEG_OPTIMIZE, optimised,
        ]  # fmt: skip
        data = cv2.imencode(".jpg", bgr, options)[1].tobytes()
        name = f"jpeg {chroma}, restart {restart}, progressive {progressive}, optimised {optimised}"
        yield Variant(name=name, data=data, truth=shown, bound=BOUNDS[chroma])
    for restart, progressive in itertools.product((0, 1, 5), (False, True)):
        data = saved("L", grey() * 255, progressive=progressive, restart_marker_blocks=restart)
        name = f"jpeg of grey, restart {restart}, progressive {progressive}"
        yield Variant(name=name, data=data, truth=repeated(grey() * 255), bound=6)
    for side in (1, 7, 8, 9, 15, 16, 17):
        part = np.ascontiguousarray(bgr[:side, : 40 - 2 * side])
        data = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()
        yield Variant(name=f"jpeg, {side} rows", data=data, truth=part[:, :, ::-1].astype(float), bound=24)


def coloured() -> Iterator[Variant]:
    """Yield three components by what Adobe's marker, JFIF and their names say: YCbCr or RGB."""
    shown = 255 * (0.2 + 0.6 * scene())
    luma = saved("YCbCr", ycbcr(shown / 255) * 255, subsampling="4:4:4")
    plain = saved("YCbCr", shown, subsampling="4:4:4")  # the channels are R, G and B
    for adobe, jfif, ids, progressive in itertools.product(
        (None, 0, 1), (False, True), (None, b"\1\2\3", b"RGB", b"\0\1\2"), (False, True)
    ):
        if progressive and ids is not None:
            continue
        # As libjpeg has it: JFIF is YCbCr; then Adobe's marker; then the names.
        rgb = not jfif and (adobe == 0 or (adobe is None and ids == b"RGB"))
        if progressive:
            data = saved("YCbCr", shown if rgb else ycbcr(shown / 255) * 255, subsampling="4:4:4", progressive=True)
        else:
            data = plain if rgb else luma
        yield Variant(
            name=f"jpeg, adobe {adobe}, jfif {jfif}, components {ids!r}, progressive {progressive}",
            data=marked(data, adobe=adobe, jfif=jfif, ids=ids),
            truth=shown,
            bound=8,
        )


def inked() -> Iterator[Variant]:
    """Yield four components: CMYK or YCCK, inverted where Adobe's marker is."""
    inks = 255 * np.dstack([1 - (0.2 + 0.6 * scene()), 0.3 * grey()])
    shown = (255 - inks[:, :, :3]) * (255 - inks[:, :, 3:]) / 255
    for progressive in (False, True):
        plain = saved("CMYK", inks, progressive=progressive)
        inverted = saved("CMYK", 255 - inks, progressive=progressive)
        luma = np.dstack([ycbcr(inks[:, :, :3] / 255) * 255, 255 - inks[:, :, 3]])
        mixed = saved("CMYK", luma, progressive=progressive)
        for name, data, adobe in (("cmyk", plain, None), ("cmyk", inverted, 0), ("ycck", mixed, 2)):
            for jfif in (False, True):
                yield Variant(
                    name=f"jpeg of {name}, adobe {adobe}, jfif {jfif}, progressive {progressive}",
                    data=marked(data, adobe=adobe, jfif=jfif),
                    truth=shown,
                    bound=8,
                    decoded=adobe is not None,
                )


def arithmetic() -> Iterator[Variant]:
    """Yield arithmetic coding."""
    for name, text in ARITHMETIC.items():
        shown = repeated(grey() * 255) if name == "grey" else 255 * (0.2 + 0.6 * scene())
        yield Variant(name=f"jpeg, arithmetic, {name}", data=base64.b85decode(text), truth=shown, bound=24)


def odd() -> Iterator[Variant]:
    """Yield processes and precisions that have no rule, and two components."""
    data, nothing = saved("L", grey() * 255), repeated(grey())
    for marker in (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF):
        yield Variant(name=f"jpeg of process {marker:x}", data=frames(data, marker), truth=nothing, decoded=False)
    for marker in (0xC1, 0xC2, 0xC9, 0xCA):
        found = frames(data, marker, 12)
        yield Variant(name=f"jpeg of 12 bits, process {marker:x}", data=found, truth=nothing, decoded=False)
    parts, rest = segments(data)
    two = [p[:2] + b"\0\x0e" + p[4:9] + b"\2" + p[10:13] + b"\2\x11\0" if p[1] == 0xC0 else p for p in parts]
    yield Variant(name="jpeg of two components", data=b"\xff\xd8" + b"".join(two) + rest, truth=nothing, decoded=False)


def variants() -> Iterator[Variant]:
    """Yield all variants of JPEG."""
    for part in (ordinary, coloured, inked, arithmetic, odd):
        yield from part()
