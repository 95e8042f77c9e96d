"""Average-linkage clustering of voice embeddings by cosine, in blocks.

The mean cosine between the members of two clusters is the product of their mean vectors, so that a
cluster is its sum and its size, and no matrix of all pairs is made. Long sound is clustered in
blocks; the clusters of the blocks are then merged by the same rule. Pairs are found with the
nearest-neighbour chain (Murtagh, "A survey of recent advances in hierarchical clustering", 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]

BLOCK = 2000  # embeddings: about a quarter of an hour of speech


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters of embeddings: the label of each embedding, and the mean of each cluster."""

    labels: Labels
    means: Vectors


def cluster(
    vectors: Vectors, distance: float, *, least_share: float = 0.0, count: int | None = None
) -> Clusters:
    """Return the clusters of unit vectors [n, d], the largest first; they may be of half precision.

    Two clusters are merged while their mean cosine distance is below `distance`, or until `count`
    are left. A cluster with less than `least_share` of all vectors joins its nearest one.
    """
    labels = np.zeros(len(vectors), np.int64)
    sums: list[Vectors] = []
    sizes: list[int] = []
    for begin in range(0, len(vectors), BLOCK):
        block = vectors[begin : begin + BLOCK].astype(np.float32)
        ones = np.ones(len(block), np.int64)
        # Only what is surely one voice is merged here if their number decides later.
        found = _merged(block, ones, distance / 2 if count else distance, None)
        labels[begin : begin + len(block)] = found + len(sums)
        for label in range(int(found.max(initial=-1)) + 1):
            members = block[found == label]
            sums.append(members.sum(axis=0))
            sizes.append(len(members))
    if not sums:
        return Clusters(labels, np.zeros((0, vectors.shape[1]), np.float32))
    merged = _merged(np.stack(sums), np.array(sizes), distance, count)
    labels = merged[labels]
    labels = _without_small(vectors, labels, least_share)
    return _by_size(vectors, labels)


def _merged(sums: Vectors, sizes: Labels, distance: float, count: int | None) -> Labels:
    """Return the cluster of each of these clusters, numbered from 0."""
    sums, weights = sums.astype(np.float32, copy=True), sizes.astype(np.float32)
    alive = np.ones(len(sums), bool)
    merges: list[tuple[float, int, int]] = []
    chain: list[int] = []
    for _ in range(len(sums) - 1):
        if not chain:
            chain.append(int(np.flatnonzero(alive)[0]))
        while True:
            top = chain[-1]
            similar = (sums @ sums[top]) / (weights * weights[top])
            similar[~alive] = -np.inf
            similar[top] = -np.inf
            if len(chain) > 1:  # a tie must lead back, or the chain would not end
                similar[chain[-2]] += 1e-7
            nearest = int(similar.argmax())
            if len(chain) > 1 and nearest == chain[-2]:
                break
            chain.append(nearest)
        first, second = chain.pop(), chain.pop()
        merges.append((1.0 - float(similar[nearest]), first, second))
        sums[second] += sums[first]
        weights[second] += weights[first]
        alive[first] = False
    merges.sort(key=lambda merge: merge[0])
    parent = np.arange(len(sums))
    left = len(sums)
    for far, first, second in merges:
        if left <= count if count else far >= distance:
            break
        parent[_root(parent, first)] = _root(parent, second)
        left -= 1
    roots = np.array([_root(parent, each) for each in range(len(sums))], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _root(parent: Labels, each: int) -> int:
    while parent[each] != each:
        parent[each] = parent[parent[each]]
        each = int(parent[each])
    return each


def _means(vectors: Vectors, labels: Labels) -> Vectors:
    number = int(labels.max(initial=-1)) + 1
    sums = np.zeros((number, vectors.shape[1]), np.float32)
    for begin in range(0, len(vectors), BLOCK):
        members = labels[begin : begin + BLOCK] == np.arange(number)[:, None]
        sums += members.astype(np.float32) @ vectors[begin : begin + BLOCK].astype(np.float32)
    sizes = np.maximum(np.bincount(labels, minlength=number), 1).astype(np.float32)
    return np.asarray(sums / sizes[:, None], np.float32)


def _without_small(vectors: Vectors, labels: Labels, least_share: float) -> Labels:
    sizes = np.bincount(labels)
    large = np.flatnonzero(sizes >= least_share * len(labels))
    if not 0 < len(large) < len(sizes):
        return labels
    means = _unit(_means(vectors, labels))
    nearest = large[(means @ means[large].T).argmax(axis=1)]
    nearest[large] = large
    return np.unique(nearest[labels], return_inverse=True)[1].astype(np.int64)


def _by_size(vectors: Vectors, labels: Labels) -> Clusters:
    order = np.argsort(-np.bincount(labels), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    labels = place[labels]
    return Clusters(labels, _unit(_means(vectors, labels)))


def similarities(vectors: Vectors, means: Vectors) -> Vectors:
    """Return the cosine of each vector with each mean, [n, clusters]."""
    found = [
        vectors[begin : begin + BLOCK].astype(np.float32) @ means.T
        for begin in range(0, len(vectors), BLOCK)
    ]
    return np.concatenate(found) if found else np.zeros((0, len(means)), np.float32)


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9), np.float32)
