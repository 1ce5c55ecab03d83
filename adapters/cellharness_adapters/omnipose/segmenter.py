"""Omnipose: Cellpose's architecture with masks made from distance fields and damped flows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from cellharness.errors import UsageError
from cellharness.installation import missing_package
from cellharness.methods.base import (
    TILES_ALONE,
    BaseSegmenter,
    MethodInfo,
    Parameters,
    UnsupportedCaseError,
    check_left,
)
from cellharness.methods.device import choose_device
from cellharness.weights import Weights
from cellharness_adapters.cellpose.weights import diam_mean_of, resolve
from cellharness_adapters.omnipose.library import library
from cellharness_adapters.omnipose.weights import FOR_AFFINITY

if TYPE_CHECKING:
    import numpy as np

    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.omnipose.network import Fields, Form
    from cellharness_adapters.omnipose.whole_image import WholeImage

#: Larger images run as tiles by default: whole, a network takes 1.4 kB of memory for a pixel.
_LARGEST_WHOLE = 2500 * 2500
#: Of the library, for a mean diameter below which pixels are clustered by DBSCAN.
_CLUSTER_BELOW = 12.0
#: Pixels that the library's clustering looks at beside each.
_NEIGHBORS = 5


class OmniposeParameters(Parameters):
    """Parameters of Omnipose; the defaults are those of the library's ``eval`` (omnipose 1.1.4)."""

    weights: str = Field(
        "cyto2_omni", description="Registered weights, or the path of a weight file."
    )
    diameter: float | None = Field(
        None,
        gt=0,
        description="Mean diameter of the cells in px; the image is zoomed so that it becomes "
        "that of the weights, 30 for Omnipose's own. Empty: the image as it is.",
    )
    mask_threshold: float = Field(
        0.0,
        description="Distance, or logit of Cellpose weights, above which a pixel is cell; what is "
        "joined to such pixels is cell from 1 below on.",
    )
    flow_threshold: float = Field(
        0.4,
        ge=0,
        description="Largest error of a kept cell's flows; 0 keeps all. The flows are compared "
        "with Omnipose's, which those of Cellpose weights are not.",
    )
    min_size: int = Field(15, ge=0, description="Smallest kept cell in px.")
    cluster: bool = Field(
        False,
        description="Cluster pixels by DBSCAN even where cells are wide enough to do without.",
    )
    affinity: bool | None = Field(
        None,
        description="Join neighbours by an affinity graph instead of by where they flow to. "
        "Empty: for weights made for it (bact_phase_affinity).",
    )
    network: Literal["auto", "whole", "tiles"] = Field(
        "auto",
        description="whole: the image in one piece, mirrored at its border in every layer, as "
        "omnipose 1 does. tiles: of 224 px with zeros beyond their border, as cellpose_omni 0.9 "
        "did and as the weights were trained. auto: whole up to 6.25 million px, which take "
        "about 9 GB.",
    )
    batch_size: int | None = Field(
        None, ge=1, description="Tiles at once; default 8 as in the library, on the CPU 64."
    )
    precision: Literal["float32", "bfloat16", "stock"] = Field(
        "float32",
        description="float32: the library's masks, sooner. bfloat16: sooner still on a CPU with "
        "matrix instructions for it (AMX), but rounding moves cells over flow_threshold. stock: "
        "the library's own network module.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class OmniposePaperParameters(OmniposeParameters):
    """Parameters of Omnipose as in the paper's script ``test_omnipose_cyto2_grey``."""

    weights: str = Field(
        "cyto2-four-networks",
        description="Registered weights, or the path of a weight file; the paper's are Cellpose's.",
    )
    net_avg: bool | None = Field(
        None,
        description="Average the weights' networks, or take the first. Empty: average what there "
        "is; the paper's weights have four.",
    )


class Omnipose(BaseSegmenter):
    """Omnipose with weights of its own (Cutler et al., Methods)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Distance fields and flows along their gradient, made for elongated cells.",
        licence="Omnipose NonCommercial License (University of Washington)",
        citation="Cutler et al., Nature Methods 19, 1438 (2022)",
        input="gray_max",
        url="https://github.com/kevinjohncutler/omnipose",
        extra="omnipose",
        packages=("omnipose", "cellpose", "torch", "numpy", "scipy", "scikit-image", "ncolor"),
        requires=("omnipose>=1.1.4,<2", "ncolor<2", "cellpose>=3.1.1.3,<4", "torch>=2.4"),
        limits="For non-commercial use only; has no size model, so that images at another scale "
        "than the weights' need a diameter.",
        maps=("flow_y", "flow_x", "distance", "boundary_logit"),
    )
    Parameters: ClassVar[type[Parameters]] = OmniposeParameters
    parameters: OmniposeParameters

    #: What holds for all tiles of an image, and the tile at hand; None for an image in one piece.
    _whole: WholeImage | None = None
    _tile: Tile | None = None

    def weights(self) -> tuple[Weights, ...]:
        """Find the weights by name."""
        return (resolve(self.parameters.weights),)

    def _roles(self, weights: Weights) -> list[str]:
        """Which files of the weights are averaged."""
        return [role for role in weights.files if role.startswith("network")]

    def load(self) -> None:
        """Load the networks and the library."""
        torch = _torch()
        self._core = library("omnipose.core")
        from cellharness_adapters.omnipose.network import FieldNetworks, load_omnipose_network

        # For every cell, of the library's own making; nothing a user of it could mend.
        old = "Parameter `(area_threshold|min_size)` is deprecated"
        warnings.filterwarnings("ignore", message=old, category=FutureWarning)
        (weights,) = self.weights()
        self._device = torch.device(choose_device(self.parameters.device))
        precision = self.parameters.precision
        self._diam_mean = diam_mean_of(weights)
        networks = [
            load_omnipose_network(weights.files[role], self._diam_mean)
            for role in self._roles(weights)
        ]
        tiles = self.parameters.batch_size or (64 if self._device.type == "cpu" else 8)
        self._networks = FieldNetworks(networks, precision, self._device, tiles)
        self._diam_mean = float(networks[0].diam_mean)
        chosen = self.parameters.affinity
        self._affinity = weights.name in FOR_AFFINITY if chosen is None else chosen
        self.timer.wait_for(self._device.type)
        self._how = {
            "networks": len(networks),
            "precision": precision,
            "device": self._device.type,
            "affinity": self._affinity,
        }

    def warmup(self) -> None:
        """Run once on a disc, so that all is compiled before the first case is timed."""
        import numpy as np

        from cellharness_adapters.omnipose.network import Fields

        y, x = np.mgrid[-32:32, -32:32].astype(np.float32)
        self._networks(y, self._form(y))
        radius = np.maximum(np.hypot(y, x), 1)
        boundary = -np.ones_like(radius) if self._networks.outputs == 4 else None
        # Wide and narrow cells are put together in different ways.
        for edge in (28, 6):
            flows = np.stack([-y, -x]) * 5 / radius
            self._reconstruct(Fields(flows, edge - radius, boundary), 1.0)
        self.timer.reset()

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range. Of colours the mean is taken, as the library does.

        Returns
        -------
        ndarray of uint32, (H, W)

        Raises
        ------
        UnsupportedCaseError
            The image is but one pixel high or wide.
        """
        import numpy as np

        if self._whole is not None and self._tile is not None:
            with self.timer.phase("postprocess"), self._whole.held(self._core):
                return self._reconstruct(self._whole.of(self._tile), self._scale(), self._whole)
        gray = _gray(image)
        _refuse_lines(gray.shape)
        form = self._form(gray)
        self._details = {**self._how, "network": form}
        if self._tile is not None and self.parameters.network == "whole":
            self._details["remark"] = TILES_ALONE
        if gray.min() == gray.max():
            return np.zeros(gray.shape, np.uint32)
        scale = self._scale()
        with self.timer.phase("network"):
            fields = self._networks(gray, form, scale)
        if self.maps is not None:
            self.maps.update(flow_y=fields.flows[0], flow_x=fields.flows[1])
            self.maps["distance"] = fields.distance
            if fields.boundary is not None:
                self.maps["boundary_logit"] = fields.boundary
        with self.timer.phase("postprocess"):
            return self._reconstruct(fields, scale)

    def begin_tiles(self, image: SlideImage) -> None:
        """Run the networks on all of an image, and find what its masks depend on.

        Of their output only masks are made tile by tile. With ``network: whole`` each tile is an
        image by itself instead.
        """
        from cellharness_adapters.omnipose.whole_image import look_at_whole

        if self.parameters.network == "whole":
            return
        _refuse_lines(image.shape)
        scale = self._scale()
        check_left(image.shape, scale, round(min(image.shape) * scale), "set a smaller diameter")
        with self.timer.phase("network"):
            self._whole = look_at_whole(
                image, _gray, self._networks, scale, self.parameters.mask_threshold
            )
        self._details = {**self._how, "network": "tiles"}

    def begin_tile(self, tile: Tile) -> None:
        """Keep where the tile lies in what the networks gave."""
        self._tile = tile

    def end_tiles(self) -> None:
        """Forget what holds for the tiles of one image."""
        self._whole = self._tile = None

    def _scale(self) -> float:
        """Zoom of the image before the networks see it."""
        diameter = self.parameters.diameter
        # A plain float: NumPy's own would make the flows float64, which the library refuses.
        return 1.0 if diameter is None else float(self._diam_mean / diameter)

    def _form(self, gray: np.ndarray) -> Form:
        chosen = self.parameters.network
        if chosen != "auto":
            return chosen
        scale = self._diam_mean / (self.parameters.diameter or self._diam_mean)
        return "whole" if gray.size * scale**2 <= _LARGEST_WHOLE else "tiles"

    def _reconstruct(
        self, fields: Fields, scale: float, whole: WholeImage | None = None
    ) -> np.ndarray:
        """Make masks by the library's own function, with what its ``eval`` hands over.

        What that would find of the cells of a part is taken from the whole image.
        """
        import numpy as np

        narrow, steps = _CLUSTER_BELOW, None
        if whole is not None:
            narrow = np.inf if whole.diameter <= _CLUSTER_BELOW else -1
            if self.parameters.cluster or self._affinity:
                steps = int(whole.from_distance / (1 + self._affinity))
        try:
            masks = self._core.compute_masks(
                fields.flows,
                fields.distance,
                bd=fields.boundary,
                rescale=scale,
                mask_threshold=self.parameters.mask_threshold,
                diam_threshold=narrow,
                niter=steps,
                flow_threshold=self.parameters.flow_threshold,
                min_size=self.parameters.min_size,
                cluster=self.parameters.cluster,
                affinity_seg=self._affinity,
                nclasses=fields.outputs,
                use_gpu=self._device.type == "cuda",
                device=self._device,
            )[0]
        except ValueError as error:
            if "n_neighbors" not in str(error):
                raise
            # So few pixels are cell that the library cannot cluster them.
            if self.parameters.min_size < _NEIGHBORS:
                height, width = fields.distance.shape
                msg = f"an image of {height} x {width} px has too few px of cells to be clustered"
                raise UnsupportedCaseError(msg) from error
            masks = np.zeros(fields.distance.shape)
        return masks.astype(np.uint32)

    def resolved(self) -> dict[str, Any]:
        """Which device ``auto`` comes to; torch is imported only to answer that."""
        if self.parameters.device != "auto":
            return {}
        _torch()
        return {"device": choose_device(self.parameters.device)}


class OmniposePaper(Omnipose):
    """Cellpose's weights with Omnipose's mask reconstruction, as the paper ran it (Fig. 4)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Cellpose's weights, not rescaled, with Omnipose's mask reconstruction.",
        licence=Omnipose.info.licence,
        citation=Omnipose.info.citation,
        input="gray_max",
        url=Omnipose.info.url,
        extra=Omnipose.info.extra,
        packages=Omnipose.info.packages,
        requires=Omnipose.info.requires,
        limits="For non-commercial use only; its flow check drops most bacteria.",
        maps=Omnipose.info.maps,
    )
    Parameters: ClassVar[type[Parameters]] = OmniposePaperParameters
    parameters: OmniposePaperParameters
    self_check: ClassVar[str] = "cellharness_adapters.omnipose.self_check:OMNIPOSE_PAPER"

    def weights(self) -> tuple[Weights, ...]:
        """Find the weights by name, and check that they have several networks if those are asked.

        Raises
        ------
        UsageError
            ``net_avg`` is on and the weights hold one network.
        """
        (found,) = super().weights()
        if self.parameters.net_avg and "network_1" not in found.files:
            msg = (
                f"net_avg needs several networks and the weights '{found.name}' hold one; leave "
                "net_avg empty, or choose weights=cyto2-four-networks"
            )
            raise UsageError(msg)
        return (found,)

    def _roles(self, weights: Weights) -> list[str]:
        roles = super()._roles(weights)
        return roles[:1] if self.parameters.net_avg is False else roles


def _gray(image: np.ndarray) -> np.ndarray:
    """Mean of the colours, as the library takes it."""
    import numpy as np

    return image if image.ndim == 2 else image.mean(axis=-1, dtype=np.float32)


def _refuse_lines(shape: tuple[int, ...]) -> None:
    if min(shape) < 2:
        msg = f"an image of {shape[0]} x {shape[1]} px has no flows in two directions"
        raise UnsupportedCaseError(msg)


def _torch() -> Any:
    try:
        import torch
        from cellpose.resnet_torch import CPnet  # noqa: F401 - the networks are built with it
    except ImportError as error:
        raise missing_package(what="Omnipose", error=error, extra="omnipose") from error
    return torch
