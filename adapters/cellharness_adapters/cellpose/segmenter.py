"""Cellpose through its own library: pre-trained weights, explicit diameter policy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import Field

from cellharness.errors import MissingDependencyError, UsageError
from cellharness.files import hash_file
from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters, UnsupportedCaseError
from cellharness.methods.device import Device, choose_device, choose_precision
from cellharness.methods.installation import install_command
from cellharness.weights import Weights
from cellharness_adapters.cellpose.precision import Precision, automatic_precision
from cellharness_adapters.cellpose.weights import diam_mean_of, resolve

if TYPE_CHECKING:
    import numpy as np
    import torch
    from cellpose.resnet_torch import CPnet

    from cellharness.data.manifest import Case
    from cellharness_adapters.cellpose.network import FastNetwork

#: What the library hands to its mask reconstruction for a single 2-D image.
_EVAL_PARAMETERS = (
    "niter",
    "cellprob_threshold",
    "flow_threshold",
    "interp",
    "min_size",
    "max_size_fraction",
)


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
    channels: tuple[int, int] = Field(
        (0, 0), description="Cell and nucleus channel; 0 grey or none, 1 red, 2 green, 3 blue."
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
        "mixed: diameter in float32, since masks hang on its third digit, then bfloat16. "
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
    )
    Parameters: ClassVar[type[Parameters]] = CellposeParameters
    parameters: CellposeParameters

    def __init__(self, parameters: CellposeParameters | None = None) -> None:
        super().__init__(parameters)
        self._case: Case | None = None
        self._networks: list[FastNetwork] = []
        self._details: dict[str, Any] = {}

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

        roles = [role for role in weights.files if role.startswith("network")]
        roles = roles if self.parameters.net_avg else ["network"]
        diam_mean = diam_mean_of(weights)
        return [load_network(weights.files[role], diam_mean, mkldnn=mkldnn) for role in roles]

    def load(self) -> None:
        """Load network and size model; refuse a cellpose that cannot run these weights."""
        try:
            import torch

            from cellharness_adapters.cellpose.library import models
        except ImportError as error:
            raise _missing(error) from error
        if not version("cellpose").startswith("3."):
            found = f"cellpose {version('cellpose')}"
            msg = f"{found} cannot run cyto weights; 3.1.1.3 can. {_install_hint()}"
            raise MissingDependencyError(msg)
        from cellharness_adapters.cellpose.network import load_network

        # The library's own sparse tensors; nothing a user of it could mend.
        warnings.filterwarnings("ignore", message=".*parse invariant.*")
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
        if device.type == "cuda":
            self.timer.synchronise = torch.cuda.synchronize
        self._batch_size = 8 if stock or device.type != "cpu" else 64
        self._how = {"precision": precision, "device": device.type}

    def warmup(self) -> None:
        """Run once, so that all is compiled before the first case is timed."""
        import numpy as np

        if self._networks and self._how["device"] == "cpu":
            from cellharness_adapters.cellpose.cpu.reconstruction import compile_ahead

            compile_ahead()
        tile = np.random.default_rng(0).normal(size=(224, 224)).astype(np.float32)
        self._model.eval(tile, channels=[0, 0], diameter=self._model.diam_mean)
        self.timer.reset()

    def case_identity(self, case: Case) -> str:
        """SHA256 of the label image where the oracle diameter is read from it."""
        if self.parameters.diameter != "truth_median" or case.label is None:
            return ""
        return hash_file(case.label) if case.label.is_file() else "absent"

    def begin_case(self, case: Case) -> None:
        """Keep the case: the oracle diameter needs its label image."""
        self._case = case

    def details(self) -> dict[str, Any]:
        """Diameter used and how it was found, precision and device."""
        return self._details

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; Cellpose scales the 1st and 99th percentile to 0 and 1.

        Returns
        -------
        ndarray of uint16 or uint32, (H, W)
        """
        common: dict[str, Any] = {
            "channels": list(self.parameters.channels),
            "channel_axis": -1 if image.ndim == 3 else None,
            "batch_size": self.parameters.batch_size or self._batch_size,
        }
        diameter = self._diameter(image, common)
        return self._model.eval(
            image,
            diameter=diameter,
            flow_threshold=self.parameters.flow_threshold,
            cellprob_threshold=self.parameters.cellprob_threshold,
            min_size=self.parameters.min_size,
            tile_overlap=self.parameters.tile_overlap,
            augment=self.parameters.augment,
            **common,
        )[0]

    def _diameter(self, image: np.ndarray, common: dict[str, Any]) -> float | None:
        """Diameter in px by the chosen policy; None leaves it to the weights' training mean."""
        policy = self.parameters.diameter
        self._details = {
            "diameter_policy": policy if isinstance(policy, str) else "fixed",
            **self._how,
        }
        used: float | None
        if policy == "estimate":
            assert self._size is not None
            with self._set(exact=True):
                used, from_style = self._size.eval(image, **common)
            self._details["diameter_from_style"] = float(from_style)
        elif policy == "training_mean":
            self._details["diameter"] = float(self._model.diam_labels)
            return None
        elif policy == "truth_median":
            used = self._truth_median()
        else:
            used = policy
        self._details["diameter"] = float(used)
        return float(used)

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
            raise _missing(error) from error
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
    corner only, and on the CPU masks are made by our own reconstruction.
    """
    from cellharness_adapters.cellpose.cpu.reconstruction import reconstruct
    from cellharness_adapters.cellpose.library import models

    class TimedModel(models.CellposeModel):
        flows: np.ndarray

        def eval(self, x: Any, *args: Any, compute_masks: bool = True, **kwargs: Any) -> Any:
            if compute_masks:
                return super().eval(x, *args, **kwargs)
            with owner._set(style_only=True):
                return super().eval(x, *args, compute_masks=False, **kwargs)

        def _run_net(self, *args: Any, **kwargs: Any) -> Any:
            with owner.timer.phase("network"):
                self.flows, cellprob, styles = super()._run_net(*args, **kwargs)
            corner = self.flows if stock else self.flows[:, :, :2, :2]
            return corner, cellprob, styles

        def _compute_masks(
            self, shape: Any, _corner: Any, cellprob: np.ndarray, **kwargs: Any
        ) -> np.ndarray:
            with owner.timer.phase("postprocess"):
                if stock or device.type != "cpu" or len(cellprob) != 1:
                    return super()._compute_masks(shape, self.flows, cellprob, **kwargs)
                return reconstruct(
                    self.flows[:, 0],
                    cellprob[0],
                    resize=None if cellprob.shape[1:] == shape[1:3] else list(shape[1:3]),
                    **{name: kwargs[name] for name in _EVAL_PARAMETERS},
                )

    # No weight name is given, so the library's silent fall-back to cyto3 cannot happen.
    return TimedModel(device=device, gpu=device.type == "cuda", pretrained_model=False)


def _missing(error: ImportError) -> MissingDependencyError:
    msg = f"method 'cellpose' needs a package that is not installed: {error}. {_install_hint()}"
    return MissingDependencyError(msg)


def _install_hint() -> str:
    return f"Install it with: {install_command('cellpose')}"
