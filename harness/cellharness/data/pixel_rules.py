"""What an image file may say of its pixels, and what is done then: the one list of it.

The decoders look each case up here, ``docs/images-and-labels.md`` shows the same list, and a file
whose pixels are not in it is refused. Where the reader that the paper used differs from what a
viewer shows, its values are kept and the case is told of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: What is done with a file: read, read and told of as a `PixelFinding`, or refused by name.
ANSWERS = ("read", "told", "refused")


class ImageError(ValueError):
    """A file that cannot be read whole: absent, truncated, corrupt or of an unknown kind."""


class UnsupportedImageError(ImageError):
    """A readable file that is not a 2-D image the harness takes (3-D stack, NaN, complex...)."""


@dataclass(frozen=True)
class Rule:
    """What is done with one thing that a file may say of its pixels.

    Attributes
    ----------
    name
        Short and stable; the code of the finding where there is one.
    formats
        Where it occurs.
    says
        What the file says.
    answer
        One of `ANSWERS`.
    meaning
        What the pixels become, or why it is refused and what to do.
    """

    name: str
    formats: str
    says: str
    answer: str
    meaning: str

    def finding(self, about: str = "") -> PixelFinding:
        """Tell of it in one file, with what is special there."""
        return PixelFinding(self.name, f"{self.says}{about}: {self.meaning}.")

    def refusal(self, path: Path, about: str = "") -> UnsupportedImageError:
        """Refuse one file, with what is special there."""
        return UnsupportedImageError(f"{path}: {self.says}{about}; {self.meaning}.")


@dataclass(frozen=True)
class PixelFinding:
    """Something of a file that was read which a reader of its scores should know.

    Attributes
    ----------
    code
        Name of the `Rule`.
    message
        One sentence.
    """

    code: str
    message: str


_EXPORT_PLANE = "export one plane or a projection"
_SAVE_RGB = "save it again as RGB or grey"

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "grey", "all", "one channel", "read",
            "the values as stored; pixels of 1 bit are 0 and 1, in a png 0 and 255",
        ),
        Rule("rgb", "all", "red, green and blue", "read", "three channels as stored"),
        Rule(
            "channels", "tiff, npy, npz", "two or three channels (axis C, extra samples, or the "
            "last axis)", "read", "channels as stored",
        ),
        Rule(
            "ycbcr", "tiff, jpeg", "YCbCr, compressed as jpeg or without subsampling", "read",
            "converted to RGB",
        ),
        Rule(
            "palette", "png, bmp", "a colour table", "read",
            "an image is the colours, of a label the indices are the ids",
        ),
        Rule(
            "pyramid", "tiff", "smaller copies, thumbnails and masks of the image", "read",
            "the image in full size",
        ),
        Rule(
            "alpha", "tiff, png, bmp", "a channel declared alpha, the same everywhere", "read",
            "left out",
        ),
        Rule(
            "transparent", "tiff, png, bmp", "a channel declared alpha that varies", "told",
            "left out; a viewer lets the ground shine through",
        ),
        Rule(
            "blank-fourth", "tiff, npy, npz", "a fourth channel that is the same everywhere and "
            "not declared alpha", "told", "left out",
        ),
        Rule(
            "planes", "tiff, npy, npz", "2 or 3 planes of unknown meaning (axes QYX, an array "
            "with its short axis first)", "told",
            f"taken as channels; if they are a stack, {_EXPORT_PLANE}",
        ),
        Rule(
            "min-is-white", "tiff", "0 is white (MinIsWhite)", "told",
            "the values as stored, as the paper's reader gives them; viewers show them inverted. "
            "Save it as MinIsBlack if the picture should be as shown",
        ),
        Rule(
            "colour-table", "tiff", "a colour table", "told",
            "read as the colours that viewers show, where the paper's reader gives the indices; "
            "of a label the indices are the ids",
        ),
        Rule(
            "cmyk", "tiff, jpeg", "CMYK, 8 bits a channel", "told",
            "converted to RGB as Pillow does it, without a colour profile",
        ),
        Rule(
            "orientation", "tiff, jpeg, png", "an orientation tag", "told",
            "read as stored, as the paper's reader does; viewers show it turned or mirrored, and "
            "a label drawn over what they show does not fit. Save it turned to be sure",
        ),
        Rule(
            "ome-companions", "tiff", "OME-XML that spreads one image over several files", "told",
            "only the pixels in this file are read",
        ),
        Rule(
            "second-picture", "jpeg", "more than one picture (MPO)", "told", "the first is read",
        ),
        Rule(
            "fourth-channel", "tiff, npy, npz", "four channels, and the fourth is not declared "
            "alpha", "refused",
            "it would be lost: export the channels to segment, three at most; if it is alpha, "
            "leave it out or declare it (in a tiff ExtraSamples 2)",
        ),
        Rule("stack", "tiff", "a stack", "refused", f"only 2-D images are taken, {_EXPORT_PLANE}"),
        Rule(
            "shape", "npy, npz, tiff", "not a 2-D image of 1 to 4 channels", "refused",
            _EXPORT_PLANE,
        ),
        Rule("many-images", "tiff", "several images", "refused", "split the file, one a case"),
        Rule("animation", "png", "an animation", "refused", "export one picture of it"),
        Rule(
            "missing-planes", "tiff", "metadata that name planes which are not in the file",
            "refused", "put the files it names beside it and export the image from them whole",
        ),
        Rule(
            "file-set", "tiff", "part of an image set that lies in several files", "refused",
            "export the image from the set",
        ),
        Rule(
            "cielab", "tiff", "CIELAB colours", "refused", _SAVE_RGB,
        ),
        Rule(
            "ycbcr-other", "tiff", "YCbCr with subsampled or rescaled colours and no jpeg "
            "compression", "refused", _SAVE_RGB,
        ),
        Rule(
            "other-colours", "tiff", "another colour model", "refused", _SAVE_RGB,
        ),
        Rule(
            "compression", "tiff", "a compression that cannot be read here", "refused",
            "save it again without, or with LZW or zlib",
        ),
        Rule(
            "jpeg-kind", "jpeg", "a kind of jpeg that cannot be read here (lossless, arithmetic or "
            "12 bits)", "refused", "save it as png or tiff",
        ),
        Rule(
            "pixel-type", "tiff, npy, npz", "complex, text, objects or an odd number type",
            "refused", "only integer, float and bool pixels are taken",
        ),
    )
}  # fmt: skip


def orientation_findings(tag: object) -> tuple[PixelFinding, ...]:
    """Tell of the value of an orientation tag, if it turns or mirrors the image.

    Examples
    --------
    >>> orientation_findings(1), len(orientation_findings(6))
    ((), 1)
    """
    if isinstance(tag, int) and 2 <= tag <= 8:
        return (RULES["orientation"].finding(f" {tag}"),)
    return ()


def rules_table() -> str:
    """Give the list as a table in Markdown, in the order of `RULES`.

    Examples
    --------
    >>> print(rules_table().splitlines()[0])
    | the file says | formats | answer | what that means | code |
    """
    lines = ["| the file says | formats | answer | what that means | code |", "|" + "---|" * 5]
    lines += [
        f"| {rule.says} | {rule.formats} | {rule.answer} | {rule.meaning} | `{rule.name}` |"
        for rule in RULES.values()
    ]
    return "\n".join(lines) + "\n"
