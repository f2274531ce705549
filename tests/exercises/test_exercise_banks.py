"""Teeth: every known mistake is rejected and named, every correct alternative accepted, mechanical damage noticed."""

import functools
import inspect
import os

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.exercises.engine import Exercise, fault, observe, prepare

SEEDS = range(int(os.environ.get("AIGC_BANK_SEEDS", 10)))  # `make test-banks` takes 100
NAMES = [
    name for name in al.exercises.names() if isinstance(al.exercises.get(name), Exercise)
]  # others: test_trained.py
ANSWERS = [
    name for name in NAMES if al.exercises.get(name).signature == f"{name}()"
]  # a number is asked for, no function


@functools.cache
def prepared(name, seed):
    return prepare(al.exercises.get(name), seed)


def accepted(name, function, seed):
    differentiable = al.exercises.get(name).differentiable
    return all(fault(observe(function, e), e, differentiable) is None for e in prepared(name, seed))


@pytest.mark.parametrize("name", NAMES)
def test_a_bank_is_complete(name):
    exercise = al.exercises.get(name)
    # A number that is asked for has few wrong values that somebody arrives at, and few ways to be written
    fewest = (8, 3) if inspect.signature(exercise.reference).parameters else (3, 2)
    assert len(exercise.mistakes) >= fewest[0] and len(exercise.alternatives) >= fewest[1]
    assert len({m.name for m in exercise.mistakes}) == len(exercise.mistakes)
    assert len({m.hint for m in exercise.mistakes}) == len(exercise.mistakes)
    for mistake in exercise.mistakes:
        assert "you" in mistake.hint.lower() and mistake.hint.endswith(".") and ". " not in mistake.hint
    assert exercise.points > 0 and exercise.minutes > 0
    assert all(p in exercise.docstring for p in inspect.signature(exercise.reference).parameters)


@pytest.mark.parametrize("name", NAMES)
def test_every_alternative_is_accepted(name, record_property):
    alternatives = al.exercises.get(name).alternatives
    refused = [(how, seed) for how, f in alternatives.items() for seed in SEEDS if not accepted(name, f, seed)]
    right = len(alternatives) - len({how for how, _ in refused})
    record_property("teeth", (name, "alternatives accepted", right, len(alternatives)))
    assert not refused


@pytest.mark.parametrize("name", NAMES)
def test_every_mistake_is_rejected(name, record_property):
    mistakes = al.exercises.get(name).known
    survived = [(m.name, seed) for m in mistakes for seed in SEEDS if accepted(name, m.function, seed)]
    killed = len(mistakes) - len({mistake for mistake, _ in survived})
    record_property("teeth", (name, "known mistakes rejected", killed, len(mistakes)))
    assert not survived


@pytest.mark.parametrize("seed", SEEDS[:3])
@pytest.mark.parametrize("name", NAMES)
def test_every_mistake_is_named(name, seed):
    for mistake in al.exercises.get(name).known:
        result = al.exercises.check(name, mistake.function, seed)
        assert (result.mistake, result.hint, result.points) == (mistake.name, mistake.hint, 0)
        assert result.outcome in ("wrong", "error") and mistake.hint in result.message


@pytest.mark.parametrize("lesson", (11, 12, 13, 14, 21, 22, 23, 24, 25, 43, 64))
def test_two_mistakes_at_once_are_known(lesson):
    """By the names and the hints of both; that an answer with both gets them, test_every_mistake_is_named shows."""
    exercises = [e for e in map(al.exercises.get, NAMES) if e.lesson == lesson]
    assert any(e.pairs for e in exercises)
    for exercise in exercises:
        hints = {mistake.name: mistake.hint for mistake in exercise.mistakes}
        names = [f"{pair.first}; {pair.second}" for pair in exercise.pairs]
        assert [m.name for m in exercise.known] == [*hints, *names] and len(set(names)) == len(names)
        for pair, both in zip(exercise.pairs, exercise.known[len(hints) :]):
            assert pair.first != pair.second and hints[pair.first] in both.hint and hints[pair.second] in both.hint


TENSOR_DAMAGE = {
    "negated": lambda t: -t,
    "a thousandth too large": lambda t: t * 1.001,
    "shifted by a thousandth of its scale": lambda t: t + 1e-3 * t.abs().max(),
    "mirrored": lambda t: t.flip(-1) if t.ndim else t,
    "upside down": lambda t: t.flip(-2) if t.ndim > 1 else t,
    "batch rolled": lambda t: t.roll(1, 0) if t.ndim else t,
    "first sample everywhere": lambda t: t[:1].expand_as(t) if t.ndim else t,
    "last sample zero": lambda t: torch.cat([t[:-1], 0 * t[-1:]]) if t.ndim else t,
    "NaN": lambda t: t * float("nan"),
    "one value NaN": lambda t: t + torch.full_like(t, float("nan")).where(t == t.max(), torch.zeros_like(t)),
    "zeros": lambda t: t * 0,
    "half precision": lambda t: t.half().float(),
    "whole numbers": lambda t: t.long(),
    "one more axis": lambda t: t[None],
    "the value right, the gradient doubled": lambda t: 2 * t - t.detach(),
    "the value right, no gradient": lambda t: t.detach(),
}
NUMBER_DAMAGE = {
    "negated": lambda n: -n,
    "one more": lambda n: n + 1,
    "one less": lambda n: n - 1,
    "doubled": lambda n: 2 * n,
    "a tenth more": lambda n: n + 0.1,
    "zero": lambda n: 0,
    "text": lambda n: str(n),
    "in a list": lambda n: [n],
    "in a tensor of one axis": lambda n: torch.tensor([n]),
    "yes or no": lambda n: n > 0,
}


def axes(answer):
    """Number of axes of an answer, of a tuple's largest item; of what a network answers, those of pictures."""
    if isinstance(answer, torch.nn.Module):
        return 4
    return max(map(axes, answer)) if isinstance(answer, tuple) else torch.as_tensor(answer).ndim


def returned(name):
    """What the reference returns in each case, before an exercise's `call` makes more of it."""
    answers = []

    def kept(answer):
        answers.append(answer)
        return answer

    for expected in prepared(name, 0):
        observe(damaged(al.exercises.get(name).reference, kept), expected)
    return answers


def damages(name):
    """What can be damaged in an exercise's result: {how: change}."""
    exercise, first = al.exercises.get(name), prepared(name, 0)[0]
    if first.whole:
        return NUMBER_DAMAGE
    skipped = set()
    if not first.case.gradients:
        skipped.add("the value right, the gradient doubled")
    if not exercise.differentiable:
        skipped.add("the value right, no gradient")  # plain loops and NumPy are correct answers there
    answers = returned(name)
    if all(isinstance(a, torch.Tensor) and not a.is_floating_point() for a in answers):
        skipped.add("whole numbers")  # which they are, a permutation for one
    most = max(map(axes, answers))
    if all(same_in_half_precision(answer) for answer in returned(name)):
        skipped.add("half precision")  # zeros and ones
    most = max(map(axes, returned(name)))
    if most < 2:
        skipped.add("upside down")
    if most < 1:
        skipped |= {"mirrored", "batch rolled", "first sample everywhere", "last sample zero"}
    return {how: change for how, change in TENSOR_DAMAGE.items() if how not in skipped}


def same_in_half_precision(answer):
    return isinstance(answer, torch.Tensor) and torch.equal(answer.half().float(), answer.float())


def damaged(reference, change):
    """The reference with a change to what it returns: to each item of a tuple; to what a buffer's query, or a network, returns."""
    if inspect.isclass(reference):
        query = lambda self, *args: change(reference.query(self, *args))
        return type(reference.__name__, (reference,), {"query": query})

    def of_an_item(item):
        if isinstance(item, torch.nn.Module):
            item.register_forward_hook(lambda network, inputs, output: change(output))
            return item
        return change(torch.as_tensor(item))

    def function(*args, **kwargs):
        answer = reference(*args, **kwargs)
        if isinstance(answer, tuple):
            return tuple(map(of_an_item, answer))
        return of_an_item(answer) if isinstance(answer, torch.nn.Module) else change(answer)

    return function


@pytest.mark.parametrize("name", NAMES)
def test_mechanical_damage_is_rejected(name, record_property):
    reference = al.exercises.get(name).reference
    changes = damages(name)
    survived = [
        (how, seed)
        for how, change in changes.items()
        for seed in SEEDS
        if accepted(name, damaged(reference, change), seed)
    ]
    record_property(
        "teeth", (name, "mechanical ones rejected", len(changes) - len({how for how, _ in survived}), len(changes))
    )
    assert not survived


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_drawn_from_the_seed(name):
    cases = al.exercises.get(name).cases
    assert str(cases(3)) == str(cases(3))
    assert name == "flip_horizontal" or name in ANSWERS or str(cases(3)) != str(cases(4))


@pytest.mark.parametrize("name", NAMES)
def test_cases_hold_plain_data(name):
    def plain(value):
        if isinstance(value, (list, tuple)):
            return all(map(plain, value))
        return (
            value is None
            or type(value) in (int, float, str)
            or (type(value) is torch.Tensor and value.dtype in (torch.float32, torch.int64) and not value.requires_grad)
        )

    for case in al.exercises.get(name).cases(0):
        assert plain(case.args) and plain(list(case.kwargs.values()))


PINNED = {
    "flip_horizontal": "(image)",
    "rotation_matrix": "(degrees)",
    "warp": "(image, matrix)",
    "output_size": "(size, kernel_size, stride=1, padding=0, dilation=1)",
    "conv2d": "(x, weight, bias=None, stride=1, padding=0)",
    "depthwise_conv2d": "(x, weight, stride=1, padding=0)",
    "kernel_gradient": "(x, grad)",
    "max_pool2d": "(x, kernel_size, stride)",
    "conv_transpose2d": "(x, weight, stride=1, padding=0)",
    "receptive_field": "(layers)",
    "cross_entropy": "(logits, target)",
    "dropout": "(x, p, keep)",
    "early_stop": "(losses, patience)",
    "sgd_step": "(parameter, gradient, velocity, lr, momentum)",
    "adam_step": "(parameter, gradient, m, v, step, lr, betas, eps)",
    "gradient_of_one_neuron": "()",
    "faulty_line_classifier": "()",
    "batch_norm": "(x, gamma, beta, running_mean, running_var, momentum, eps, training)",
    "reparameterize": "(mu, logvar, noise)",
    "kl_to_standard_normal": "(mu, logvar)",
    "elbo": "(log_px, mu, logvar)",
    "vae_loss": "(x, reconstruction, mu, logvar, beta)",
    "aggregate_posterior": "(z, mu, logvar)",
    "optimal_decoder": "(z, mu, logvar, x)",
    "vae_networks": "(latent_dim, width)",
    "faulty_line_vae": "()",
    "optimal_discriminator": "(p_data, p_model)",
    "jensen_shannon": "(p, q)",
    "extragradient_step": "(field, point, lr)",
    "discriminator_loss": "(real_logits, fake_logits)",
    "generator_loss": "(fake_logits)",
    "gan_step": "(generator, discriminator, opt_g, opt_d, real, noise)",
    "dcgan_generator": "(latent_dim, width)",
    "faulty_line_gan": "()",
    "logit_difference": "()",
    "faulty_line_cgan": "()",
    "critic_loss": "(real_scores, fake_scores)",
    "gradient_penalty": "(critic, real, fake, t)",
    "hinge_discriminator_loss": "(real_scores, fake_scores)",
    "spectral_norm": "(weight, u, iterations)",
    "raster": "(images)",
    "shift_right": "(tokens, start)",
    "causal_mask": "(kernel_size, kind)",
    "gru_cell": "(x, h, w_ih, w_hh, b_ih, b_hh)",
    "bits_per_pixel": "(logits, target)",
    "blind_pixels": "()",
    "condition": "(noise, labels, n_classes)",
    "conditional_batch_norm": "(x, labels, gamma, beta, eps)",
    "projection_logit": "(features, labels, embedding, weight)",
    "unary": "(image, palette, scale)",
    "mean_field": "(q, unary, weight, rounds)",
    "gaussian_crf": "(u, weights, lam)",
    "weight_for_a_pair": "()",
    "psnr": "(x, y, data_range)",
    "nl_means": "(image, patch, window, h)",
    "composite": "(known, generated, mask)",
    "masked_l1": "(prediction, target, mask)",
    "partial_conv2d": "(x, mask, weight)",
    "pix2pix_generator_loss": "(fake_logits, fake, target, l1_weight)",
    "patch_receptive_field": "(layers)",
    "small_unet": "(in_channels, out_channels, width)",
    "least_l1_error": "()",
    "faulty_line_pix2pix": "()",
    "cycle_loss": "(x, there_and_back)",
    "cyclegan_generator_loss": "(fake_logits_a, fake_logits_b, a, cycled_a, b, cycled_b, same_a, same_b, "
    "cycle_weight=10.0, identity_weight=5.0)",
    "ImageBuffer": "(capacity)",
    "frechet_distance": "(mu1, cov1, mu2, cov2)",
    "inception_score": "(probabilities)",
    "kernel_distance": "(x, y)",
    "precision_recall": "(real, generated, k)",
    "schedule": "(t)",
    "noised": "(x, noise, a, s)",
    "exact_denoiser": "(x_t, a, s, data)",
    "posterior": "(x0, x_t, abar_t, abar_prev)",
    "ddim_step": "(x, x0, now, then, eta, noise)",
    "faulty_line_ddpm": "()",
    "interpolate": "(x, noise, t)",
    "velocity_target": "(x, noise)",
    "euler_step": "(velocity, x, t, dt)",
    "heun_step": "(velocity, x, t, dt)",
    "pair_by_transport": "(x, noise)",
    "latent_scale": "(latents)",
    "quantize": "(z, codebook)",
    "vq_loss": "(z, z_q, beta)",
    "codebook_perplexity": "(codes, k)",
    "faulty_line_flow": "()",
    "faulty_line_vq": "()",
    "least_flow_loss": "()",
}


def test_names_and_signatures_are_the_pinned_ones():
    signatures = {name: al.exercises.get(name).signature for name in NAMES}
    assert {n: signatures.get(n) for n in PINNED} == {n: n + s for n, s in PINNED.items()}
    assert al.exercises.names(11) == ("flip_horizontal", "rotation_matrix", "warp")


def test_the_reference_is_the_course_function_itself():
    from aigc_lessons.exercises.banks import lesson_22, lesson_24, lesson_43
    from aigc_lessons.models.cyclegan import ImageBuffer
    from aigc_lessons.models.dcgan import gan_step
    from aigc_lessons.training.early_stopping import early_stop

    built = {"vae_networks": lesson_22.vae_networks, "dcgan_generator": lesson_24.dcgan_generator}
    built |= {"small_unet": lesson_43.small_unet, "patch_receptive_field": al.ops.receptive_field}
    homes = built | {"early_stop": early_stop, "gan_step": gan_step, "ImageBuffer": ImageBuffer}
    for name in PINNED.keys() - ANSWERS:
        home = (
            homes.get(name)
            or getattr(al.sequences, name, None)
            or getattr(al.fields, name, None)
            or getattr(al.flows, name, None)
            or getattr(al.latents, name, None)
            or getattr(al.losses, name, None)
            or getattr(al.metrics, name, None)
            or getattr(al.diffusion, name, None)
            or getattr(al.ops, name)
        )
        assert al.exercises.get(name).reference is home
