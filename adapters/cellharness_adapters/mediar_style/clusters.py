"""How often each training image is drawn, by groups of images that look alike."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans, vq


def clusters_of(embeddings: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Group images by k-means of what a network makes of them.

    Parameters
    ----------
    embeddings : ndarray of float, (N, D)
        One row an image.
    clusters : int
        Groups at most; no more than there are images.
    seed : int
        Of the first centres.

    Returns
    -------
    ndarray of int, (N,)
        Group of each image.
    """
    spread = embeddings.std(axis=0)
    scaled = ((embeddings - embeddings.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(
        np.float64
    )
    centres, _ = kmeans(scaled, min(clusters, len(scaled)), iter=5, seed=seed)
    return vq(scaled, centres)[0]


def amplified_weights(groups: np.ndarray, amplification: float) -> np.ndarray:
    """Probability of each image, such that small groups are drawn as if they were larger.

    Parameters
    ----------
    groups : ndarray of int, (N,)
        Group of each image.
    amplification : float
        A group with fewer images than this times the mean counts as if it had so many.

    Returns
    -------
    ndarray of float64, (N,)
        Sums to 1.

    Examples
    --------
    >>> amplified_weights(np.array([0, 0, 0, 1]), 1.5).round(2).tolist()
    [0.17, 0.17, 0.17, 0.5]
    """
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = np.maximum(sizes, amplification * sizes.mean())
    weights = (wanted / sizes)[which]
    return weights / weights.sum()
