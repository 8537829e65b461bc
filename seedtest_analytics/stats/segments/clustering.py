"""The clusterings themselves: k-means and Gaussian mixtures by scikit-learn, on all students or on a stated
sample.
"""

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
"""From here on k-means runs on mini-batches."""
MIXTURE_ROWS = 50_000
"""A mixture is estimated on at most this many students; all are assigned by it."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run scikit-learn on one thread: hundreds of fits of a few milliseconds each.

    On a machine with other work its OpenMP threads wait for each other by spinning: 0.3 s of work took 80 s.
    And sums over threads come out in another order each time.
    """
    import sklearn.cluster  # noqa: F401  (a limit reaches only libraries that are loaded)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@dataclass(frozen=True)
class Clustering:
    """``centres`` (k, q) scaled; ``labels`` (n,); ``confidence`` (n,) in 0..1; ``method`` what was really
    run.

    Confidence is the posterior probability under a mixture; for k-means one minus the ratio of the distances
    to the nearest and the second nearest centre. ``estimator`` assigns new rows.
    """

    centres: Floats
    labels: Ints
    confidence: Floats
    method: str
    n_fitted: int
    estimator: Any


def cluster(Z: Floats, k: int, *, method: str, seed: int, n_init: int = 10) -> Clustering:
    """Cluster (n, q) scaled rows into ``k`` groups by ``kmeans`` or ``gmm``."""
    if method == "gmm":
        return _mixture(Z, k, seed=seed)
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if len(Z) > MINIBATCH_ROWS:
        estimator = MiniBatchKMeans(k, batch_size=8_192, n_init=3, max_iter=30, random_state=seed).fit(Z)
        name = "minibatch_kmeans"
    else:
        estimator = KMeans(k, n_init=n_init, random_state=seed).fit(Z)
        name = "kmeans"
    labels, confidence = assign(estimator, Z)
    return Clustering(
        np.asarray(estimator.cluster_centers_),
        labels,
        confidence=confidence,
        method=name,
        n_fitted=len(Z),
        estimator=estimator,
    )


def _mixture(Z: Floats, k: int, *, seed: int) -> Clustering:
    from sklearn.mixture import GaussianMixture

    sample = Z[sample_rows(len(Z), MIXTURE_ROWS)]
    estimator = GaussianMixture(k, covariance_type="full", n_init=3, reg_covar=1e-3, random_state=seed).fit(sample)
    labels, confidence = assign(estimator, Z)
    return Clustering(
        np.asarray(estimator.means_),
        labels,
        confidence=confidence,
        method="gaussian_mixture",
        n_fitted=len(sample),
        estimator=estimator,
    )


def assign(estimator: Any, Z: Floats, *, block: int = 100_000) -> tuple[Ints, Floats]:
    """(n,) labels and confidence of scaled rows, in blocks so that a million rows need no million distances
    at once.
    """
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
    """Evenly spaced rows: all of them, or about ``at_most``."""
    return np.arange(n) if n <= at_most else np.linspace(0, n - 1, at_most).round().astype(np.intp)


def within_sums(Z: Floats, labels: Ints, *, k: int) -> Floats:
    """(k,) sums of squared distances to the members' own means."""
    counts = np.maximum(np.bincount(labels, minlength=k), 1)
    total = np.zeros(k)
    for column in Z.T:
        sums, squares = (np.bincount(labels, weights=w, minlength=k) for w in (column, column**2))
        total += squares - sums**2 / counts
    return np.maximum(total, 0.0)
