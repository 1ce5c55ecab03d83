"""Cellpose through its own library: pre-trained weights, explicit diameter policy."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field

from cellharness.errors import MissingDependencyError, UsageError
from cellharness.installation import install_command, missing_package
from cellharness.methods.base import (
    BaseSegmenter,
    MethodInfo,
    Parameters,
    UnsupportedCaseError,
    check_finite,
    check_left,
    truth_identity,
)
from cellharness.methods.device import Device, choose_device, choose_precision, one_thread
from cellharness.weights import Weights
from cellharness_adapters.cellpose.channels import (
    Channels,
    check_channels,
    refuse_channels_of_grey,
)
from cellharness_adapters.cellpose.normalising import FLAT, Normalize
from cellharness_adapters.cellpose.precision import Precision, automatic_precision
from cellharness_adapters.cellpose.weights import diam_mean_of, resolve

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import numpy as np
    import torch
    from cellpose.resnet_torch import CPnet

    from cellharness.data.manifest import Case
    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.cellpose.network import FastNetwork, SharedNetwork
    from cellharness_adapters.cellpose.whole_image import WholeImage
    from cellharness_adapters.cellpose.whole_maps import NetworkMaps

#: What the library hands to its mask reconstruction for a single 2-D image.
_EVAL_PARAMETERS = (
    "niter",
    "cellprob_threshold",
    "flow_threshold",
    "interp",
    "min_size",
    "max_size_fraction",
)
#: Warnings of the library that nobody who runs it could mend: of its sparse tensors, and of the
#: median of no cells, where the size model finds none and the library takes its mean diameter.
_NOT_FOR_USERS = (
    ".*parse invariant.*",
    "Mean of empty slice",
    "invalid value encountered in scalar divide",
)
_FEWEST_ROWS, _FEWEST_COLUMNS = 8, 2
#: Share of an image, or of a tile, above which a mask is no cell, as in the library.
_LARGEST_SHARE = 0.4


class CellposeParameters(Parameters):
    """Parameters of Cellpose; defaults are the paper's (script ``test_cellpose_cyto2_grey``)."""

    weights: str = Field("cyto2", description="Registered weights, or the path of a weight file.")
    diameter: (
        Literal["estimate", "training_mean", "truth_median"] | Annotated[float, Field(gt=0)]
    ) = Field(
        "estimate",
        description="estimate: by the size model, as the paper did for cyto2. training_mean: the "
        "mean of the training cells for every image, as it did for the fine-tuned model. "
        "truth_median: the median of the case's true cells (an oracle). A number: px.",
    )
    size_weights: str | None = Field(
        None,
        description="Weights whose network and size model estimate the diameter; empty for the "
        "same weights. Fine-tuned weights have no size model of their own.",
    )
    net_avg: bool = Field(
        False, description="Average the four networks, where the weights have them."
    )
    flow_threshold: float = Field(0.4, ge=0, description="Largest flow error of a kept cell.")
    cellprob_threshold: float = Field(0.0, description="Logit above which a pixel is cell.")
    min_size: int = Field(15, ge=0, description="Smallest kept cell in px.")
    tile_overlap: float = Field(0.1, ge=0.05, le=0.95, description="Overlap of 224 px tiles.")
    augment: bool = Field(False, description="Test-time flips of overlapping tiles.")
    channels: Channels = Field(
        (0, 0),
        description="Cell and nucleus channel; 0 grey or none, 1 red, 2 green, 3 blue. Others than "
        "0 0 are for input native.",
    )
    normalize: Normalize = Field(
        Normalize(),
        description="Which grey values become 0 and 1: {percentile: [1, 99]} of the image, as the "
        "library does by default, or a fixed range {lowhigh: [0, 255]}.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Tiles at once; default 8 as in the library. On the CPU 64, which are shared "
        "out to the cores one by one.",
    )
    precision: Precision = Field(
        "auto",
        description="auto: mixed on a CPU with bfloat16 matrix instructions (AMX), else float32. "
        "mixed: diameter in float32, since masks depend on its third digit, then bfloat16. "
        "bfloat16: all of it, with other diameters. stock: exactly as the library runs it, on a "
        "GPU with TF32, which float32 here does without.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class Cellpose(BaseSegmenter):
    """Cellpose, the pre-trained generalist of the paper's comparison (Fig. 4)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Generalist network that predicts flows towards cell centres.",
        licence="BSD-3-Clause",
        citation="Stringer et al., Nature Methods 18, 100 (2021)",
        input="gray_max",
        url="https://github.com/MouseLand/cellpose",
        extra="cellpose",
        packages=("cellpose", "torch", "numpy", "opencv-python-headless"),
        requires=("cellpose>=3.1.1.3,<4", "torch>=2.4", "torchvision>=0.19"),
        limits="Long thin cells are often cut into parts (Cutler et al. 2022).",
        maps=("flow_y", "flow_x", "cell_logit"),
    )
    Parameters: ClassVar[type[Parameters]] = CellposeParameters
    parameters: CellposeParameters
    self_check: ClassVar[str] = "cellharness_adapters.cellpose.self_check:CELLPOSE"
    imports: ClassVar[tuple[str, ...]] = (
        "torch",
        "cellharness_adapters.cellpose.library",
        "cellharness_adapters.cellpose.network",
        "cellharness_adapters.cellpose.cpu.reconstruction",
    )

    def __init__(self, parameters: CellposeParameters | None = None) -> None:
        super().__init__(parameters)
        self._case: Case | None = None
        self._networks: list[FastNetwork | SharedNetwork] = []
        #: In which the network runs for all replicas.
        self._thread: Executor | None = None
        #: What holds for all tiles of an image; None for an image in one piece.
        self._whole: WholeImage | None = None
        self._tile: Tile | None = None
        #: Whether what the network saw of the last image was all zero.
        self._saw_nothing = False

    def check_input(self, mode: str) -> None:
        """Refuse channels of images that are made grey."""
        refuse_channels_of_grey(self.parameters.channels, mode)

    def weights(self) -> tuple[Weights, ...]:
        """Find the weights by name, and check that they serve the chosen parameters."""
        found, sizes = self._sources()
        return (found,) if sizes is found else (found, sizes)

    def _sources(self) -> tuple[Weights, Weights]:
        """Weights that segment, and those whose size model estimates the diameter."""
        found = resolve(self.parameters.weights)
        other = self.parameters.size_weights
        sizes = found if other is None else resolve(other)
        if self.parameters.diameter == "estimate" and "size" not in sizes.files:
            msg = (
                f"diameter 'estimate' needs a size model and the weights '{sizes.name}' have none; "
                "name weights that do as size_weights, such as cyto, or choose training_mean, "
                "truth_median or a number of px"
            )
            raise UsageError(msg)
        if self.parameters.net_avg and "network_1" not in found.files:
            msg = f"net_avg needs several networks and the weights '{found.name}' hold one"
            raise UsageError(msg)
        if self.parameters.net_avg and self.parameters.precision == "stock":
            msg = "net_avg is not in the library any more; choose another precision than 'stock'"
            raise UsageError(msg)
        return found, sizes

    def networks(self, weights: Weights, *, mkldnn: bool) -> list[CPnet]:
        """Build the networks that segment, from weights as :meth:`weights` gives them first."""
        from cellharness_adapters.cellpose.network import load_network

        diam_mean = diam_mean_of(weights)
        return [
            load_network(weights.files[role], diam_mean, mkldnn=mkldnn)
            for role in self._roles(weights)
        ]

    def _roles(self, weights: Weights) -> list[str]:
        """Which files of the weights segment."""
        roles = [role for role in weights.files if role.startswith("network")]
        return roles if self.parameters.net_avg else ["network"]

    def load(self) -> None:
        """Load network and size model; refuse a cellpose that cannot run these weights."""
        try:
            import torch

            from cellharness_adapters.cellpose.library import models
        except ImportError as error:
            raise missing_package(what="Cellpose", error=error, extra="cellpose") from error
        if not version("cellpose").startswith("3."):
            found = f"cellpose {version('cellpose')}"
            hint = f"Install it with: {install_command('cellpose')}"
            msg = f"{found} cannot run cyto weights; 3.1.1.3 can. {hint}"
            raise MissingDependencyError(msg)
        from cellharness_adapters.cellpose.network import load_network

        for of_the_library in _NOT_FOR_USERS:
            warnings.filterwarnings("ignore", message=of_the_library)
        weights, sizes = self._sources()
        kind, precision = self._choices()
        device = torch.device(kind)
        stock = precision == "stock"
        mkldnn = stock and device.type == "cpu"
        self._networks.clear()
        self._model = self.model_of(self.networks(weights, mkldnn=mkldnn), precision, device)
        sizer = self._model
        if sizes is not weights:
            network = load_network(sizes.files["network"], diam_mean_of(sizes), mkldnn=mkldnn)
            sizer = self.model_of([network], precision, device)
        self._size = (
            models.SizeModel(cp_model=sizer, pretrained_size=str(sizes.files["size"]))
            if "size" in sizes.files
            else None
        )
        if self._size is not None:
            roles = self._roles(sizes) if sizes is weights else ["network"]
            # Two methods with the same find the same diameters, whatever else they differ in.
            self._sizer_identity = {
                "networks": [sizes.sha256[role] for role in roles],
                "size": sizes.sha256["size"],
                "diam_mean": sizer.diam_mean,
                "precision": precision,
                "device": device.type,
                "threads": torch.get_num_threads(),
            }
        self.timer.wait_for(device.type)
        self._batch_size = 8 if stock or device.type != "cpu" else 64
        self._how = {"precision": precision, "device": device.type}

    def warmup(self) -> None:
        """Run once, so that all is compiled before the first case is timed."""
        import numpy as np

        if self._networks:
            from cellharness_adapters.cellpose.cpu.reconstruction import compile_ahead

            compile_ahead()
        tile = np.random.default_rng(0).normal(size=(224, 224)).astype(np.float32)
        self._model.eval(tile, channels=[0, 0], diameter=self._model.diam_mean)
        self.timer.reset()

    def replica(self) -> Self | None:
        """Another, of which the network runs in one thread for all; None for ``stock``."""
        if self._how["precision"] == "stock":
            return None
        from cellharness_adapters.cellpose.network import SharedNetwork

        if self._thread is None:
            self._thread = one_thread()
        thread = self._thread
        other = self.own_copy()
        other._networks = []

        def shared(model: Any) -> Any:
            copied = copy.copy(model)
            copied.owner = other
            copied.net = SharedNetwork(model.net, thread)
            other._networks.append(copied.net)
            return copied

        other._model = shared(self._model)
        if self._size is not None:
            other._size = copy.copy(self._size)
            own = self._size.cp is self._model
            other._size.cp = other._model if own else shared(self._size.cp)
        return other

    def case_identity(self, case: Case) -> str:
        """SHA256 of the label image where the oracle diameter is read from it."""
        return truth_identity(case) if self.parameters.diameter == "truth_median" else ""

    def begin_case(self, case: Case) -> None:
        """Keep the case: the oracle diameter needs its label image."""
        self._case = case

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; Cellpose scales the 1st and 99th percentile to 0 and 1.

        Returns
        -------
        ndarray of uint16 or uint32, (H, W)

        Raises
        ------
        UnsupportedCaseError
            The library cannot take an image so small, or without the channels that are asked for.
        NotFiniteError
            The network gave NaN or infinity.
        """
        if self._whole is not None and self._whole.maps is not None:
            return self._segment_tile(self._whole.maps)
        _refuse_tiny(image)
        grey = check_channels(image, self.parameters.channels)
        if self._whole is not None:
            common = self._common(image, self._whole.normalize)
            diameter = self._whole.diameter
            self._details.pop("remark", None)
        else:
            common = self._common(image, self.parameters.normalize.for_library())
            diameter = self._diameter(image, common)
        labels, found, _ = self._model.eval(
            image,
            diameter=diameter,
            flow_threshold=self.parameters.flow_threshold,
            cellprob_threshold=self.parameters.cellprob_threshold,
            min_size=self.parameters.min_size,
            tile_overlap=self.parameters.tile_overlap,
            augment=self.parameters.augment,
            **common,
        )
        if self.maps is not None:
            flow_y, flow_x = self._model.flows[:, 0]
            self.maps.update(flow_y=flow_y, flow_x=flow_x, cell_logit=found[2])
        remarks = [grey, FLAT if self._saw_nothing and self._is_flattened(image) else ""]
        if any(remarks):
            self._details["remark"] = "; ".join(filter(None, remarks))
        return labels

    def begin_tiles(self, image: SlideImage) -> None:
        """Find grey range and diameter of the whole image, and run the network on all of it.

        Of the network's output only masks are made tile by tile. Where tiles are flipped
        (``augment``) the network runs on each tile instead.
        """
        from cellharness_adapters.cellpose.whole_image import (
            WholeImage,
            as_seen,
            estimated_diameter,
            grey_range,
        )
        from cellharness_adapters.cellpose.whole_maps import Scaled, run_network

        corner = image.read_tile(image.tiles[0])
        _refuse_tiny(corner)
        channels, chosen = self.parameters.channels, self.parameters.normalize
        grey = check_channels(corner, channels)
        if chosen.lowhigh is not None:
            normalize: dict[str, Any] = {"lowhigh": list(chosen.lowhigh)}
        else:
            normalize = grey_range(image, chosen.percentile, channels)
        batch_size = self.parameters.batch_size or self._batch_size

        def see(pixels: np.ndarray) -> np.ndarray:
            return as_seen(pixels, channels, normalize)

        diameter: float | None
        if self.parameters.diameter == "estimate":
            assert self._size is not None
            with self._set(exact=True):
                diameter, from_style = estimated_diameter(self._size, image, see, batch_size)
            found = {"diameter_from_style": from_style, "diameter": diameter}
            self._details = {"diameter_policy": "estimate", **self._how, **found}
        else:
            diameter = self._diameter(corner, {})
        self._whole = WholeImage(normalize, diameter)
        if self.parameters.augment:
            return
        rescale = float(self._model.diam_mean / (diameter or self._model.diam_labels))
        left = min(int(image.shape[0] * rescale), int(image.shape[1] * rescale))
        check_left(image.shape, rescale, left, "set a smaller diameter")
        with self.timer.phase("network"):
            seen = Scaled(image, see, rescale, self.parameters.tile_overlap)
            maps = run_network(self._model.net, seen, batch_size=batch_size)
        self._whole = WholeImage(normalize, diameter, maps)
        remark = "; ".join(filter(None, [grey, FLAT if maps.saw_nothing else ""]))
        if remark:
            self._details["remark"] = remark

    def begin_tile(self, tile: Tile) -> None:
        """Keep where the tile lies in what the network gave."""
        self._tile = tile

    def _segment_tile(self, maps: NetworkMaps) -> np.ndarray:
        """Make the masks of the present tile of what the network gave for the whole image."""
        assert self._tile is not None
        flows = maps.of(self._tile)
        self._model.flows = flows[:2, None]
        return self._model._compute_masks(
            (1, *flows.shape[1:], 2),
            None,
            flows[2:],
            niter=200 / maps.rescale,
            interp=True,
            flow_threshold=self.parameters.flow_threshold,
            cellprob_threshold=self.parameters.cellprob_threshold,
            min_size=self.parameters.min_size,
            max_size_fraction=_LARGEST_SHARE,
        )

    def end_tiles(self) -> None:
        """Forget what holds for the tiles of one image."""
        self._whole = self._tile = None

    def _common(self, image: np.ndarray, normalize: bool | dict[str, Any]) -> dict[str, Any]:
        """What the library's ``eval`` takes besides the image."""
        return {
            "channels": list(self.parameters.channels),
            "channel_axis": -1 if image.ndim == 3 else None,
            "batch_size": self.parameters.batch_size or self._batch_size,
            "normalize": normalize,
        }

    def _is_flattened(self, image: np.ndarray) -> bool:
        """Whether an image of which the network saw nothing has something to see."""
        from cellharness_adapters.cellpose.library import transforms

        channels, axis = list(self.parameters.channels), -1 if image.ndim == 3 else None
        seen = transforms.convert_image(image, channels, channel_axis=axis)[..., 0]
        return bool(seen.min() < seen.max())

    def _diameter(self, image: np.ndarray, common: dict[str, Any]) -> float | None:
        """Diameter in px by the chosen policy; None leaves it to the weights' training mean."""
        policy = self.parameters.diameter
        self._details = {
            "diameter_policy": policy if isinstance(policy, str) else "fixed",
            **self._how,
        }
        used: float | None
        if policy == "estimate":
            from cellharness.training.arrays_on_disk import content_key

            assert self._size is not None
            found = self.once(
                "diameter",
                {**self._sizer_identity, "image": content_key(image), **common},
                lambda: self._estimated(image, common),
            )
            used = found["diameter"]
            self._details["diameter_from_style"] = found["from_style"]
        elif policy == "training_mean":
            self._details["diameter"] = float(self._model.diam_labels)
            return None
        elif policy == "truth_median":
            used = self._truth_median()
        else:
            used = policy
        self._details["diameter"] = float(used)
        return float(used)

    def _estimated(self, image: np.ndarray, common: dict[str, Any]) -> dict[str, float]:
        """Diameter by the size model, and what it makes of the style alone, in px."""
        assert self._size is not None
        with self._set(exact=True):
            used, from_style = self._size.eval(image, **common)
        return {"diameter": float(used), "from_style": float(from_style)}

    def _truth_median(self) -> float:
        from cellharness.data.images import read_label
        from cellharness_adapters.cellpose.library import utils

        if self._case is None or self._case.label is None:
            msg = "diameter 'truth_median' needs the case's label image, and it has none"
            raise UnsupportedCaseError(msg)
        median = float(utils.diameters(read_label(self._case.label))[0])
        return median if median > 0 else float(self._model.diam_mean)

    def model_of(self, networks: list[CPnet], precision: Precision, device: torch.device) -> Any:
        """Give the library's model with networks of ours, or with its own for ``stock``."""
        from cellharness_adapters.cellpose.network import FastNetwork

        stock = precision == "stock"
        model = _timed_model(self, device, stock=stock)
        if stock:
            model.net = networks[0].to(device)
        else:
            model.net = FastNetwork(networks, precision, device)
            self._networks.append(model.net)
        model.diam_mean = float(networks[0].diam_mean.item())
        model.diam_labels = float(networks[0].diam_labels.item())
        return model

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        if "auto" not in (self.parameters.precision, self.parameters.device):
            return {}
        try:
            device, precision = self._choices()
        except ImportError as error:
            raise missing_package(what="Cellpose", error=error, extra="cellpose") from error
        return {"precision": precision, "device": device}

    def _choices(self) -> tuple[Device, Precision]:
        """Device and precision, ``auto`` settled."""
        device = choose_device(self.parameters.device)
        precision = choose_precision(self.parameters.precision, device, automatic_precision)
        return device, cast("Precision", precision)

    @contextmanager
    def _set(self, **switches: bool) -> Iterator[None]:
        """Turn switches of the fast network on for a while; the stock one has none."""
        places = [(network, name) for network in self._networks for name in switches]
        for network, name in places:
            setattr(network, name, switches[name])
        try:
            yield
        finally:
            for network, name in places:
                setattr(network, name, False)


def _timed_model(owner: Cellpose, device: torch.device, *, stock: bool) -> Any:
    """Make a ``CellposeModel`` without weights that reports its phases to ``owner``.

    Unless ``stock``, the library's picture of the flows, which nobody reads, is drawn of a
    corner only, and masks are made by our own reconstruction, on the CPU beside a GPU too: it
    takes a third of the time of the library's on the GPU.
    """
    from cellharness_adapters.cellpose.cpu.reconstruction import reconstruct
    from cellharness_adapters.cellpose.library import models

    class TimedModel(models.CellposeModel):
        flows: np.ndarray
        owner: Cellpose

        def eval(self, x: Any, *args: Any, compute_masks: bool = True, **kwargs: Any) -> Any:
            if compute_masks:
                return super().eval(x, *args, **kwargs)
            with self.owner._set(style_only=True):
                return super().eval(x, *args, compute_masks=False, **kwargs)

        def _run_net(self, x: np.ndarray, *args: Any, **kwargs: Any) -> Any:
            # An image is (1, H, W, 2) here.
            height, width = x.shape[1:3]
            scale = kwargs["rescale"]
            left = min(int(height * scale), int(width * scale))
            check_left((height, width), scale, left, "set a smaller diameter")
            self.owner._saw_nothing = not x[..., 0].any()
            with self.owner.timer.phase("network"):
                self.flows, cellprob, styles = super()._run_net(x, *args, **kwargs)
            check_finite("Cellpose's network", self.flows, cellprob, styles)
            corner = self.flows if stock else self.flows[:, :, :2, :2]
            return corner, cellprob, styles

        def _compute_masks(
            self, shape: Any, _corner: Any, cellprob: np.ndarray, **kwargs: Any
        ) -> np.ndarray:
            with self.owner.timer.phase("postprocess"):
                if stock or len(cellprob) != 1:
                    return super()._compute_masks(shape, self.flows, cellprob, **kwargs)
                return reconstruct(
                    self.flows[:, 0],
                    cellprob[0],
                    resize=None if cellprob.shape[1:] == shape[1:3] else list(shape[1:3]),
                    **{name: kwargs[name] for name in _EVAL_PARAMETERS},
                )

    # No weight name is given, so the library's silent fall-back to cyto3 cannot happen.
    model = TimedModel(device=device, gpu=device.type == "cuda", pretrained_model=False)
    model.owner = owner
    return model


def _refuse_tiny(image: np.ndarray) -> None:
    """Raise for what the library takes for something else: few rows for channels."""
    height, width = image.shape[:2]
    if height < _FEWEST_ROWS or width < _FEWEST_COLUMNS:
        msg = (
            f"an image of {height} x {width} px (rows x columns) is too small: Cellpose's library "
            f"takes fewer than {_FEWEST_ROWS} rows for channels and needs {_FEWEST_COLUMNS} columns"
        )
        raise UnsupportedCaseError(msg)
