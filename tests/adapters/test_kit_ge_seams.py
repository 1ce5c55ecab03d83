"""Tiles and the network's strides: the maps must be those of the whole image."""

from __future__ import annotations

import numpy as np
import pytest

from cellharness_adapters.kit_ge.tiles import predict_tiled, spans


@pytest.mark.parametrize("divisor", [1, 8, 16])
def test_weights_add_up_to_one_and_tiles_start_on_the_grid(divisor):
    for tile in range(2 * divisor, 10 * divisor, divisor):
        for overlap in range(0, (tile + 1) // 2, max(divisor // 2, 1)):
            if tile - overlap < divisor or 2 * overlap >= tile:
                continue
            for length in range(1, 40 * divisor, max(divisor // 3, 1)):
                found = spans(length, tile, overlap, divisor)
                total = np.zeros(length + divisor)
                for start, weights in found:
                    assert start % divisor == 0
                    total[start : start + len(weights)] += weights
                np.testing.assert_allclose(total[:length], 1, atol=1e-6)
                ends = [start + len(weights) for start, weights in found]
                assert 0 <= ends[-1] - length < divisor
                assert all(
                    end - later.start >= overlap
                    for end, later in zip(ends, found[1:], strict=False)
                )


@pytest.mark.parametrize("shape", [(250, 330), (300, 120), (129, 257)])
def test_tiles_of_a_strided_network_give_the_maps_of_the_whole_image(shape):
    torch = pytest.importorskip("torch", reason="needs torch")
    from cellharness_adapters.kit_ge.network import DUNet

    torch.manual_seed(0)
    # Sees less than 24 px to each side, a quarter of the overlap.
    network = DUNet((4, 16)).eval()

    def predict(tiles):
        with torch.inference_mode():
            neighbor, cell = network(torch.from_numpy(np.ascontiguousarray(tiles[:, None])))
        return neighbor[:, 0].numpy(), cell[:, 0].numpy()

    image = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    whole = predict_tiled(image, predict, tile=512, overlap=96, divisor=4)
    tiled = predict_tiled(image, predict, tile=224, overlap=96, divisor=4, batch_size=3)
    for one, other in zip(whole, tiled, strict=True):
        assert one.std() > 1e-3
        np.testing.assert_allclose(other, one, atol=1e-5)
