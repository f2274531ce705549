"""The exercises of lesson 51: Fréchet distance, Inception Score, kernel distance, precision and recall, density and coverage."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F

from ...metrics import density_coverage, frechet_distance, inception_score, kernel_distance, precision_recall
from ..engine import Case, Exercise, Mistake

# frechet_distance


def _frechet_cases(seed):
    """Gradients to the means only: covariances are symmetric, and off those matrices correct answers differ."""
    g = torch.Generator().manual_seed(seed)

    def case(label, mu1, cov1, mu2, cov2, gradients=(0, 2)):
        return Case(
            label, tuple(torch.as_tensor(v, dtype=torch.float32) for v in (mu1, cov1, mu2, cov2)), gradients=gradients
        )

    def symmetric(d):
        a = torch.randn(d, d, generator=g)
        return a + a.T

    def covariance(d):
        a = torch.randn(d, d + 2, generator=g)
        cov = a @ a.T / d + 0.1 * torch.eye(d)
        return (cov + cov.T) / 2

    def drawn(label, d):
        return case(
            label, torch.randn(d, generator=g), covariance(d), torch.randn(d, generator=g) + 0.5, 2 * covariance(d)
        )

    def alike(label, d):
        """Traces near a million, a distance near 1: what float32 leaves of it is rounding. One case might hit it by luck, two do not."""
        large = 1e5 * (covariance(d) + torch.eye(d))
        return case(label, torch.zeros(d), large, torch.full((d,), 0.1), large + 100 * symmetric(d))

    def few(d, n):
        """A covariance of rank n in whole numbers, so that it is singular in float32 and float64 alike."""
        a = torch.randint(-3, 4, (d, n), generator=g).float()
        return a @ a.T

    far = torch.arange(1.0, 9.0) + torch.rand(8, generator=g)
    below = [[1.0, 1.0 + 2**-23], [1.0 + 2**-23, 1.0]]  # the eigenvalue that should be 0 is -1e-7
    return [
        case("one dimension: means 1 and -1, deviations 2 and 1", [1.0], [[4.0]], [-1.0], [[1.0]]),
        case(
            "two dimensions that do not depend on each other",
            [0.0, 3.0],
            [[4.0, 0.0], [0.0, 1.0]],
            [1.0, 1.0],
            [[1.0, 0.0], [0.0, 9.0]],
        ),
        case(
            "equal means, covariances that do not commute",
            [1.0, 2.0],
            [[2.0, 1.0], [1.0, 1.0]],
            [1.0, 2.0],
            [[1.0, -1.0], [-1.0, 3.0]],
            gradients=(),
        ),
        drawn("four dimensions", 4),
        drawn("seven dimensions", 7),
        alike("large covariances, almost alike", 5),
        alike("larger matrices, almost alike", 9),
        case("one point and a Gaussian", [12.0, 16.0], [[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0], [[2.0, 1.0], [1.0, 1.0]]),
        case("two points", [1.0, -2.0, 0.5], torch.zeros(3, 3), [0.0, 1.0, 0.0], torch.zeros(3, 3)),
        case("singular: three and five directions of eight", far, few(8, 3), -far, few(8, 5)),
        case(
            "an eigenvalue of cov1 that rounding has left below 0",
            [6.0, 0.0],
            below,
            [0.0, 8.0],
            [[2.0, 1.0], [1.0, 3.0]],
        ),
        case(
            "an eigenvalue of cov2 that rounding has left below 0",
            [6.0, 0.0],
            [[2.0, -1.0], [-1.0, 3.0]],
            [0.0, 8.0],
            below,
        ),
    ]


def _root(matrix):
    """Of a symmetric matrix, negative eigenvalues counted as 0."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _between(cov1, cov2):
    """A symmetric matrix with the eigenvalues of cov1 cov2."""
    root = _root(cov1)
    return root @ cov2 @ root


def _shared(cov1, cov2):
    """trace((cov1 cov2)^(1/2))."""
    return torch.linalg.eigvalsh(_between(cov1, cov2)).clamp(min=0).sqrt().sum()


def _frechet_with(
    shared=_shared,
    means=lambda difference: difference.square().sum(),
    together=lambda means, traces, shared: means + traces - 2 * shared,
    dtype=torch.float64,
):
    """The distance with another step."""

    def distance(mu1, cov1, mu2, cov2):
        mu1, cov1, mu2, cov2 = (t.to(dtype) for t in (mu1, cov1, mu2, cov2))
        return together(means(mu1 - mu2), cov1.trace() + cov2.trace(), shared(cov1, cov2))

    return distance


def _frechet_by_numpy(mu1, cov1, mu2, cov2):
    mu1, cov1, mu2, cov2 = (t.numpy().astype(np.float64) for t in (mu1, cov1, mu2, cov2))
    values = np.linalg.eigvals(cov1 @ cov2)
    return np.sum((mu1 - mu2) ** 2) + np.trace(cov1 + cov2) - 2 * np.sqrt(np.maximum(values.real, 0)).sum()


def _shared_by_svd(cov1, cov2):
    """The singular values of the product of the two roots."""
    roots = [u * s.sqrt() @ v for u, s, v in map(torch.linalg.svd, (cov1, cov2))]
    return torch.linalg.svdvals(roots[0] @ roots[1]).sum()


def _shared_of_matrix(cov1, cov2):
    """The root written out, as a matrix."""
    return _root(_between(cov2, cov1)).diagonal().sum()


def _shared_with_offset(cov1, cov2):
    """As published code treats singular covariances."""
    offset = 1e-6 * torch.eye(len(cov1)).to(cov1)
    values = torch.linalg.eigvals((cov1 + offset) @ (cov2 + offset))
    return values.sqrt().real.sum()


def _shared_not_clamped(cov1, cov2):
    values, vectors = torch.linalg.eigh(cov1)
    root = vectors * values.sqrt() @ vectors.T
    return torch.linalg.eigvalsh(root @ cov2 @ root).sqrt().sum()


def _shared_by_cholesky(cov1, cov2):
    factor = torch.linalg.cholesky(cov1)
    return torch.linalg.eigvalsh(factor.T @ cov2 @ factor).clamp(min=0).sqrt().sum()


FRECHET = Exercise(
    name="frechet_distance",
    lesson=51,
    points=3,
    minutes=15,
    docstring="""Squared Fréchet distance of two Gaussians: |mu1 - mu2|^2 + trace(cov1 + cov2 - 2 (cov1 cov2)^(1/2)).

mu1, mu2: (D,), the means. cov1, cov2: (D, D), the covariances, symmetric. (cov1 cov2)^(1/2) is the matrix whose square is cov1 cov2;
its trace is the sum of the roots of the eigenvalues of cov1 cov2, which are real and not negative.
Returns a scalar, at least 0. Work in float64: large traces nearly cancel. Covariances may be singular, even all zeros, and
rounding may have left an eigenvalue just below 0, which counts as 0: the result is finite there too.""",
    reference=frechet_distance,
    cases=_frechet_cases,
    alternatives={
        "the root of cov2 in place of cov1's": lambda mu1, cov1, mu2, cov2: frechet_distance(mu2, cov2, mu1, cov1),
        "eigenvalues of the product": _frechet_with(
            lambda cov1, cov2: torch.linalg.eigvals(cov1 @ cov2).sqrt().real.sum()
        ),
        "singular values of the product of the roots": _frechet_with(_shared_by_svd),
        "the root as a matrix": _frechet_with(_shared_of_matrix),
        "NumPy": _frechet_by_numpy,
        "a tiny offset, as in published code": _frechet_with(_shared_with_offset),
        "one trace of everything": lambda mu1, cov1, mu2, cov2: (
            (mu1.double() - mu2.double()) @ (mu1.double() - mu2.double())
            + (cov1.double() + cov2.double() - 2 * _root(_between(cov1.double(), cov2.double()))).trace()
        ),
    },
    mistakes=(
        Mistake(
            "no root",
            "You subtract twice the trace of cov1 cov2; take the matrix root of the product first.",
            _frechet_with(lambda cov1, cov2: (cov1 @ cov2).trace()),
        ),
        Mistake(
            "root of each element",
            "You take the root of each element of cov1 cov2; the root of a matrix is the one whose square "
            "it is, found through eigenvalues.",
            _frechet_with(lambda cov1, cov2: (cov1 @ cov2).sqrt().trace()),
        ),
        Mistake(
            "elements multiplied",
            "You multiply the covariances element by element; cov1 cov2 is a matrix product.",
            _frechet_with(lambda cov1, cov2: _root(cov1 * cov2).trace()),
        ),
        Mistake(
            "root of the trace",
            "You take the root of the trace of cov1 cov2; take the trace of the matrix root.",
            _frechet_with(lambda cov1, cov2: (cov1 @ cov2).trace().clamp(min=0).sqrt()),
        ),
        Mistake(
            "root of the sum",
            "You take the root of cov1 + cov2; it is the root of their product.",
            _frechet_with(lambda cov1, cov2: _root(cov1 + cov2).trace()),
        ),
        Mistake(
            "a root for each",
            "You multiply the roots of the two covariances, which is the root of their product only if they commute.",
            _frechet_with(lambda cov1, cov2: (_root(cov1) @ _root(cov2)).trace()),
        ),
        Mistake(
            "eigenvalues paired by size",
            "You multiply the eigenvalues of cov1 with those of cov2; you need the eigenvalues of the product.",
            _frechet_with(
                lambda cov1, cov2: (
                    (torch.linalg.eigvalsh(cov1).clamp(min=0) * torch.linalg.eigvalsh(cov2).clamp(min=0)).sqrt().sum()
                )
            ),
        ),
        Mistake(
            "singular values",
            "You take the singular values of cov1 cov2, which are its eigenvalues only if the covariances commute.",
            _frechet_with(lambda cov1, cov2: torch.linalg.svdvals(cov1 @ cov2).sqrt().sum()),
        ),
        Mistake(
            "a symmetric solver for the product",
            "You give cov1 cov2 to eigh, which reads one triangle of it; the product is not symmetric.",
            _frechet_with(lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2).clamp(min=0).sqrt().sum()),
        ),
        Mistake(
            "variances only",
            "You use the diagonals only, as if all features were independent.",
            _frechet_with(lambda cov1, cov2: (cov1.diagonal() * cov2.diagonal()).sqrt().sum()),
        ),
        Mistake(
            "sum for trace",
            "You add up the whole matrix root; its trace is the sum of the diagonal.",
            _frechet_with(lambda cov1, cov2: _root(_between(cov1, cov2)).sum()),
        ),
        Mistake(
            "2 forgotten",
            "You subtract the trace of the root once; subtract it twice.",
            _frechet_with(together=lambda means, traces, shared: means + traces - shared),
        ),
        Mistake(
            "root added",
            "You add the trace of the root; subtract it.",
            _frechet_with(together=lambda means, traces, shared: means + traces + 2 * shared),
        ),
        Mistake(
            "root left out",
            "You leave out the root of the product, so two equal Gaussians are not at distance 0.",
            _frechet_with(together=lambda means, traces, shared: means + traces),
        ),
        Mistake(
            "means only", "You leave out the covariances.", _frechet_with(together=lambda means, traces, shared: means)
        ),
        Mistake(
            "covariances only",
            "You leave out the means.",
            _frechet_with(together=lambda means, traces, shared: traces - 2 * shared),
        ),
        Mistake(
            "means not squared",
            "You add the distance of the means; add its square.",
            _frechet_with(means=lambda d: d.norm()),
        ),
        Mistake(
            "absolute differences",
            "You add up the absolute differences of the means; add up their squares.",
            _frechet_with(means=lambda d: d.abs().sum()),
        ),
        Mistake(
            "mean over the dimensions",
            "You take the mean of the squared differences of the means; take their sum.",
            _frechet_with(means=lambda d: d.square().mean()),
        ),
        Mistake(
            "difference of lengths",
            "You subtract the squared lengths of the means; subtract the means and then square.",
            lambda mu1, cov1, mu2, cov2: (
                frechet_distance(mu1, cov1, mu1, cov2) + (mu1.double().square().sum() - mu2.double().square().sum())
            ),
        ),
        Mistake(
            "root of the distance",
            "You return the root of it all; the exercise asks for the squared distance, as in FID.",
            _frechet_with(together=lambda means, traces, shared: (means + traces - 2 * shared).clamp(min=0).sqrt()),
        ),
        Mistake(
            "distance of the matrices",
            "You compare the covariances by their squared difference; the Fréchet distance needs the root "
            "of the product.",
            lambda mu1, cov1, mu2, cov2: (mu1.double() - mu2).square().sum() + (cov1.double() - cov2).square().sum(),
        ),
        Mistake(
            "not clamped",
            "You take roots of eigenvalues that rounding has left below 0, which is NaN: clamp them at 0 first.",
            _frechet_with(_shared_not_clamped),
        ),
        Mistake(
            "product not clamped",
            "You take roots of the product's eigenvalues, of which rounding may have left one below 0: clamp them "
            "at 0, or you return NaN.",
            _frechet_with(lambda cov1, cov2: torch.linalg.eigvals(cov1 @ cov2).real.sqrt().sum()),
        ),
        Mistake(
            "complex",
            "You return a complex number: take the real part of the roots.",
            _frechet_with(lambda cov1, cov2: torch.linalg.eigvals(cov1 @ cov2).sqrt().sum()),
        ),
        Mistake(
            "Cholesky",
            "You use a Cholesky factor, which a singular covariance has none of; take the root through eigenvalues.",
            _frechet_with(_shared_by_cholesky),
        ),
        Mistake(
            "single precision",
            "You work in float32, where large traces that nearly cancel leave rounding only: convert the inputs with "
            ".double() first.",
            _frechet_with(dtype=torch.float32),
        ),
    ),
)


# inception_score


def _score_cases(seed):
    """No gradients: rows sum to 1, and off that plane correct answers differ (torch.distributions divides by the sum first)."""
    g = torch.Generator().manual_seed(seed)

    def case(label, probabilities):
        return Case(label, (torch.as_tensor(probabilities, dtype=torch.float32),))

    def drawn(n, classes, sure):
        """sure: how far apart the logits are. The classes are not equally frequent."""
        return (sure * torch.randn(n, classes, generator=g) + torch.linspace(0, 2, classes)).softmax(1)

    absent = drawn(6, 3, 2.0)
    absent = torch.stack([absent[:, 0], 0 * absent[:, 0], absent[:, 1], absent[:, 2], 0 * absent[:, 0]], 1)
    row = drawn(1, 4, 1.0)
    return [
        case("one picture", [[0.25, 0.75]]),
        case("two pictures, both unsure", [[0.75, 0.25], [0.5, 0.5]]),
        case("sure, and every class once: the best score", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        case("sure, and one class more often", [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]),
        case("sure, and always the same class", [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]),
        case("zeros in some places", [[0.5, 0.5, 0.0, 0.0], [0.0, 0.25, 0.75, 0.0], [0.125, 0.125, 0.25, 0.5]]),
        case("all pictures alike", row.expand(5, -1).clone()),
        case("a class that never occurs", absent),
        case("seven pictures, three classes", drawn(7, 3, 2.0)),
        case("four pictures, nine classes", drawn(4, 9, 3.0)),
        case("forty pictures, ten classes", drawn(40, 10, 4.0)),
    ]


def _score_with(
    divergence=lambda p, mean: torch.xlogy(p, p) - torch.xlogy(p, mean),
    mean=lambda p: p.mean(0, keepdim=True),
    together=lambda each: each.sum(1).mean().exp(),
):
    """The score with another divergence (N, K), another mean, or put together in another way."""
    return lambda probabilities: together(divergence(probabilities, mean(probabilities).expand_as(probabilities)))


def _entropy(p):
    return torch.special.entr(p).sum(-1)


def _score_by_loops(probabilities):
    rows = probabilities.tolist()
    mean = [sum(column) / len(rows) for column in zip(*rows)]
    return math.exp(sum(p * math.log(p / m) for row in rows for p, m in zip(row, mean) if p > 0) / len(rows))


def _score_by_numpy(probabilities):
    p = probabilities.numpy().astype(np.float64)
    ratio = np.divide(p, p.mean(0), out=np.ones_like(p), where=p > 0)
    return np.exp((p * np.log(ratio)).sum(1).mean())


def _score_by_distributions(probabilities):
    p, mean = (
        torch.distributions.Categorical(probs=probs) for probs in (probabilities, probabilities.mean(0, keepdim=True))
    )
    return torch.distributions.kl_divergence(p, mean).mean().exp()


def _score_by_products(probabilities):
    """The product of (p / mean)^p over everything, and its N-th root."""
    p = probabilities.double()
    return ((p / p.mean(0)).nan_to_num() ** p).prod() ** (1 / len(p))


def _kl_div(reduction):
    """F.kl_div(log of the mean, p) with zeros made harmless."""
    return lambda probabilities: F.kl_div((probabilities.mean(0) + 1e-12).log(), probabilities, reduction=reduction)


def _score_in_parts(probabilities):
    parts = probabilities.chunk(2)
    return torch.stack([inception_score(part) for part in parts]).mean()


INCEPTION = Exercise(
    name="inception_score",
    lesson=51,
    points=2,
    minutes=10,
    docstring="""Inception Score: exp of the mean Kullback-Leibler divergence from each picture's class probabilities to their mean.

probabilities: (N, K), one row for each picture, not negative, each row sums to 1; N is at least 1. The mean is taken over the pictures.
The divergence from p to m is the sum over the classes of p log(p / m), natural logarithm. Where p is 0 its term is 0, even if m is 0.
Returns a scalar from 1 (all rows alike) to K (each row sure of one class, all classes equally often).""",
    reference=inception_score,
    cases=_score_cases,
    alternatives={
        "entropy of the mean minus mean entropy": lambda probabilities: (
            _entropy(probabilities.mean(0)) - _entropy(probabilities).mean()
        ).exp(),
        "where": lambda probabilities: (
            torch.where(probabilities > 0, probabilities * (probabilities / probabilities.mean(0)).log(), 0)
            .sum(1)
            .mean()
            .exp()
        ),
        "NaN counted as 0": lambda probabilities: (
            (probabilities * (probabilities / probabilities.mean(0)).log()).nansum(1).mean().exp()
        ),
        "a tiny number in the logarithms": lambda probabilities: (
            (probabilities * ((probabilities + 1e-12).log() - (probabilities.mean(0) + 1e-12).log()))
            .sum(1)
            .mean()
            .exp()
        ),
        "the library's divergence": lambda probabilities: (_kl_div("sum")(probabilities) / len(probabilities)).exp(),
        "the library's distributions": _score_by_distributions,
        "base 2, all the way": lambda probabilities: (
            2
            ** (
                (torch.xlogy(probabilities, probabilities) - torch.xlogy(probabilities, probabilities.mean(0)))
                .sum(1)
                .mean()
                / math.log(2)
            )
        ),
        "one number at a time": _score_by_loops,
        "NumPy": _score_by_numpy,
        "a product": _score_by_products,
    },
    mistakes=(
        Mistake(
            "exp forgotten",
            "You return the mean divergence; the score is exp of it.",
            _score_with(together=lambda d: d.sum(1).mean()),
        ),
        Mistake(
            "exp before the mean",
            "You take exp of each picture's divergence; take the mean first, then exp.",
            _score_with(together=lambda d: d.sum(1).exp().mean()),
        ),
        Mistake(
            "divergence the wrong way round",
            "You take the divergence from the mean to each picture, which is infinite at zeros; take it "
            "from the picture to the mean.",
            _score_with(lambda p, mean: torch.xlogy(mean, mean) - torch.xlogy(mean, p)),
        ),
        Mistake(
            "sign",
            "You have p and the mean exchanged in log(p / mean), so your score is below 1.",
            _score_with(together=lambda d: (-d).sum(1).mean().exp()),
        ),
        Mistake(
            "mean over the classes",
            "You divide by the number of classes too; the divergence is a sum over the classes.",
            _score_with(together=lambda d: d.mean().exp()),
        ),
        Mistake(
            "sum over the pictures",
            "You add up the divergences of the pictures; take their mean.",
            _score_with(together=lambda d: d.sum().exp()),
        ),
        Mistake(
            "divided by the classes",
            "You divide the sum of all divergences by the number of classes; divide it by that of the "
            "pictures: batchmean divides by the length of the first argument, so expand the mean to (N, K).",
            lambda probabilities: _kl_div("batchmean")(probabilities).exp(),
        ),
        Mistake(
            "mean of each row",
            "You compare with the mean along each row, which is 1 / K; compare with the mean over the pictures, dim=0.",
            _score_with(mean=lambda p: p.mean(1, keepdim=True)),
        ),
        Mistake(
            "entropy of the mean only",
            "You use the entropy of the mean alone, so unsure pictures cost nothing; subtract their entropies.",
            lambda probabilities: _entropy(probabilities.mean(0)).exp(),
        ),
        Mistake(
            "entropy of the pictures only",
            "You use the mean entropy of the pictures alone; subtract it from the entropy of their mean.",
            lambda probabilities: _entropy(probabilities).mean().exp(),
        ),
        Mistake(
            "entropies added",
            "You add the pictures' entropies to that of the mean; subtract them.",
            lambda probabilities: (_entropy(probabilities.mean(0)) + _entropy(probabilities).mean()).exp(),
        ),
        Mistake(
            "not weighted",
            "You add up log(p / mean) without multiplying it by p.",
            _score_with(lambda p, mean: (p + 1e-12).log() - (mean + 1e-12).log()),
        ),
        Mistake(
            "weighted with the mean",
            "You weight log(p / mean) with the mean; weight it with p.",
            _score_with(lambda p, mean: mean * ((p + 1e-12).log() - (mean + 1e-12).log())),
        ),
        Mistake(
            "a large epsilon",
            "You add 1e-3 inside the logarithms, which changes small probabilities; set the terms where p is 0 to 0.",
            _score_with(lambda p, mean: p * ((p + 1e-3).log() - (mean + 1e-3).log())),
        ),
        Mistake(
            "NaN at zeros",
            "You multiply 0 by log 0, which is NaN; torch.xlogy(p, p) is 0 there.",
            _score_with(lambda p, mean: p * p.log() - p * mean.log()),
        ),
        Mistake(
            "NaN where a class never occurs",
            "You take the logarithm of a mean that is 0, and 0 times minus infinity is NaN; also this term is 0.",
            _score_with(lambda p, mean: torch.xlogy(p, p) - p * mean.log()),
        ),
        Mistake(
            "rows with zeros dropped",
            "You drop each picture that has a zero somewhere; only that term is 0, the others count.",
            _score_with(lambda p, mean: p * (p / mean).log(), together=lambda d: d.sum(1).nanmean().exp()),
        ),
        Mistake(
            "base 2",
            "You use the logarithm to base 2 but raise e to it; use the natural one.",
            _score_with(together=lambda d: (d.sum(1).mean() / math.log(2)).exp()),
        ),
        Mistake(
            "softmax again",
            "You apply softmax to what are probabilities already.",
            lambda probabilities: inception_score(probabilities.softmax(1)),
        ),
        Mistake(
            "only the surest class",
            "You replace each row by its largest class, so unsure pictures count as sure; use all the probabilities.",
            lambda probabilities: inception_score(F.one_hot(probabilities.argmax(1), probabilities.shape[1])),
        ),
        Mistake(
            "one score for each picture",
            "You return one score for each picture; take the mean divergence before exp.",
            _score_with(together=lambda d: d.sum(1).exp()),
        ),
        Mistake(
            "share of the best",
            "You divide the score by the number of classes; it runs from 1 to K.",
            lambda probabilities: inception_score(probabilities) / probabilities.shape[1],
        ),
        Mistake(
            "in two parts",
            "You score parts of the batch and average the scores; take one mean over all pictures.",
            _score_in_parts,
        ),
    ),
)


# kernel_distance


def _kernel_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, y):
        return Case(label, tuple(torch.as_tensor(v, dtype=torch.float32) for v in (x, y)), gradients=(0, 1))

    def drawn(label, n, m, d, size=1.0):
        """Their means differ so much that the estimate is not the small difference of large sums."""
        return case(label, size * torch.randn(n, d, generator=g), size * (1.5 + 0.7 * torch.randn(m, d, generator=g)))

    spread = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0], [2.0, 2.0], [-2.0, -1.0]])
    return [
        case("numbers: two and three", [[0.0], [1.0]], [[1.0], [3.0], [-1.0]]),
        case("the same four twice: below 0", spread[:4], spread[:4]),
        case("five, and seven of the same: below 0", spread, spread[[0, 1, 2, 3, 4, 0, 4]]),
        drawn("five and seven, four numbers each", 5, 7, 4),
        drawn("seven and four, six numbers each", 7, 4, 6),
        drawn("six and five, many numbers each", 6, 5, 40),
        drawn("large features", 4, 6, 3, size=10.0),
        drawn("small features", 6, 4, 5, size=0.3),
    ]


def _cubic(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def _pairs_within(k):
    """The mean of a square kernel matrix without its diagonal."""
    return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))


def _distance_with(
    kernel=_cubic, within=_pairs_within, across=torch.mean, together=lambda xx, yy, xy: xx + yy - 2 * xy
):
    """The distance with another kernel, another mean, or put together in another way."""
    return lambda x, y: together(within(kernel(x, x)), within(kernel(y, y)), across(kernel(x, y)))


def _distance_by_loops(x, y):
    """float64, pair by pair."""

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b)) / len(a) + 1) ** 3

    def mean(values):
        values = list(values)
        return sum(values) / len(values)

    x, y = x.double().unbind(), y.double().unbind()
    within = [mean(k(a, b) for a, b in itertools.combinations(rows, 2)) for rows in (x, y)]
    return sum(within) - 2 * mean(k(a, b) for a in x for b in y)


def _distance_in_one_matrix(x, y):
    """All pairs of the joined sets, weighted."""
    n, m = len(x), len(y)
    rows = torch.cat([x, y])
    weights = torch.full((n + m, n + m), -1 / (n * m))
    weights[:n, :n], weights[n:, n:] = 1 / (n * (n - 1)), 1 / (m * (m - 1))
    return (_cubic(rows, rows) * weights.fill_diagonal_(0)).sum()


def _distance_by_features(x, y):
    """(s + 1)^3 = s^3 + 3 s^2 + 3 s + 1: dot products of what the rows make by themselves, in pairs and in threes."""

    def features(rows):
        rows = rows.double() / rows.shape[1] ** 0.5
        twos = torch.einsum("ni,nj->nij", rows, rows)
        return torch.cat(
            [3**0.5 * rows, 3**0.5 * twos.flatten(1), torch.einsum("nij,nk->nijk", twos, rows).flatten(1)], 1
        )

    a, b = features(x), features(y)
    within = [(f.sum(0).square().sum() - f.square().sum()) / (len(f) * (len(f) - 1)) for f in (a, b)]
    return sum(within) - 2 * a.mean(0) @ b.mean(0)


def _distance_by_numpy(x, y):
    x, y = x.numpy().astype(np.float64), y.numpy().astype(np.float64)
    xx, yy, xy = ((np.dot(a, b.T) / a.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    return xx[~np.eye(len(x), dtype=bool)].mean() + yy[~np.eye(len(y), dtype=bool)].mean() - 2 * xy.mean()


def _distance_cut(x, y):
    n = min(len(x), len(y))
    return kernel_distance(x[:n], y[:n])


def _without_diagonal(k):
    """The mean of a kernel matrix without the pairs of equal number."""
    return (k.sum() - k.diagonal().sum()) / (k.numel() - min(k.shape))


def _distance_one_count(x, y):
    n = len(x)
    xx, yy = _cubic(x, x), _cubic(y, y)
    return (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (n * (n - 1)) - 2 * _cubic(x, y).mean()


def _distance_without_equals(x, y):
    within = [_cubic(rows, rows)[(rows[:, None] != rows).any(-1)].mean() for rows in (x, y)]
    return sum(within) - 2 * _cubic(x, y).mean()


def _gauss(x, y):
    return (-(x[:, None] - y).square().mean(-1) / 2).exp()


KERNEL = Exercise(
    name="kernel_distance",
    lesson=51,
    points=3,
    minutes=15,
    docstring="""Kernel distance: the unbiased estimate of the squared maximum mean discrepancy between two sets of features.

x: (N, D), y: (M, D), one row for each picture; N and M are at least 2 and may differ. The kernel of rows a and b is (a . b / D + 1)^3.
The estimate: its mean over all pairs of different rows of x, plus the same for y, minus twice its mean over all pairs of a row of x
and a row of y. A row is never paired with itself; two rows that hold equal numbers are a pair like any other.
Returns a scalar, 0 on average for two sets of one distribution, and so below 0 now and then.""",
    reference=kernel_distance,
    cases=_kernel_cases,
    alternatives={
        "sums without the diagonal": _distance_with(),
        "the upper triangle": _distance_with(within=lambda k: k[torch.ones_like(k).triu(1) > 0].mean()),
        "zeros on the diagonal": _distance_with(
            within=lambda k: (k * (1 - torch.eye(len(k)))).sum() / (k.numel() - len(k))
        ),
        "pair by pair, float64": _distance_by_loops,
        "one matrix of weights": _distance_in_one_matrix,
        "the kernel's own features": _distance_by_features,
        "the kernel multiplied out": _distance_with(
            lambda x, y: sum(
                c * torch.einsum("nd,md->nm", x, y / x.shape[1]) ** power for power, c in enumerate((1, 3, 3, 1))
            )
        ),
        "NumPy": _distance_by_numpy,
    },
    mistakes=(
        Mistake(
            "biased",
            "You pair each row with itself, which makes the estimate too large: leave the diagonal out.",
            _distance_with(within=torch.mean),
        ),
        Mistake(
            "diagonal in the sum",
            "You divide by N (N - 1) but leave the diagonal in the sum.",
            _distance_with(within=lambda k: k.sum() / (len(k) * (len(k) - 1))),
        ),
        Mistake(
            "diagonal in the count",
            "You leave the diagonal out of the sum but divide by N^2; there are N (N - 1) pairs.",
            _distance_with(within=lambda k: (k.sum() - k.trace()) / k.numel()),
        ),
        Mistake(
            "each pair once, counted twice",
            "You add up each pair once and divide by N (N - 1); then there are only half as many.",
            _distance_with(within=lambda k: k.triu(1).sum() / (len(k) * (len(k) - 1))),
        ),
        Mistake(
            "divided once",
            "You divide the sum over the pairs by N only; there are N (N - 1) of them.",
            _distance_with(within=lambda k: (k.sum() - k.trace()) / len(k)),
        ),
        Mistake("one count for both", "You divide the pairs of y by N (N - 1); y has M rows.", _distance_one_count),
        Mistake(
            "not divided by D",
            "You leave out the division of the dot product by D.",
            _distance_with(lambda x, y: (x @ y.T + 1) ** 3),
        ),
        Mistake(
            "divided by the rows",
            "You divide the dot product by the number of rows; divide it by D, the length of a row.",
            _distance_with(lambda x, y: (x @ y.T / len(x) + 1) ** 3),
        ),
        Mistake(
            "divided by the root of D",
            "You divide by the root of D, as attention does; this kernel divides by D.",
            _distance_with(lambda x, y: (x @ y.T / x.shape[1] ** 0.5 + 1) ** 3),
        ),
        Mistake(
            "the 1 divided too",
            "You add 1 before you divide by D; divide the dot product, then add 1.",
            _distance_with(lambda x, y: ((x @ y.T + 1) / x.shape[1]) ** 3),
        ),
        Mistake(
            "no 1",
            "You leave out the 1 or add it after the power, where it cancels; it is added before.",
            _distance_with(lambda x, y: (x @ y.T / x.shape[1]) ** 3),
        ),
        Mistake(
            "squared",
            "You square where the kernel takes the third power.",
            _distance_with(lambda x, y: (x @ y.T / x.shape[1] + 1) ** 2),
        ),
        Mistake(
            "linear kernel",
            "You forget the third power, so you compare means alone.",
            _distance_with(lambda x, y: x @ y.T / x.shape[1] + 1),
        ),
        Mistake(
            "difference of the means",
            "You return the squared distance of the mean features; the kernel compares more than means.",
            lambda x, y: (x.mean(0) - y.mean(0)).square().sum(),
        ),
        Mistake(
            "Gaussian kernel",
            "You use a Gaussian kernel; this one is the third power of a dot product.",
            _distance_with(_gauss),
        ),
        Mistake(
            "cosine",
            "You divide the features by their lengths; they are used as they are.",
            lambda x, y: kernel_distance(F.normalize(x), F.normalize(y)),
        ),
        Mistake(
            "centred",
            "You subtract each set's mean first, and with it a difference that the distance should see.",
            lambda x, y: kernel_distance(x - x.mean(0), y - y.mean(0)),
        ),
        Mistake(
            "cross term once",
            "You subtract the cross term once; subtract it twice.",
            _distance_with(together=lambda xx, yy, xy: xx + yy - xy),
        ),
        Mistake(
            "cross term added",
            "You add the cross term; subtract it.",
            _distance_with(together=lambda xx, yy, xy: xx + yy + 2 * xy),
        ),
        Mistake(
            "sign",
            "You subtract within from across, so your sign is the wrong way round.",
            _distance_with(together=lambda xx, yy, xy: 2 * xy - xx - yy),
        ),
        Mistake(
            "only one set within",
            "You count the pairs within x twice and leave out those within y.",
            _distance_with(together=lambda xx, yy, xy: 2 * xx - 2 * xy),
        ),
        Mistake(
            "half", "You return half of the distance.", _distance_with(together=lambda xx, yy, xy: (xx + yy) / 2 - xy)
        ),
        Mistake(
            "root",
            "You take the root, which is NaN where the estimate is below 0; it stays squared.",
            _distance_with(together=lambda xx, yy, xy: (xx + yy - 2 * xy).sqrt()),
        ),
        Mistake(
            "never below 0",
            "You cut negative estimates off, so the estimate is too large on average; they are right.",
            _distance_with(together=lambda xx, yy, xy: (xx + yy - 2 * xy).clamp(min=0)),
        ),
        Mistake(
            "absolute value",
            "You take the absolute value, so the estimate is too large on average; negative ones are right.",
            _distance_with(together=lambda xx, yy, xy: (xx + yy - 2 * xy).abs()),
        ),
        Mistake(
            "cut to one size",
            "You use only as many rows of each set as the smaller one has; N and M may differ.",
            _distance_cut,
        ),
        Mistake(
            "cross term without its diagonal",
            "You leave row i of x and row i of y unpaired; they are different pictures, so they count.",
            _distance_with(across=_without_diagonal),
        ),
        Mistake(
            "equal rows left out",
            "You leave out pairs of rows that hold equal numbers; only a row and itself are no pair.",
            _distance_without_equals,
        ),
        Mistake(
            "a thousandfold",
            "You multiply by 1000, as some tables do; return the distance itself.",
            lambda x, y: 1000 * kernel_distance(x, y),
        ),
    ),
)


# precision_recall


def _share_cases(seed):
    """Quarters, exact in float32: many points lie on the surface of a ball, and every way of computing a distance agrees on it."""
    g = torch.Generator().manual_seed(seed)

    def case(label, real, generated, k):
        return Case(label, (torch.as_tensor(real), torch.as_tensor(generated), k))

    def drawn(label, n, m, d, k, wider=1.0):
        points = [torch.randn(rows, d, generator=g) * size for rows, size in ((n, 1.0), (m, wider))]
        return case(label, *((4 * p).round() / 4 for p in points), k)

    one, far = torch.randint(-4, 5, (2, 7, 3), generator=g).float()
    corners = [[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [9.0, 9.0], [6.0, 8.0]]
    return [
        case("on a line, k = 1", [[0.0], [2.0], [5.0], [20.0]], [[8.0], [-3.0], [4.0]], 1),
        case("in the plane, on the surface, k = 2", corners, [[3.0, 4.0], [-5.0, 0.0], [0.0, -4.0], [20.0, 20.0]], 2),
        case(
            "round balls, k = 1",
            [[0.0, 0.0], [3.0, 3.0], [30.0, 0.0]],
            [[-4.0, 0.0], [0.0, -5.0], [40.0, 40.0], [10.0, -30.0]],
            1,
        ),
        case(
            "every picture twice, k = 1", corners[:3] + corners[:3], [[0.0, 0.0], [3.0, 0.0], [0.0, 1.0], [3.0, 4.0]], 1
        ),
        case("the same picture again and again, k = 3", one, one[:1].expand(5, -1).clone(), 3),
        case("far apart, k = 2", one, far[:5] + 100, 2),
        drawn("twelve and nine, three numbers each, k = 3", 12, 9, 3, 3),
        drawn("seventeen real, twenty-three that spread more, k = 5", 17, 23, 2, 5, wider=2.0),
        drawn("eleven real, eight that spread less, k = 2", 11, 8, 4, 2, wider=0.5),
        drawn("fourteen and nineteen, k = 4", 14, 19, 5, 4),
    ]


def _euclid(x, y):
    return (x[:, None] - y).square().sum(-1).sqrt()


def _kth_other(distances, k):
    """Radii from the distances (M, M) among the centres; the nearest of all is the centre itself."""
    return distances.sort(1).values[:, k]


def _in_any(distances, radii):
    """The share of points, from their distances (N, M) to the centres."""
    return (distances <= radii).any(1).double().mean()


def _both_ways(share):
    """(precision, recall) from share(points, balls, k)."""
    return lambda real, generated, k: (share(generated, real, k), share(real, generated, k))


def _shares_with(distance=_euclid, radius=_kth_other, share=_in_any):
    """The two shares with another distance, other radii, or another count."""
    return _both_ways(lambda points, balls, k: share(distance(points, balls), radius(distance(balls, balls), k)))


def _share_by_loops(points, balls, k):
    points, balls = points.tolist(), balls.tolist()
    radii = [sorted(math.dist(a, b) for j, b in enumerate(balls) if j != i)[k - 1] for i, a in enumerate(balls)]
    return sum(any(math.dist(p, c) <= r for c, r in zip(balls, radii)) for p in points) / len(points)


def _share_by_numpy(points, balls, k):
    """Squares of distances on both sides."""
    points, balls = points.numpy().astype(np.float64), balls.numpy().astype(np.float64)
    radii = np.partition(((balls[:, None] - balls) ** 2).sum(-1), k, axis=1)[:, k]
    return (((points[:, None] - balls) ** 2).sum(-1) <= radii).any(1).mean()


def _share_by_dot_products(points, balls, k):
    def squares(x, y):
        return x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T

    points, balls = points.double(), balls.double()
    radii = squares(balls, balls).topk(k + 1, largest=False).values.amax(1)
    return (squares(points, balls) - radii).amin(1).le(0).double().mean()


def _share_by_rank(points, balls, k):
    """A ball holds what is no farther than its k-th neighbour: fewer than k other centres are nearer."""
    among, to = torch.cdist(balls, balls).fill_diagonal_(math.inf), torch.cdist(balls, points)
    nearer = (among[:, None] < to[:, :, None]).sum(-1)  # (M, N)
    return (nearer.amin(0) < k).float().mean()


def _share_ball_by_ball(points, balls, k):
    held = torch.zeros(len(points), dtype=torch.bool)
    for i, centre in enumerate(balls):
        others = torch.cat([balls[:i], balls[i + 1 :]])
        radius = torch.linalg.vector_norm(others - centre, dim=1).kthvalue(k).values
        held |= torch.linalg.vector_norm(points - centre, dim=1) <= radius
    return held.sum() / len(points)


def _own_radius(points, balls, k):
    """Mistake: the radius belongs to the point that is asked about."""
    return (_euclid(points, balls) <= _kth_other(_euclid(points, points), k)[:, None]).any(1).double().mean()


def _radius_across(points, balls, k):
    """Mistake: the radius is the distance to the k-th neighbour in the other set."""
    distances = _euclid(points, balls)
    return _in_any(distances, distances.sort(0).values[k - 1])


def _nearest_centre(distances, radii):
    """Mistake: only the nearest ball is looked at."""
    nearest = distances.argmin(1)
    return (distances.amin(1) <= radii[nearest]).double().mean()


def _then(change):
    """A mistake in what is returned: change(precision, recall, real, generated)."""
    return lambda real, generated, k: change(*precision_recall(real, generated, k), real, generated)


SHARES = Exercise(
    name="precision_recall",
    lesson=51,
    points=3,
    minutes=15,
    docstring="""Precision and recall of generated features: how many lie among the real ones, and how many real ones among them.

real: (N, D). generated: (M, D). k: whole number, at least 1 and below N and M. Distances are Euclidean.
Around each row of a set lies a ball; its radius is the distance from its centre to the k-th nearest other row of the same set. Equal
rows are other rows, at distance 0. The surface belongs to the ball. A point lies among a set if at least one of its balls holds it.
Returns (precision, recall), two numbers in [0, 1]: the share of generated rows that lie among the real ones, and the share of
real rows that lie among the generated ones.""",
    reference=precision_recall,
    cases=_share_cases,
    alternatives={
        "sorted distances": _shares_with(),
        "the library's distances": _shares_with(torch.cdist, lambda d, k: d.kthvalue(k + 1).values),
        "the diagonal taken out": _shares_with(
            radius=lambda d, k: (d + torch.diag(torch.full((len(d),), math.inf))).topk(k, largest=False).values[:, -1]
        ),
        "one at a time": _both_ways(_share_by_loops),
        "NumPy, squared": _both_ways(_share_by_numpy),
        "squared, through dot products": _both_ways(_share_by_dot_products),
        "by rank": _both_ways(_share_by_rank),
        "ball by ball": _both_ways(_share_ball_by_ball),
    },
    mistakes=(
        Mistake(
            "precision and recall exchanged",
            "You return recall first; precision is the share of the generated rows.",
            _then(lambda precision, recall, real, generated: (recall, precision)),
        ),
        Mistake(
            "precision twice",
            "You return precision for both; for recall the two sets change places.",
            _then(lambda precision, recall, real, generated: (precision, precision)),
        ),
        Mistake(
            "itself counted",
            "You count the centre as its own first neighbour, so your balls are too small.",
            _shares_with(radius=lambda d, k: _kth_other(d, k - 1)),
        ),
        Mistake(
            "one neighbour too far",
            "You skip the centre itself twice, so your balls reach to neighbour k + 1.",
            _shares_with(radius=lambda d, k: _kth_other(d, min(k + 1, len(d) - 1))),
        ),
        Mistake(
            "always the nearest",
            "You use the nearest neighbour whatever k says.",
            _shares_with(radius=lambda d, k: _kth_other(d, 1)),
        ),
        Mistake(
            "the farthest",
            "You take the k-th farthest row for the radius: torch.topk gives the largest unless you say largest=False.",
            _shares_with(radius=lambda d, k: d.topk(k).values[:, -1]),
        ),
        Mistake(
            "mean of the neighbours",
            "You use the mean distance to the k nearest rows; the radius is the distance to the k-th alone.",
            _shares_with(radius=lambda d, k: d.sort(1).values[:, 1 : k + 1].mean(1)),
        ),
        Mistake(
            "one radius for all",
            "You use the mean radius for every ball; each has its own.",
            _shares_with(radius=lambda d, k: _kth_other(d, k).mean()),
        ),
        Mistake(
            "the largest radius for all",
            "You use the largest radius for every ball; each has its own.",
            _shares_with(radius=lambda d, k: _kth_other(d, k).max()),
        ),
        Mistake(
            "equal rows skipped",
            "You skip rows at distance 0 as if they were the centre itself; an equal row is another row.",
            _shares_with(radius=lambda d, k: d.masked_fill(d == 0, math.inf).sort(1).values[:, k - 1]),
        ),
        Mistake(
            "radius of the point",
            "You use the radius of the point that you ask about; use that of the ball's centre.",
            _both_ways(_own_radius),
        ),
        Mistake(
            "radius across the sets",
            "You take the radius to the k-th row of the other set; take it within the centre's own set.",
            _both_ways(_radius_across),
        ),
        Mistake(
            "without the surface",
            "You compare with <, so a point on the surface is outside; compare with <=.",
            _shares_with(share=lambda d, r: (d < r).any(1).double().mean()),
        ),
        Mistake(
            "squared distance, plain radius",
            "You compare squared distances with radii that are not squared.",
            _shares_with(share=lambda d, r: _in_any(d.square(), r)),
        ),
        Mistake(
            "plain distance, squared radius",
            "You compare distances with squared radii.",
            _shares_with(share=lambda d, r: _in_any(d, r.square())),
        ),
        Mistake(
            "sum of absolute differences",
            "You use the sum of absolute differences; the distance is Euclidean.",
            _shares_with(lambda x, y: (x[:, None] - y).abs().sum(-1)),
        ),
        Mistake(
            "largest difference",
            "You use the largest difference of two rows; the distance is Euclidean.",
            _shares_with(lambda x, y: (x[:, None] - y).abs().amax(-1)),
        ),
        Mistake(
            "angles",
            "You compare directions (the cosine); the distance is Euclidean.",
            _shares_with(lambda x, y: 1 - F.normalize(x) @ F.normalize(y).T),
        ),
        Mistake(
            "in every ball",
            "You ask for all balls to hold the point; one is enough.",
            _shares_with(share=lambda d, r: (d <= r).all(1).double().mean()),
        ),
        Mistake(
            "nearest centre only",
            "You look at the ball of the nearest centre only; a larger one farther away may hold the point.",
            _shares_with(share=_nearest_centre),
        ),
        Mistake(
            "density",
            "You count in how many balls each point lies, which is called density; one ball or many, a point counts once.",
            lambda real, generated, k: tuple(
                value / k
                for value in _shares_with(share=lambda d, r: (d <= r).double().sum(1).mean())(real, generated, k)
            ),
        ),
        Mistake(
            "share of the pairs",
            "You take the mean over all pairs of point and ball; ask for any ball first, then take the mean over "
            "the points.",
            _shares_with(share=lambda d, r: (d <= r).double().mean()),
        ),
        Mistake(
            "share of the balls",
            "You return the share of balls that hold a point, which is called coverage; count the points.",
            _shares_with(share=lambda d, r: (d <= r).any(0).double().mean()),
        ),
        Mistake(
            "counts",
            "You return how many points there are; divide by the number of points asked about.",
            _shares_with(share=lambda d, r: (d <= r).any(1).double().sum()),
        ),
        Mistake(
            "divided by the other set",
            "You divide each count by the size of the other set.",
            _then(
                lambda precision, recall, real, generated: (
                    precision * len(generated) / len(real),
                    recall * len(real) / len(generated),
                )
            ),
        ),
        Mistake(
            "the points outside",
            "You return the shares outside; return those inside.",
            _then(lambda precision, recall, real, generated: (1 - precision, 1 - recall)),
        ),
        Mistake(
            "per cent",
            "You return per cent; return shares in [0, 1].",
            _then(lambda precision, recall, real, generated: (100 * precision, 100 * recall)),
        ),
        Mistake(
            "precision alone",
            "You return precision alone; return (precision, recall).",
            _then(lambda precision, recall, real, generated: precision),
        ),
    ),
)

# density_coverage


def _dense_cases(seed):
    """Those of precision and recall, on whose numbers every way of computing a distance agrees, and what only density and coverage see."""

    def case(label, real, generated, k):
        return Case(label, (torch.as_tensor(real), torch.as_tensor(generated), k))

    return [
        case("one generated picture, k = 1", [[0.0], [1.0], [2.0], [3.0]], [[1.0]], 1),
        case("an outlier whose ball is large, k = 2", [[0.0], [1.0], [2.0], [3.0], [50.0]], [[40.0], [30.0], [2.0]], 2),
        case(
            "in one spot, k = 2",
            [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0], [8.0, 9.0]],
            [[0.5, 0.5]] * 4,
            2,
        ),
        *_share_cases(seed),
    ]


def _density_and_coverage(inside, k):
    """From which points (M) lie in which balls (N), bool (M, N)."""
    return inside.double().sum(1).mean() / k, inside.any(0).double().mean()


def _dense_with(distance=_euclid, radius=_kth_other, inside=lambda d, r: d <= r, together=_density_and_coverage):
    """Density and coverage with another distance, other radii, another test, or put together in another way."""
    return lambda real, generated, k: together(inside(distance(generated, real), radius(distance(real, real), k)), k)


def _dense_by_loops(real, generated, k):
    real, generated = real.tolist(), generated.tolist()
    radii = [sorted(math.dist(a, b) for j, b in enumerate(real) if j != i)[k - 1] for i, a in enumerate(real)]
    inside = [[math.dist(p, c) <= r for c, r in zip(real, radii)] for p in generated]
    return sum(map(sum, inside)) / (k * len(generated)), sum(map(any, zip(*inside))) / len(real)


def _dense_by_numpy(real, generated, k):
    """Squares of distances on both sides."""
    real, generated = real.numpy().astype(np.float64), generated.numpy().astype(np.float64)
    radii = np.partition(((real[:, None] - real) ** 2).sum(-1), k, axis=1)[:, k]
    held = (((real[:, None] - generated) ** 2).sum(-1) <= radii[:, None]).sum(1)
    return held.sum() / k / len(generated), np.count_nonzero(held) / len(held)


def _dense_ball_by_ball(real, generated, k):
    """Coverage by the nearest generated picture alone: if any lies in the ball, it does."""
    pairs = covered = 0
    for i, centre in enumerate(real):
        others = torch.cat([real[:i], real[i + 1 :]])
        radius = torch.linalg.vector_norm(others - centre, dim=1).kthvalue(k).values
        distances = torch.linalg.vector_norm(generated - centre, dim=1)
        pairs, covered = pairs + (distances <= radius).sum(), covered + (distances.min() <= radius)
    return pairs / (k * len(generated)), covered / len(real)


def _across(real, generated, k):
    """Mistake: radii to the k-th of the other set."""
    distances = _euclid(generated, real)
    return _density_and_coverage(distances <= distances.sort(0).values[min(k, len(generated)) - 1], k)


def _coverage_by_nearest(real, generated, k):
    """Mistake: the share of real rows that are some generated row's nearest."""
    nearest = _euclid(generated, real).argmin(1).unique()
    return density_coverage(real, generated, k)[0], len(nearest) / len(real)


DENSE = Exercise(
    name="density_coverage",
    lesson=51,
    points=2,
    minutes=12,
    docstring="""Density and coverage of generated features: how densely they lie among the real ones, and how many real ones they reach.

real: (N, D). generated: (M, D), at least 1 row. k: whole number, at least 1 and below N. Distances are Euclidean.
Around each real row lies a ball; its radius is the distance to the k-th nearest other real row. Equal rows are other rows, at
distance 0. The surface belongs to the ball. Density: the number of balls that hold a generated row, averaged over the generated rows and
divided by k. Coverage: the share of the balls that hold at least one generated row.
Returns (density, coverage): a number of at least 0, which may exceed 1, and one in [0, 1].""",
    reference=density_coverage,
    cases=_dense_cases,
    alternatives={
        "sorted distances": _dense_with(),
        "the library's distances": _dense_with(torch.cdist, lambda d, k: d.kthvalue(k + 1).values),
        "the diagonal taken out": _dense_with(
            radius=lambda d, k: (d + torch.diag(torch.full((len(d),), math.inf))).topk(k, largest=False).values[:, -1]
        ),
        "one at a time": _dense_by_loops,
        "NumPy, squared": _dense_by_numpy,
        "ball by ball": _dense_ball_by_ball,
    },
    mistakes=(
        Mistake(
            "density and coverage exchanged",
            "You return coverage first; density comes first.",
            lambda real, generated, k: density_coverage(real, generated, k)[::-1],
        ),
        Mistake(
            "density alone",
            "You return density alone; return (density, coverage).",
            lambda real, generated, k: density_coverage(real, generated, k)[0],
        ),
        Mistake(
            "balls round the generated",
            "You put the balls round the generated rows; both measures put them round the real ones, so that "
            "generated outliers count for nothing.",
            lambda real, generated, k: _dense_with(radius=lambda d, k: _kth_other(d, min(k, len(d) - 1)))(
                generated, real, k
            ),
        ),
        Mistake(
            "itself counted",
            "You count the centre as its own first neighbour, so your balls are too small.",
            _dense_with(radius=lambda d, k: _kth_other(d, k - 1)),
        ),
        Mistake(
            "one neighbour too far",
            "You skip the centre itself twice, so your balls reach to neighbour k + 1.",
            _dense_with(radius=lambda d, k: _kth_other(d, min(k + 1, len(d) - 1))),
        ),
        Mistake(
            "the farthest",
            "You take the k-th farthest row for the radius: torch.topk gives the largest unless you say largest=False.",
            _dense_with(radius=lambda d, k: d.topk(k).values[:, -1]),
        ),
        Mistake(
            "one radius for all",
            "You use the mean radius for every ball; each has its own.",
            _dense_with(radius=lambda d, k: _kth_other(d, k).mean()),
        ),
        Mistake(
            "equal rows skipped",
            "You skip rows at distance 0 as if they were the centre itself; an equal row is another row.",
            _dense_with(radius=lambda d, k: d.masked_fill(d == 0, math.inf).sort(1).values[:, k - 1]),
        ),
        Mistake(
            "radius across the sets",
            "You take the radius to the k-th generated row; take it within the real rows.",
            _across,
        ),
        Mistake(
            "without the surface",
            "You compare with <, so a row on the surface is outside; compare with <=.",
            _dense_with(inside=lambda d, r: d < r),
        ),
        Mistake(
            "squared distance, plain radius",
            "You compare squared distances with radii that are not squared.",
            _dense_with(inside=lambda d, r: d.square() <= r),
        ),
        Mistake(
            "sum of absolute differences",
            "You use the sum of absolute differences; the distance is Euclidean.",
            _dense_with(lambda x, y: (x[:, None] - y).abs().sum(-1)),
        ),
        Mistake(
            "not divided by k",
            "You do not divide the number of balls by k, so that density is about k for good pictures.",
            _dense_with(together=lambda inside, k: (inside.double().sum(1).mean(), inside.any(0).double().mean())),
        ),
        Mistake(
            "share of the pairs",
            "You divide the count of pairs by the number of real rows as well; divide by k and the number of "
            "generated rows.",
            _dense_with(together=lambda inside, k: (inside.double().mean(), inside.any(0).double().mean())),
        ),
        Mistake(
            "divided by the real rows",
            "You divide density's count by k and the number of real rows; it is an average over the generated.",
            _dense_with(
                together=lambda inside, k: (
                    inside.double().sum() / (k * inside.shape[1]),
                    inside.any(0).double().mean(),
                )
            ),
        ),
        Mistake(
            "precision for density",
            "You count a generated row once if any ball holds it, which is precision; density counts every ball.",
            _dense_with(together=lambda inside, k: (inside.any(1).double().mean(), inside.any(0).double().mean())),
        ),
        Mistake(
            "density cut at 1",
            "You cut density at 1; above 1 the generated rows lie where the real ones are dense.",
            lambda real, generated, k: tuple(min(v, 1.0) for v in density_coverage(real, generated, k)),
        ),
        Mistake(
            "precision for coverage",
            "You return the share of generated rows that lie in a ball; coverage is the share of balls that hold one.",
            _dense_with(together=lambda inside, k: (inside.double().sum(1).mean() / k, inside.any(1).double().mean())),
        ),
        Mistake(
            "recall for coverage",
            "You return recall, whose balls are the generated rows'; coverage uses the real rows' balls.",
            lambda real, generated, k: (
                density_coverage(real, generated, k)[0],
                _in_any(
                    _euclid(real, generated), _kth_other(_euclid(generated, generated), min(k, len(generated) - 1))
                ),
            ),
        ),
        Mistake(
            "nearest real rows",
            "You count real rows that are the nearest of some generated row; count balls that hold a generated row.",
            _coverage_by_nearest,
        ),
        Mistake(
            "number of balls",
            "You return how many balls hold a generated row; divide by the number of real rows.",
            _dense_with(together=lambda inside, k: (inside.double().sum(1).mean() / k, inside.any(0).double().sum())),
        ),
    ),
)

EXERCISES = (FRECHET, INCEPTION, KERNEL, SHARES, DENSE)
