"""From a design and a family to estimates of a generalised model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem, generalised_problem
from hglm.criteria.grouped_terms import group_terms
from hglm.criteria.laplace_error import laplace_error
from hglm.criteria.quadrature import MOST_NODES, check_quadrature, evaluate_quadrature
from hglm.design.arrays import Design, PredictorDesign
from hglm.families import Family, Response, Sizes, bind
from hglm.fitting.certificate import Certificate, Unbounded
from hglm.fitting.checks import check_generalised
from hglm.fitting.estimate import is_small
from hglm.fitting.generalised import Criterion, GeneralisedOptimum, fit_generalised
from hglm.fitting.generalised_start import generalised_start
from hglm.fitting.methods import Laplace, Quadrature
from hglm.fitting.multistart import best_of, is_log_concave, other_starts
from hglm.fitting.record import Coefficients, Estimates, GeneralisedState
from hglm.fitting.runaway import runaway_slots
from hglm.fitting.term_estimates import standard_theta, term_estimates, user_theta
from hglm.fitting.unbounded import flat_covariance, with_names
from hglm.numerics.positive import covariance_of
from hglm.numerics.threads import single_thread
from hglm.numerics.trust_region import TrustRegion
from hglm.typing import Matrix, Vector

__all__ = ["estimate_generalised"]

STABLE = 1e-4
"""`Quadrature("auto")` stops when the deviance changes by less."""
POOR, MORE_STARTS = 0.15, 16
"""Error of the log likelihood a level with which likelihoods were seen to have several optima;
then there are more starts."""
FIRST_NODES, MAX_NODES = 5, 129


def estimate_generalised(
    design: Design,
    family: Family,
    method: Laplace | Quadrature,
    start: Vector | None = None,
    settings: TrustRegion | None = None,
) -> Estimates:
    """Fit a generalised linear mixed model.

    Parameters
    ----------
    design
        Arrays of the model; `design.others` holds the predictors beside the mean.
    family
        Distribution and links.
    method
        How the marginal likelihood is approximated.
    start : (m,) or None
        θ to start from, in the user's coordinates.
    settings
        Of the search.
    """
    family = family.validate(
        Response(design.y, Sizes(design.trials, design.weights)),
        cast(Sequence[object], design.index),
    )
    check_generalised(design, family)
    predictors = _predictors(design, family)
    with single_thread(is_small([*predictors.values()])):
        grouped = group_terms(list(predictors.values()))
        sizes = Sizes(
            None if design.trials is None else grouped.take(design.trials),
            None if design.weights is None else grouped.take(design.weights),
        )
        response = Response(grouped.take(design.y), sizes)
        likelihood = bind(family, response.y, sizes)
        problem = generalised_problem(likelihood, predictors, design.frequencies, grouped)
        first = generalised_start(problem, response)
        if start is not None:
            first[problem.n_fixed :] = standard_theta(grouped.layout, grouped.maps, start)
        optimum, nodes = _optimum(problem, first, method, settings)
        concave = is_log_concave(problem, response, optimum.psi)
        certificate = replace(optimum.certificate, log_concave=concave)
        optimum = replace(optimum, certificate=certificate)
        return _estimates(design, predictors, problem, optimum, nodes)


def _optimum(
    problem: GeneralisedProblem,
    start: Vector,
    method: Laplace | Quadrature,
    settings: TrustRegion | None,
) -> tuple[GeneralisedOptimum, int]:
    """Find the optimum, and the number of nodes that it took."""
    if isinstance(method, Laplace):
        return _by_laplace(problem, start, method, settings), 1
    starts = [start, *other_starts(problem, start, method.starts - 1, method.seed)]
    nodes = FIRST_NODES if method.nodes == "auto" else method.nodes
    check_quadrature(problem, nodes)
    fit = partial(fit_generalised, problem, settings=settings)
    optimum = best_of(partial(fit, criterion=_quadrature(nodes)), starts)
    k = problem.layout.orders[0]
    while method.nodes == "auto" and nodes < MAX_NODES and (2 * nodes - 1) ** k <= MOST_NODES:
        nodes = 2 * nodes - 1
        finer = fit(optimum.psi, criterion=_quadrature(nodes))
        change = abs(finer.evaluation.value - optimum.evaluation.value)
        optimum = replace(finer, certificate=_searched(finer.certificate, optimum.certificate))
        if change < STABLE:
            break
    return optimum, nodes


def _by_laplace(
    problem: GeneralisedProblem, start: Vector, method: Laplace, settings: TrustRegion | None
) -> GeneralisedOptimum:
    """Search from as many starts as are asked for, or seem to be needed."""
    fit = partial(fit_generalised, problem, settings=settings)
    others = other_starts(problem, start, (method.starts or 1) - 1, method.seed)
    optimum = _with_error(problem, best_of(fit, [start, *others]))
    error = optimum.certificate.laplace_error
    levels = max((g.n_levels for g in problem.pattern.groupings), default=0)
    if method.starts is not None or error is None or abs(error) < POOR * levels:
        return optimum
    others = other_starts(problem, optimum.psi, MORE_STARTS - 1, method.seed)
    return _with_error(problem, best_of(fit, [optimum.psi, *others]))


def _searched(certificate: Certificate, like: Certificate) -> Certificate:
    """Say of the starts what the certificate says that had them."""
    return replace(certificate, starts=like.starts, agreeing=like.agreeing)


def _with_error(problem: GeneralisedProblem, optimum: GeneralisedOptimum) -> GeneralisedOptimum:
    """Add the estimated error of the approximation to the certificate."""
    mode = optimum.evaluation.mode
    if mode is None or not problem.pattern.groupings:
        return optimum
    error = laplace_error(problem, optimum.psi, mode)
    return replace(optimum, certificate=replace(optimum.certificate, laplace_error=error))


def _quadrature(nodes: int) -> Criterion:
    return partial(evaluate_quadrature, nodes=nodes)


def _predictors(design: Design, family: Family) -> dict[str, PredictorDesign | None]:
    """Design of each of the family's predictors, None for one number."""
    others = family.parameters[1:]  # the first is the mean's, whatever the family calls it
    return {"mean": design.mean, **{p.name: design.others.get(p.name) for p in others}}


def _estimates(
    design: Design,
    predictors: Mapping[str, PredictorDesign | None],
    problem: GeneralisedProblem,
    optimum: GeneralisedOptimum,
    nodes: int,
) -> Estimates:
    psi, mode = optimum.psi, optimum.evaluation.mode
    assert mode is not None
    b = [x + d for x, d in zip(mode.b, mode.d_b, strict=True)]
    effects = problem.pattern.apply(b, {})
    covariance = covariance_of(optimum.hessian, problem.n_fixed)
    covariance = covariance + flat_covariance(psi, optimum.flats)
    coefficients = {}
    for d, block in enumerate(problem.fixed):
        eta = block.predictor(psi)
        eta = effects[d] + eta if d in effects else np.broadcast_to(eta, (problem.n,))
        part = block.to_beta @ covariance[block.parameters, block.parameters] @ block.to_beta.T
        named = predictors[block.name]
        coefficients[block.name] = Coefficients(
            names=("Intercept",) if named is None else named.names,
            beta=block.to_beta @ psi[block.parameters],
            vcov=part,
            linear_predictor=problem.unsorted(np.array(eta)),
        )
    mean = coefficients.pop("mean")
    if problem.likelihood.family.support == "category":
        coefficients = {"thresholds": _thresholds(problem, psi, covariance, design)}
    grouped, names = problem.terms, list(predictors)
    theta = user_theta(grouped.layout, grouped.maps, problem.theta(psi))
    places = [(names[d], position) for d, position in grouped.terms]
    terms = term_estimates(
        predictors, places, grouped.layout, grouped.maps, grouped.roots, theta, b
    )
    return Estimates(
        method="laplace" if nodes == 1 else "quadrature",
        nodes=nodes,
        beta=mean.beta,
        vcov=mean.vcov,
        sigma=_sigma(problem, psi),
        terms=terms,
        theta=theta,
        llf=-0.5 * optimum.evaluation.value,
        nobs=problem.nobs,
        n_parameters=problem.n_fixed + problem.layout.n_theta,
        linear_predictor=mean.linear_predictor,
        certificate=with_names(
            optimum.certificate,
            optimum.flats,
            predictors,
            [
                Unbounded(terms[i].predictor, (f"variance of {terms[i].group}",), (1,), "variance")
                for i in runaway_slots(problem, psi, optimum.evaluation)
            ],
        ),
        state=GeneralisedState(problem, psi, optimum.evaluation, optimum.hessian),
        path=optimum.path,
        others=coefficients,
    )


def _thresholds(
    problem: GeneralisedProblem, psi: Vector, covariance: Matrix, design: Design
) -> Coefficients:
    """Thresholds θ_0 = a_0, θ_j = θ_{j-1} + exp(a_j), by the delta method."""
    a = slice(problem.fixed[1].first, problem.n_fixed)
    steps = np.append(psi[a][:1], np.exp(psi[a][1:]))
    slopes = np.append(1.0, steps[1:])
    jacobian = np.tril(np.ones((len(steps), len(steps)))) * slopes
    levels = design.response_levels or tuple(map(str, range(len(steps) + 1)))
    return Coefficients(
        names=tuple(f"{low}|{high}" for low, high in pairwise(levels)),
        beta=np.cumsum(steps),
        vcov=jacobian @ covariance[a, a] @ jacobian.T,
        linear_predictor=np.zeros(problem.n),
    )


def _sigma(problem: GeneralisedProblem, psi: Vector) -> float | None:
    """Return what the family reports as `sigma`, where it is one number."""
    for block, parameter in zip(problem.fixed, problem.likelihood.family.parameters, strict=True):
        if parameter.sigma_power is not None and block.X is None:
            value = parameter.sigma(psi[block.parameters])
            return None if value is None else float(np.asarray(value).ravel()[0])
    return None
