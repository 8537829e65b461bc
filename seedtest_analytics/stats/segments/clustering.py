"""k-means and Gaussian mixtures by scikit-learn, on all students or on a stated sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MINIBATCH_ROWS = 50_000
"""Above this many rows k-means runs on mini-batches."""
MIXTURE_ROWS = 50_000
"""A mixture is estimated on at most this many students and assigns all."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run scikit-learn on one thread, for hundreds of fits of a few milliseconds each.

    On a busy machine its OpenMP threads spin while they wait for each other: 0.3 s of work took 80 s. Sums over threads
    also change their order from run to run.
    """
    import sklearn.cluster  # noqa: F401  (a limit applies only to loaded libraries)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@dataclass(frozen=True)
class Clustering:
    """``centres`` (k, q) scaled; ``labels`` (n,); ``confidence`` (n,) in 0..1; ``method`` that actually ran.

    Confidence is the posterior probability under a mixture, and for k-means one minus the ratio of the distances to the
    nearest and the second nearest centre.
    """

    centres: Floats
    labels: Ints
    confidence: Floats
    method: str
    n_fitted: int


def cluster(Z: Floats, k: int, *, method: str, seed: int, n_init: int = 10) -> Clustering:
    """Cluster (n, q) scaled rows into ``k`` groups by ``kmeans`` or ``gmm``."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.mixture import GaussianMixture

    estimator: Any
    sample = Z
    if method == "gmm":
        name, sample = "gaussian_mixture", Z[sample_rows(len(Z), MIXTURE_ROWS)]
        estimator = GaussianMixture(k, covariance_type="full", n_init=3, reg_covar=1e-3, random_state=seed)
    elif len(Z) > MINIBATCH_ROWS:
        name = "minibatch_kmeans"
        estimator = MiniBatchKMeans(k, batch_size=8_192, n_init=3, max_iter=30, random_state=seed)
    else:
        name, estimator = "kmeans", KMeans(k, n_init=n_init, random_state=seed)
    estimator.fit(sample)
    centres = estimator.means_ if method == "gmm" else estimator.cluster_centers_
    labels, confidence = _assign(estimator, Z)
    return Clustering(np.asarray(centres), labels, confidence=confidence, method=name, n_fitted=len(sample))


def _assign(estimator: Any, Z: Floats, *, block: int = 100_000) -> tuple[Ints, Floats]:
    """(n,) labels and confidence of scaled rows, in blocks to limit the memory for distances."""
    labels, confidence = np.empty(len(Z), dtype=np.int64), np.empty(len(Z))
    for begin in range(0, len(Z), block):
        rows = slice(begin, begin + block)
        if hasattr(estimator, "predict_proba"):
            posterior = estimator.predict_proba(Z[rows])
            labels[rows], confidence[rows] = posterior.argmax(axis=1), posterior.max(axis=1)
            continue
        distance = estimator.transform(Z[rows])
        labels[rows] = distance.argmin(axis=1)
        if distance.shape[1] == 1:
            confidence[rows] = 1.0
            continue
        nearest = np.partition(distance, 1, axis=1)[:, :2]
        confidence[rows] = 1.0 - nearest[:, 0] / np.maximum(nearest[:, 1], 1e-12)
    return labels, confidence


def sample_rows(n: int, at_most: int) -> NDArray[np.intp]:
    """All rows, or about ``at_most`` evenly spaced ones."""
    return np.arange(n) if n <= at_most else np.linspace(0, n - 1, at_most).round().astype(np.intp)


def within_sums(Z: Floats, labels: Ints, *, k: int) -> Floats:
    """(k,) sums of squared distances to the members' own means."""
    counts = np.maximum(np.bincount(labels, minlength=k), 1)
    total = np.zeros(k)
    for column in Z.T:
        sums, squares = (np.bincount(labels, weights=w, minlength=k) for w in (column, column**2))
        total += squares - sums**2 / counts
    return np.maximum(total, 0.0)
