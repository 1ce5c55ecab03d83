"""Weights on the straight line between two networks of one shape."""

from __future__ import annotations

from torch import nn


def interpolate(start: nn.Module, end: nn.Module, share: float) -> None:
    """Move the weights of ``end`` towards ``start``, in place.

    Running means and variances of batch norms are mixed like weights; counts and the
    diameters (``diam_mean``, ``diam_labels``) stay those of ``end``.

    Parameters
    ----------
    start, end : nn.Module
        Networks of one architecture.
    share : float
        0 gives ``start``, 1 leaves ``end`` as it is (Wortsman et al., CVPR 2022, eq. 1).
    """
    origin = start.state_dict()
    for name, value in end.state_dict().items():
        if value.is_floating_point() and not name.startswith("diam_"):
            value.mul_(share).add_(origin[name], alpha=1 - share)
