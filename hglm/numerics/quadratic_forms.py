"""z'Qz for many rows, Q = (Z'Z + Σ^-1)^-1, without forming Q.

A row has k numbers at one level of each group, so

    z'Qz = Σ_t z_t'Q_tt z_t + 2 Σ_{t>s} z_t'Q_ts z_s.

The blocks Q_tt of single levels come with the factor, in O(q) for nested
groups. The blocks Q_ts between two levels are read from columns of Q, obtained
by solving for unit vectors of the smaller group. Levels that no chain of common
rows connects have Q_ts = 0: one solve then serves a level of every connected
component at once (probing; Tang & Saad 2012, Numer. Linear Algebra Appl. 19,
485-501). For a factor nested in another, that is a handful of solves in all; for
crossed groups, one for each level of all groups but the largest. A few rows of
crossed groups are solved for directly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from hglm.numerics.factor import Factor
from hglm.numerics.gramian import Gramian
from hglm.typing import Codes, Matrix, Vector

__all__ = ["GroupRows", "quadratic_forms"]

FEW_ROWS = 512
"""Up to this many rows of crossed groups, one solve a row."""
SOLVE_MEMORY = 2**23
"""Numbers held at once by a batch of solves (64 MB)."""


@dataclass(frozen=True, slots=True)
class GroupRows:
    """Random-effects columns of some rows, for one group."""

    codes: Codes
    """(m,) level of each row; negative: none."""
    z: Matrix
    """(m, k)"""

    @property
    def known(self) -> Codes:
        """Positions of the rows that have a level."""
        return np.flatnonzero(self.codes >= 0)

    def take(self, rows: Codes | slice) -> GroupRows:
        """Select some of the rows."""
        return GroupRows(self.codes[rows], self.z[rows])


def quadratic_forms(factor: Factor, rows: Sequence[GroupRows]) -> Vector:
    """Compute z'Qz row by row. Uses up a dense factor.

    Parameters
    ----------
    factor
        Of V = I + ZΣZ'.
    rows
        One record a group, each with m rows.

    Returns
    -------
    (m,)
    """
    m = len(rows[0].codes)
    used = [t for t, group in enumerate(rows) if group.known.size]
    if used and factor.crossed is not None and m <= FEW_ROWS:
        return _by_rows(factor, rows)
    out = np.zeros(m)
    if len(used) > 1:
        components = _components(factor.gramian)
        for i, t in enumerate(used[1:], start=1):
            out += 2.0 * _cross_terms(factor, rows, t, used[:i], components)
    if used:
        blocks = factor.posterior_blocks()  # last: uses up the factor
        for t in used:
            _add_diagonal(out, blocks[t], rows[t])
    return out


def _by_rows(factor: Factor, rows: Sequence[GroupRows]) -> Vector:
    m = len(rows[0].codes)
    out = np.empty(m)
    for start, stop in _batches(factor.gramian, m, 1):
        part = [group.take(slice(start, stop)) for group in rows]
        rhs = _zeros(factor.gramian, stop - start)
        for r, group in zip(rhs, part, strict=True):
            r[group.known, :, group.codes[group.known]] = group.z[group.known]
        values = np.zeros(stop - start)
        for b, group in zip(factor.modes(rhs), part, strict=True):
            i = group.known
            values[i] += np.sum(b[i, :, group.codes[i]] * group.z[i], axis=1)
        out[start:stop] = values
    return out


def _add_diagonal(out: Vector, blocks: Matrix, group: GroupRows) -> None:
    """Add z_t'Q_tt z_t, blocks (k, k, q), to out (m,) in place."""
    known = group.known
    group = group.take(known)
    for a in range(blocks.shape[0]):
        for b in range(blocks.shape[0]):
            out[known] += group.z[:, a] * group.z[:, b] * blocks[a, b, group.codes]


def _cross_terms(
    factor: Factor,
    rows: Sequence[GroupRows],
    t: int,
    others: Sequence[int],
    components: Sequence[Codes],
) -> Vector:
    """Σ_s z_t'Q_ts z_s over the groups `others`, by columns of Q at levels of t. (m,)"""
    k = rows[t].z.shape[1]
    colours = _colours(components[t])
    order = rows[t].known
    order = order[np.argsort(colours[rows[t].codes[order]], kind="stable")]
    of_row = colours[rows[t].codes[order]]
    wanted, first = np.unique(of_row, return_index=True)
    first = np.append(first, len(order))
    out = np.zeros(len(rows[t].codes))
    for start, stop in _batches(factor.gramian, len(wanted), k):
        columns = factor.modes(_unit_vectors(factor.gramian, t, colours, wanted[start:stop]))
        here = order[first[start] : first[stop]]
        probe = np.searchsorted(wanted[start:stop], of_row[first[start] : first[stop]])
        for s in others:
            level = rows[s].codes[here]
            met = (level >= 0) & (components[s][level] == components[t][rows[t].codes[here]])
            i, p, level = here[met], probe[met], level[met]
            for a in range(k):
                Q_s = columns[s][p * k + a, :, level]  # (rows, k_s)
                out[i] += rows[t].z[i, a] * np.sum(Q_s * rows[s].z[i], axis=1)
    return out


def _unit_vectors(z: Gramian, t: int, colours: Codes, wanted: Codes) -> list[Matrix]:
    """Sum the unit vectors of each colour, component by component of group t."""
    k = z.orders[t]
    rhs = _zeros(z, len(wanted) * k)
    position = np.full(int(colours.max()) + 1, -1)
    position[wanted] = np.arange(len(wanted))
    levels = np.flatnonzero(position[colours] >= 0)
    for a in range(k):
        rhs[t][position[colours[levels]] * k + a, a, levels] = 1.0
    return rhs


def _components(z: Gramian) -> list[Codes]:
    """Label the connected component of every level; levels that share a row are connected."""
    start = np.concatenate([[0], np.cumsum(z.sizes)])
    rows = np.concatenate([start[t] + cells.rows for (t, _), cells in z.cells.items()])
    cols = np.concatenate([start[s] + cells.cols for (_, s), cells in z.cells.items()])
    graph = sparse.coo_array((np.ones(len(rows), dtype=np.int8), (rows, cols)), (start[-1],) * 2)
    labels = connected_components(graph, directed=False)[1]
    return np.split(labels.astype(np.intp), start[1:-1])


def _colours(component: Codes) -> Codes:
    """Count the levels of each component from 0. (q,)"""
    order = np.argsort(component, kind="stable")
    in_order = component[order]
    colours = np.empty(len(component), dtype=np.intp)
    colours[order] = np.arange(len(component)) - np.searchsorted(in_order, in_order)
    return colours


def _batches(z: Gramian, count: int, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of 0 ... count, each of which a batch of solves has memory for."""
    total = sum(k * q for k, q in zip(z.orders, z.sizes, strict=True))
    step = int(np.clip(SOLVE_MEMORY // (size * total), 1, 256))
    for start in range(0, count, step):
        yield start, min(start + step, count)


def _zeros(z: Gramian, count: int) -> list[Matrix]:
    return [np.zeros((count, k, q)) for k, q in zip(z.orders, z.sizes, strict=True)]
