"""The networks whose weight files are told apart, and what to do with each."""

from __future__ import annotations

from cellharness.weights import Network, Shapes

_ENCODER, _DECODER = "downsample.down.res_down_0.", "upsample.up.res_up_0."
#: Names of the two arrays that tell how many channels go in and come out.
FIRST, LAST = f"{_ENCODER}conv.conv_0.2.weight", "output.2.weight"
_DIAMETERS = ("diam_mean", "diam_labels")
#: More features where a network of Cellpose 0.6 to 2 joins the encoder's instead of adding them.
_JOINED = f"{_DECODER}conv.conv_1.full.weight"
_TRAIN_AGAIN = "Train again with the library's defaults, which Cellpose 2 and 3 have in common"


def _begins(shapes: Shapes, *starts: str) -> bool:
    return any(name.startswith(starts) for name in shapes)


def _outputs(shapes: Shapes) -> int:
    return (shapes.get(LAST) or (0,))[0]


def _is_residual(shapes: Shapes) -> bool:
    """Whether it has the blocks of Cellpose 1 to 3, whatever goes in and out."""
    return _begins(shapes, _ENCODER)


def _is_cellpose(shapes: Shapes) -> bool:
    return (
        _is_residual(shapes)
        and _outputs(shapes) == 3
        and len(shapes.get(FIRST, ())) == 4
        and shapes.get(_JOINED, (32,))[0] == 32
    )


CELLPOSE = Network(
    "the usual network of Cellpose 1 to 3",
    _is_cellpose,
    "Use method cellpose.",
    positive=_DIAMETERS,
)
#: Cellpose's network in the forms that Omnipose has: also 1 channel, also 4 outputs.
OMNIPOSE = Network(
    "a network of Omnipose, or the usual one of Cellpose 1 to 3",
    lambda shapes: (
        _is_residual(shapes) and _outputs(shapes) in (3, 4) and len(shapes.get(FIRST, ())) == 4
    ),
    "Use method omnipose.",
    positive=_DIAMETERS,
)
CELLPOSE_SAM = Network(
    "a Cellpose 4 (Cellpose-SAM) checkpoint",
    lambda shapes: "W2" in shapes or {"encoder.pos_embed", "out.weight"} <= shapes.keys(),
    "Use method cellpose-sam in environment cellpose4, or take weights of Cellpose 1 to 3.",
)
DISTANCE_UNET = Network(
    "a distance U-Net (KIT-GE)",
    lambda shapes: _begins(shapes, "encoderConv.") and _begins(shapes, "decoder1Conv."),
    "Use method kit-ge.",
)
CPN = Network(
    "a Contour Proposal Network",
    lambda shapes: _begins(shapes, "core.fourier_head.") and _begins(shapes, "core.score_head."),
    "Use method cpn.",
)


def _is_mediar(shapes: Shapes) -> bool:
    return _begins(shapes, "gradflow_head.") and _begins(shapes, "cellprob_head.")


def _is_small(shapes: Shapes) -> bool:
    """Whether the encoder begins with 32 channels; the published one has 64."""
    return shapes.get("encoder.patch_embed1.proj.weight", (64,))[0] == 32


MEDIAR_STYLE = Network(
    "a small network in MEDIAR's style",
    lambda shapes: _is_mediar(shapes) and _is_small(shapes),
    "Use method mediar-style.",
)
MEDIAR = Network(
    "a MEDIAR-Former",
    lambda shapes: _is_mediar(shapes) and not _is_small(shapes),
    "Use method mediar.",
)

#: All that are told apart; the first that fits counts.
NETWORKS = (
    CELLPOSE_SAM,
    DISTANCE_UNET,
    MEDIAR_STYLE,
    MEDIAR,
    CPN,
    Network(
        "a network for volumes",
        lambda shapes: any(len(shape) == 5 for shape in shapes.values()),
        "Choose one for 2-D images.",
    ),
    Network(
        "a Cellpose network without residual blocks (residual_on off)",
        lambda shapes: _begins(shapes, "downsample.down.conv_down_0."),
        f"{_TRAIN_AGAIN}.",
    ),
    Network(
        "a Cellpose network that joins features (concatenation on)",
        lambda shapes: _is_residual(shapes) and shapes.get(_JOINED, (32,))[0] == 64,
        f"{_TRAIN_AGAIN}.",
    ),
    Network(
        "an image restoration network of Cellpose 3",
        lambda shapes: _is_residual(shapes) and _outputs(shapes) in (1, 2),
        "It cleans images and finds no cells; take the weights that go with it, such as cyto3.",
    ),
    Network(
        "a transformer of Cellpose 3 (backbone 'transformer')",
        lambda shapes: _begins(shapes, "encoder.patch_embed1.", "encoder.block1."),
        "Only its default backbone runs here; make masks with Cellpose 3 itself and compare them "
        "by method precomputed.",
    ),
    Network(
        "a Segment Anything checkpoint",
        lambda shapes: _begins(shapes, "image_encoder.") and _begins(shapes, "mask_decoder."),
        "No method here runs it; make masks with it and compare them by method precomputed.",
    ),
    CELLPOSE,
    OMNIPOSE,
)
