"""KIT-GE-style segmentation: distances by a U-Net, cells by a watershed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from cellharness.methods.base import MethodInfo, Parameters
from cellharness.methods.device import choose_device, choose_precision, settled
from cellharness.methods.replicas import SharedPredictor
from cellharness.weights import Weights, find_weights, local_weights, read_weights
from cellharness_adapters.kit_ge.choices import Activation, Normalisation
from cellharness_adapters.networks import DISTANCE_UNET, NETWORKS

if TYPE_CHECKING:
    import numpy as np

    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.kit_ge.prediction import Predictor
    from cellharness_adapters.kit_ge.whole_image import WholeDistances


class KitGeParameters(Parameters):
    """Parameters of prediction; defaults as in the published inference script."""

    weights: str = Field(
        description="trained:NAME for a training of the same configuration, or a path; the "
        "published weights lie on no host that hands them out."
    )
    th_cell: float = Field(0.07, description="Cell distance above which a pixel is cell.")
    th_seed: float = Field(0.45, description="Cell distance, less borders, of a seed.")
    merge: bool = Field(
        False, description="Join neighbours whose common border has next to no neighbour distance."
    )
    scale: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Shrink the image first, for large cells. Empty: as in the training of the "
        "checkpoint, 1 where it does not say.",
    )
    normalisation: Normalisation = Field(
        "min_max", description="Both are the same in prediction: the image's range to [-1, 1]."
    )
    activation: Activation | None = Field(
        None, description="Of the network, where the checkpoint does not say; relu if empty."
    )
    tile: int = Field(512, ge=64, multiple_of=16, description="Side of a tile in px.")
    tile_overlap: int = Field(96, ge=0, description="Px that tiles share.")
    batch_size: int = Field(1, ge=1, description="Tiles at once.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the processor computes in it, else float32."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class KitGe(SharedPredictor):
    """Cell and neighbour distances by a U-Net with two decoders (Scherr et al. 2020)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="U-Net with two decoders for cell and neighbour distances, then watershed.",
        licence="BSD-3-Clause (own code after the published method)",
        citation="Scherr et al., PLoS ONE 15, e0243219 (2020)",
        input="gray_max",
        url="https://git.scc.kit.edu/KIT-Sch-GE/2021_segmentation",
        extra="kit-ge",
        packages=("torch", "numpy", "scipy", "scikit-image"),
        requires=("torch>=2.4", "lightning-fabric>=2.4"),
        limits="The published weights are not to be had; it must be trained first.",
        maps=("cell_distance", "neighbor_distance"),
    )
    Parameters: ClassVar[type[Parameters]] = KitGeParameters
    parameters: KitGeParameters
    trainer: ClassVar[str] = "cellharness_adapters.kit_ge.training:KitGeTrainer"
    self_check: ClassVar[str] = "cellharness_adapters.kit_ge.self_check:KIT_GE"

    _predict: Predictor
    #: Of an image that comes by tiles.
    _whole: WholeDistances | None = None
    _tile: Tile | None = None

    def weights(self) -> tuple[Weights, ...]:
        """Find the checkpoint."""
        return (local_weights(self.parameters.weights),)

    def load(self) -> None:
        """Build the network that the checkpoint is of."""
        from cellharness_adapters.kit_ge.network import network_from
        from cellharness_adapters.kit_ge.prediction import Predictor

        # Hashed already where the run was planned; `weights` says what is wrong where it is gone.
        path = find_weights(self.parameters.weights) or self.weights()[0].files["network"]
        found = read_weights(path, DISTANCE_UNET, NETWORKS)
        meta = found.beside.get("meta", {})
        activation = self.parameters.activation or meta.get("activation", "relu")
        network = network_from(found.state, activation, str(path))
        device = choose_device(self.parameters.device)
        precision = choose_precision(self.parameters.precision, device)
        self.timer.wait_for(device)
        self._predict = Predictor(network, device, precision)
        self._scale = float(self.parameters.scale or meta.get("scale", 1.0))
        self._details = {
            "scale": self._scale,
            "device": device,
            "precision": precision,
            "filters": list(network.filters),
        }

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        return settled(self.parameters.device, self.parameters.precision)

    def warmup(self) -> None:
        """Run one tile."""
        import numpy as np

        side = self.parameters.tile
        self._predict(np.zeros((1, side, side), np.float32))
        self.timer.reset()

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W)
            Grey, any finite range.

        Returns
        -------
        ndarray of unsigned int, (H, W)

        Raises
        ------
        ValueError
            The image has channels; use input gray_max or gray.
        """
        if image.ndim != 2:
            msg = f"kit-ge takes grey images, this one has shape {image.shape}; use input gray_max"
            raise ValueError(msg)
        if self._whole is not None:
            assert self._tile is not None
            with self.timer.phase("postprocess"):
                return self._whole.cells_of(self._tile, self.parameters)
        from cellharness_adapters.kit_ge.prediction import predict_cells

        return predict_cells(
            image, self._predict, self.parameters, self._scale, self.timer, self.maps
        )

    def begin_tiles(self, image: SlideImage) -> None:
        """Run the network on the whole image; of its distances cells are made tile by tile."""
        from cellharness_adapters.kit_ge.whole_image import distances_of_whole

        self._whole = distances_of_whole(
            image, self._predict, self.parameters, self._scale, self.timer
        )

    def begin_tile(self, tile: Tile) -> None:
        """Keep where the tile lies in the distances of the whole image."""
        self._tile = tile

    def end_tiles(self) -> None:
        """Forget the distances of one image."""
        self._whole = self._tile = None
