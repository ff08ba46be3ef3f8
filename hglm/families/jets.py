"""Functions of several predictors together with their partial derivatives.

A `Jet` holds the value of a function of the linear predictors at n
observations and those partial derivatives, up to the third order, that were
asked for. Sums, products (Leibniz) and compositions (Faà di Bruno) of jets are
jets, so a family writes its log density once, as a formula, and gets every
derivative the Laplace approximation needs, cross terms included. All operations
are elementwise; absent terms are zero and cost nothing.

Which derivatives a Laplace approximation with gradient needs follows from the
model. *Inner* predictors carry random effects: all their joint derivatives up
to the third order appear in the gradient of log|H|. *Outer* predictors have
fixed effects only: at most one derivative in them is needed, beside at most two
in inner ones. Such a set of indices is closed under taking sub-indices, which is
all that truncated arithmetic asks for.

References
----------
Griewank, A. and Walther, A. (2008). Evaluating Derivatives, 2nd ed., SIAM, ch. 13.
Constantine, G. M. and Savits, T. H. (1996). Trans. Amer. Math. Soc. 348, 503-520
(multivariate Faà di Bruno formula).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement, product
from typing import ClassVar, TypeAlias

import numpy as np

from hglm.typing import Codes, Vector

__all__ = ["Index", "Jet", "Term", "Univariate", "Wanted", "assemble", "chain", "indices"]

Index: TypeAlias = tuple[int, ...]
"""Positions of the predictors differentiated in, sorted; () is the value."""

Term: TypeAlias = Vector | float
"""One derivative: (..., n), or anything that broadcasts to it."""

Univariate: TypeAlias = Callable[[Vector, int], tuple[Term, ...]]
"""f(x, order) -> value and derivatives of f at x up to the order."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which derivatives to compute."""

    order: int = 2
    """Highest total order, 0 to 3."""
    inner: tuple[int, ...] = (0,)
    """Positions of predictors whose joint derivatives are all wanted."""
    outer: tuple[int, ...] = ()
    """Positions of predictors in which one derivative is wanted."""


@lru_cache(maxsize=256)
def indices(wanted: Wanted) -> tuple[Index, ...]:
    """List the wanted indices, shorter ones first."""
    found: list[Index] = []
    for length in range(wanted.order + 1):
        found += combinations_with_replacement(sorted(wanted.inner), length)
        if length > 0:
            rest = list(combinations_with_replacement(sorted(wanted.inner), length - 1))
            found += [_join(part, (o,)) for o in wanted.outer for part in rest]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Jet:
    """A function of the predictors with its wanted derivatives.

    `jet[0, 0, 1]` is the third derivative, twice in predictor 0 and once in
    predictor 1; the order of the positions does not matter. Arrays may be shared
    between terms and with the data: do not write into them.
    """

    terms: Mapping[Index, Term]
    """Non-zero terms; the value stands under ()."""
    wanted: Wanted

    __array_ufunc__: ClassVar[None] = None  # array * jet is left to the jet

    @staticmethod
    def variable(position: int, value: Vector, wanted: Wanted) -> Jet:
        """Make the jet of one predictor itself."""
        known: dict[Index, Term] = {(): value}
        if (position,) in indices(wanted):
            known[(position,)] = 1.0
        return Jet(known, wanted)

    @property
    def value(self) -> Vector:
        """The function itself, (..., n)."""
        return np.asarray(self.terms[()])

    def __getitem__(self, index: int | Index) -> Vector:
        key = (index,) if isinstance(index, int) else tuple(sorted(index))
        if key not in indices(self.wanted):
            raise KeyError(f"derivative {key} was not asked for in {self.wanted}")
        term, shape = self.terms.get(key, 0.0), self.value.shape
        whole = isinstance(term, np.ndarray) and term.shape == shape
        return np.asarray(term) if whole else np.broadcast_to(term, shape)

    def __add__(self, other: Jet | Term) -> Jet:
        known = dict(self.terms)
        added = other.terms if isinstance(other, Jet) else {(): other}
        for index, term in added.items():
            known[index] = known[index] + term if index in known else term
        return Jet(known, self.wanted)

    def __neg__(self) -> Jet:
        return Jet({index: -term for index, term in self.terms.items()}, self.wanted)

    def __sub__(self, other: Jet | Term) -> Jet:
        return self + (-other)

    def __mul__(self, other: Jet | Term) -> Jet:
        if isinstance(other, Jet):
            return _product(self, other)
        return Jet({index: _times(term, other) for index, term in self.terms.items()}, self.wanted)

    def __radd__(self, other: Term) -> Jet:
        return self + other

    def __rsub__(self, other: Term) -> Jet:
        return -self + other

    def __rmul__(self, other: Term) -> Jet:
        return self * other

    def compose(self, *derivatives: Term) -> Jet:
        """Return f(self), given f, f', f'', f''' at the value of self."""
        return chain((self,), {(0,) * k: d for k, d in enumerate(derivatives)})

    def apply(self, function: Univariate) -> Jet:
        """Return function(self)."""
        return self.compose(*function(self.value, self.depth))

    @property
    def depth(self) -> int:
        """Highest derivative of f that f(self) needs; 0 for a constant."""
        return _depth(self.wanted, frozenset(i for index in self.terms for i in index))

    def derivative(self, position: int) -> Jet:
        """Differentiate in an inner predictor; the order falls by one."""
        lower = Wanted(self.wanted.order - 1, self.wanted.inner, self.wanted.outer)
        raised = {index: _join(index, (position,)) for index in indices(lower)}
        known = {index: self.terms.get(up, 0.0) for index, up in raised.items()}
        return Jet(known, lower)

    def take(self, rows: Codes) -> Jet:
        """Return some rows of the last axis; what is one number stays so."""
        arrays = {index: np.asarray(term) for index, term in self.terms.items()}
        known = {i: a[..., rows] if a.ndim > 0 else self.terms[i] for i, a in arrays.items()}
        return Jet(known, self.wanted)


def chain(arguments: Sequence[Jet], partials: Mapping[Index, Term]) -> Jet:
    """Return f(arguments), a function of several jets.

    Parameters
    ----------
    arguments
        The m jets that f takes.
    partials
        Partial derivatives of f in its arguments, by sorted positions 0 ... m-1,
        the value under (); absent ones are zero.
    """
    wanted = arguments[0].wanted
    known: dict[Index, Term] = {(): partials[()]}
    for index, summands in _chain_plan(wanted, len(arguments)):
        total: Term | None = None
        for count, outer, blocks in summands:
            term: Term | None = partials.get(outer)
            for position, block in blocks:
                inner = arguments[position].terms.get(block)
                term = None if term is None or inner is None else _times(term, inner)
            if term is not None:
                total = _accumulate(total, count, term)
        if total is not None:
            known[index] = total
    return Jet(known, wanted)


def assemble(n: int, pieces: Sequence[tuple[Codes, Jet]]) -> Jet:
    """Return the jet of n rows that has each jet in its rows; later ones win."""
    wanted = pieces[0][1].wanted
    shape = (*np.broadcast_shapes(*(jet.value.shape[:-1] for _, jet in pieces)), n)
    known: dict[Index, Term] = {}
    for index in {index for _, jet in pieces for index in jet.terms}:
        whole = np.zeros(shape)
        for rows, jet in pieces:
            whole[..., rows] = jet.terms.get(index, 0.0)
        known[index] = whole
    return Jet(known, wanted)


def _product(left: Jet, right: Jet) -> Jet:
    known: dict[Index, Term] = {}
    for index, splits in _product_plan(left.wanted):
        total: Term | None = None
        for count, first, second in splits:
            a, b = left.terms.get(first), right.terms.get(second)
            if a is not None and b is not None:
                total = _accumulate(total, count, _times(a, b))
        if total is not None:
            known[index] = total
    return Jet(known, left.wanted)


def _accumulate(total: Term | None, count: int, term: Term) -> Term:
    scaled = term if count == 1 else count * term
    return scaled if total is None else total + scaled


def _times(a: Term, b: Term) -> Term:
    """Multiply, without a pass over the data where a factor is one."""
    if type(a) is float and a == 1.0:
        return b
    if type(b) is float and b == 1.0:
        return a
    return a * b


def _join(a: Index, b: Index) -> Index:
    return tuple(sorted(a + b))


@lru_cache(maxsize=256)
def _depth(wanted: Wanted, variables: frozenset[int]) -> int:
    return max(len(index) for index in indices(wanted) if variables.issuperset(index))


_Splits: TypeAlias = tuple[tuple[int, Index, Index], ...]
_Blocks: TypeAlias = tuple[tuple[int, Index], ...]
_Summands: TypeAlias = tuple[tuple[int, Index, _Blocks], ...]


@lru_cache(maxsize=256)
def _product_plan(wanted: Wanted) -> tuple[tuple[Index, _Splits], ...]:
    """For each index, its splits in two with their multiplicity."""
    plan = []
    for index in indices(wanted):
        splits: Counter[tuple[Index, Index]] = Counter()
        for sides in product((True, False), repeat=len(index)):
            first = tuple(i for i, side in zip(index, sides, strict=True) if side)
            second = tuple(i for i, side in zip(index, sides, strict=True) if not side)
            splits[first, second] += 1
        plan.append((index, tuple((count, a, b) for (a, b), count in splits.items())))
    return tuple(plan)


@lru_cache(maxsize=256)
def _chain_plan(wanted: Wanted, m: int) -> tuple[tuple[Index, _Summands], ...]:
    """For each index, the summands of Faà di Bruno's formula."""
    plan = []
    for index in indices(wanted)[1:]:
        summands: Counter[tuple[Index, _Blocks]] = Counter()
        for blocks in _partitions(index):
            for positions in product(range(m), repeat=len(blocks)):
                key = tuple(sorted(zip(positions, blocks, strict=True)))
                summands[tuple(sorted(positions)), key] += 1
        plan.append((index, tuple((n, outer, blocks) for (outer, blocks), n in summands.items())))
    return tuple(plan)


def _partitions(index: Index) -> Iterator[tuple[Index, ...]]:
    """Partition the positions of an index into blocks, in all ways."""
    if len(index) == 1:
        yield (index,)
        return
    head, rest = index[:1], index[1:]
    for blocks in _partitions(rest):
        yield (head, *blocks)
        for i, block in enumerate(blocks):
            yield (*blocks[:i], _join(head, block), *blocks[i + 1 :])
