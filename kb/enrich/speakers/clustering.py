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
LEFT = 100  # clusters of a block, where the number of all is given


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
    are left. A cluster with less than `least_share` of all vectors joins its nearest one; it is
    not one of `count` as long as there are that many larger ones.
    """
    labels = np.zeros(len(vectors), np.int64)
    sums: list[Vectors] = []
    sizes: list[int] = []
    for begin in range(0, len(vectors), BLOCK):
        block = vectors[begin : begin + BLOCK].astype(np.float32)
        ones = np.ones(len(block), np.int64)
        merges = _merges(block, ones)
        if count is None:
            found = _below(merges, len(block), distance)
        else:  # their number decides later
            found = _cut(merges[: max(0, len(block) - LEFT)], len(block))
        labels[begin : begin + len(block)] = found + len(sums)
        for label in range(int(found.max(initial=-1)) + 1):
            members = block[found == label]
            sums.append(members.sum(axis=0))
            sizes.append(len(members))
    if not sums:
        return Clusters(labels, np.zeros((0, vectors.shape[1]), np.float32))
    merges = _merges(np.stack(sums), np.array(sizes))
    if count is None:
        merged = _below(merges, len(sums), distance)
    else:
        merged, least_share = _counted(merges, np.array(sizes), count, least_share)
    labels = _without_small(vectors, merged[labels], least_share)
    return _by_size(vectors, labels)


Merge = tuple[float, int, int]
"""The mean cosine distance of two clusters, and a member of each."""


def _merges(sums: Vectors, sizes: Labels) -> list[Merge]:
    """Return all merges of average linkage, the closest first."""
    sums, weights = sums.astype(np.float32, copy=True), sizes.astype(np.float32)
    alive = np.ones(len(sums), bool)
    merges: list[Merge] = []
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
    return sorted(merges)


def _below(merges: list[Merge], number: int, distance: float) -> Labels:
    """Return the cluster of each of `number` after the merges below a distance."""
    return _cut([merge for merge in merges if merge[0] < distance], number)


def _counted(
    merges: list[Merge], sizes: Labels, count: int, least_share: float
) -> tuple[Labels, float]:
    """Return the cluster of each, so that `count` are large, and the share that a small one has.

    A few odd windows would otherwise be a cluster, and two voices one.
    """
    number, least = len(sizes), least_share * sizes.sum()
    for left in range(min(count, number), min(count + LEFT, number) + 1):
        labels = _cut(merges[: number - left], number)
        if (np.bincount(labels, weights=sizes) >= least).sum() >= count:
            return labels, least_share
    return _cut(merges[: max(0, number - count)], number), 0.0


def _cut(merges: list[Merge], number: int) -> Labels:
    """Return the cluster of each of `number` after these merges, numbered from 0."""
    parent = np.arange(number)
    for _, first, second in merges:
        parent[_root(parent, first)] = _root(parent, second)
    roots = np.array([_root(parent, each) for each in range(number)], np.int64)
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
