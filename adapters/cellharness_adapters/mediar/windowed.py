"""What MEDIAR and the small network trained in its style share: windows, flows, cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cellharness.methods.base import FLAT_IMAGE, UnsupportedCaseError
from cellharness.methods.device import choose_device, choose_precision, settled
from cellharness.methods.replicas import SharedPredictor
from cellharness_adapters.mediar.presets import Fault, Preset, passes_of

if TYPE_CHECKING:
    import numpy as np

    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.mediar.network import MediarFormer
    from cellharness_adapters.mediar.whole_image import WholeOutput


class WindowedSegmenter(SharedPredictor):
    """Networks that give flows and probabilities of windows, and the cells made of them.

    Their parameters have ``device``, ``precision`` and ``batch_size``. A method fills the networks
    in ``load`` and calls :meth:`get_ready` there.
    """

    parameters: Any
    #: Whether an image comes by tiles, and what the networks gave for it; None if it is flat.
    _by_tiles = False
    _whole: WholeOutput | None = None
    _tile: Tile | None = None

    def get_ready(self, networks: Sequence[MediarFormer], window: int, preset: Preset) -> None:
        """Put networks on the device, and keep device and precision for the ledger.

        Parameters
        ----------
        networks : sequence of MediarFormer
            One or two.
        window : int
            Side of a window in px.
        preset : Preset
            What is used of it, parameters that are set already in their place.
        """
        from cellharness_adapters.mediar.prediction import Predictor

        wanted = self.parameters
        device = choose_device(wanted.device)
        precision = choose_precision(wanted.precision, device)
        self.timer.wait_for(device)
        self._networks, self._window, self._preset = len(networks), window, preset
        self._predict = Predictor(networks, device, precision, window, wanted.batch_size)
        self._how: dict[str, Any] = {"device": device, "precision": precision}

    def settle_overlap(self, height: int, width: int) -> float:  # noqa: ARG002
        """Share of a window that the next one covers too, in an image of this size."""
        overlap: float = self.parameters.overlap
        return overlap

    def faults(self) -> tuple[Fault, ...]:
        """Faults of the original to have back."""
        return ()

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        return settled(self.parameters.device, self.parameters.precision)

    def warmup(self) -> None:
        """Run one window."""
        import numpy as np

        side = self._window
        plain = passes_of("none", side, side, 1)
        self._predict(np.zeros((3, side, side), np.float32), plain, 0.0)
        self.timer.reset()

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; grey becomes three equal channels.

        Returns
        -------
        ndarray of uint32, (H, W)
        """
        import numpy as np

        from cellharness_adapters.mediar.preparing import prepare

        height, width = image.shape[:2]
        if self._by_tiles:
            if self._whole is None:
                return np.zeros((height, width), np.uint32)
            assert self._tile is not None
            return self._find_cells(self._whole.of(self._tile), whole=False)
        preset = self._preset
        passes = passes_of(preset.flips, height, width, self._networks)
        self._details = {**self._how, "passes": len(passes)}
        ready = prepare(image, preset.normalisation)
        if ready is None:
            self._details["remark"] = FLAT_IMAGE
            return np.zeros((height, width), np.uint32)
        overlap = self.settle_overlap(height, width)
        with self.timer.phase("network"):
            output = self._predict(ready, passes, overlap)
        return self._find_cells(output, whole=True)

    def _find_cells(self, output: np.ndarray, *, whole: bool) -> np.ndarray:
        from cellharness_adapters.mediar.cells import find_cells

        preset = self._preset
        with self.timer.phase("postprocess"):
            return find_cells(
                output,
                cellprob_threshold=preset.cellprob_threshold,
                flow_threshold=preset.flow_threshold,
                clean=preset.clean,
                faults=self.faults(),
                whole=whole,
            )

    def begin_tiles(self, image: SlideImage) -> None:
        """Run the networks on the whole image; of their output cells are made tile by tile.

        Raises
        ------
        UnsupportedCaseError
            Faults of the original are asked for, which are faults of whole images.
        """
        from cellharness_adapters.mediar.whole_image import run_networks, stretched_whole

        if self.faults():
            msg = f"faults {list(self.faults())} are those of whole images; leave them or tiles out"
            raise UnsupportedCaseError(msg)
        height, width = image.shape
        passes = passes_of(self._preset.flips, height, width, self._networks)
        self._details = {**self._how, "passes": len(passes)}
        overlap = self.settle_overlap(height, width)
        self._by_tiles, self._whole = True, None
        seen = stretched_whole(image, self._preset.normalisation)
        if seen is None:
            self._details["remark"] = FLAT_IMAGE
            return
        with self.timer.phase("network"):
            self._whole = run_networks(
                seen,
                self._predict,
                passes,
                window=self._window,
                overlap=overlap,
                batch_size=self.parameters.batch_size,
            )

    def begin_tile(self, tile: Tile) -> None:
        """Keep where the tile lies in what the networks gave."""
        self._tile = tile

    def keep_cells(self, areas: np.ndarray) -> np.ndarray | None:
        """Drop cells far below the mean area, where cleaning is asked for."""
        if not self._preset.clean:
            return None
        from cellharness_adapters.mediar.cells import are_kept

        return are_kept(areas)

    def end_tiles(self) -> None:
        """Forget what the networks gave for one image."""
        self._by_tiles, self._whole, self._tile = False, None, None
