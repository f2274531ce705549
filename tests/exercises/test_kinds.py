"""Exercises that ask for a number or for a network: what their questions claim is true."""

import re

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import aigc_lessons as al
from aigc_lessons.models.autoregressive import MaskedConv2d
from aigc_lessons.settings import COURSE

FAULTS = {  # {exercise: (line, what stands there in a right loop)}
    "faulty_line_vae": (4, "    z = mu + (logvar / 2).exp() * torch.randn_like(mu)"),
    "faulty_line_gan": (10, "    opt_g.zero_grad()"),
    "faulty_line_ddpm": (8, "    x = mean + (1 - alpha) ** 0.5 * s_then / s * torch.randn_like(x)"),
    "faulty_line_flow": (6, "    x, y = x[p], y[p]"),
    "faulty_line_repaint": (9, "            x = keep * x + (t**2 - (keep * then) ** 2) ** 0.5 * torch.randn_like(x)"),
    "faulty_line_vq": (6, "    loss = error + vq_loss(z, codebook[codes], 0.25)"),
    "faulty_line_text": (9, "    velocity = net(x_t, t, y)"),
    "faulty_line_cgan": (
        6,
        "    d_loss = discriminator_loss(discriminator(real, labels), discriminator(fake.detach(), asked))",
    ),
    "faulty_line_style": (12, "    with torch.no_grad(): picture.clamp_(-1, 1)"),
    "faulty_line_pix2pix": (11, "    fake_logits = discriminator(torch.cat([a, fake], 1))"),
}


def loop(name):
    """The lines that an exercise prints, without their numbers."""
    lines = re.findall(r"^ ?(\d+)  (.*)$", al.exercises.get(name).docstring, flags=re.M)
    assert [int(number) for number, _ in lines] == list(range(1, len(lines) + 1))
    return [line for _, line in lines]


def ran(lines, steps, **names):
    """The names after the loop has run for so many steps, with random numbers from seed 0."""
    torch.manual_seed(0)
    source = re.sub(r"range\(\d+\)", f"range({steps})", "\n".join(lines))
    losses = {name: getattr(al.losses, name) for name in ("discriminator_loss", "generator_loss")}
    names |= losses | {"torch": torch, "F": F, "interpolate": al.flows.interpolate}
    exec(source, names)
    return names


@pytest.mark.parametrize("name", ["faulty_line_classifier", *FAULTS])
def test_the_notebook_prints_the_loop_of_the_question(name):
    (path,) = (COURSE / "solutions").glob(f"{al.exercises.get(name).lesson}_*.ipynb")
    page = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert "\n".join(f"{k:>2}  {line}" for k, line in enumerate(loop(name), 1)) in page


def test_zero_grad_outside_of_the_loop_ends_at_chance_and_inside_it_does_not():
    train, test = (al.data.load("digits", size=16, split=split) for split in ("train", "test"))
    broken = loop("faulty_line_classifier")
    mended = [*broken[:2], broken[3], "    " + broken[2], *broken[4:]]
    right, tested = [], {"test_images": test.images, "test_labels": test.labels}
    for lines in (broken, mended):
        torch.manual_seed(0)
        net = nn.Sequential(al.models.classifier.feature_network((1, 16, 16), 8), nn.Linear(64, 10))
        names = ran(lines, 300, net=net, images=train.images, labels=train.labels, **tested)
        right.append(names["right"].item())
    assert right[0] < 0.2 and right[1] > 0.7


def test_a_drawn_normal_sends_no_error_back_to_the_encoder():
    images = al.data.load("digits", size=16, split="train").images
    gradients = {}
    for fault, lines in both("faulty_line_vae").items():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 8))
        decoder = nn.Sequential(nn.Linear(4, 256), nn.Unflatten(1, (1, 16, 16)), nn.Tanh())
        optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.0)
        lines = [line for line in lines if "loss.backward" not in line] + ["    error.backward()"]
        ran(lines, 1, images=images, encoder=encoder, decoder=decoder, optimizer=optimizer)
        gradients[fault] = encoder[1].weight.grad.abs().max().item()
    assert gradients["broken"] == 0 < gradients["mended"]


def both(name):
    """The loop as it is printed, and with its line replaced."""
    line, right = FAULTS[name]
    return {"broken": loop(name), "mended": [*loop(name)[: line - 1], right, *loop(name)[line:]]}


def test_a_caption_that_was_taken_away_reaches_the_network_only_where_it_is_read():
    """Captions of nothing but 0, the ones that guidance asks about: never by the loop as printed, one in ten by the mended one."""
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    ids = torch.randint(1, 9, (64, 4), generator=torch.Generator().manual_seed(1))
    empty = {}
    for fault, lines in both("faulty_line_text").items():
        torch.manual_seed(0)
        net, asked = al.models.TextToImage(tuple("abcdefgh"), 4, (3, 8, 8), width=4).net, []
        net.condition.register_forward_hook(lambda part, given, out, asked=asked: asked.append(given[0]))
        ran(lines, 20, images=images, ids=ids, net=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.01))
        empty[fault] = (torch.cat(asked) == 0).all(1).float().mean().item()
    assert empty["broken"] == 0 and 0.05 < empty["mended"] < 0.15


def test_gradients_pile_up_from_the_second_step_on():
    images = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    left = {}
    for fault, lines in both("faulty_line_gan").items():
        for steps in (1, 2):
            torch.manual_seed(0)
            generator = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
            discriminator = nn.Sequential(nn.Linear(8, 1), nn.Flatten(0))
            opt_g, opt_d = (torch.optim.SGD(n.parameters(), 0.1) for n in (generator, discriminator))
            networks = {"generator": generator, "discriminator": discriminator}
            ran(lines, steps, images=images, opt_g=opt_g, opt_d=opt_d, **networks)
            left[fault, steps] = [p.detach().clone() for p in (*generator.parameters(), *discriminator.parameters())]
    assert all(map(torch.equal, left["broken", 1], left["mended", 1]))
    generators = [torch.equal(a, b) for a, b in zip(left["broken", 2], left["mended", 2])][:2]
    discriminators = [torch.equal(a, b) for a, b in zip(left["broken", 2], left["mended", 2])][2:]
    assert not any(generators) and all(discriminators)


def test_a_fake_with_the_label_of_a_real_picture_is_mostly_a_wrong_pair():
    """Pictures are their class; the generator draws what is asked for. The share of right pairs that the discriminator is shown as fakes."""

    class Judge(nn.Linear):
        def forward(self, pictures, labels):
            shown.append((pictures.argmax(1) == labels).float().mean().item())
            return super().forward(pictures)[:, 0]

    class Perfect(nn.Linear):
        def forward(self, noise, asked):
            return super().forward(noise) * 0 + torch.eye(10)[asked]

    classes, right = torch.arange(10).repeat(20), {}
    for fault, lines in both("faulty_line_cgan").items():
        torch.manual_seed(0)
        shown, generator, discriminator = [], Perfect(32, 10), Judge(10, 1)
        opt_g, opt_d = (torch.optim.SGD(n.parameters(), 0.1) for n in (generator, discriminator))
        networks = {"generator": generator, "discriminator": discriminator, "opt_g": opt_g, "opt_d": opt_d}
        ran(lines, 20, images=torch.eye(10)[classes], classes=classes, **networks)
        real, fake, again = (torch.tensor(shown[k::3]).mean().item() for k in range(3))
        assert real == again == 1
        right[fault] = fake
    assert right["mended"] == 1 and right["broken"] == pytest.approx(0.1, abs=0.03)


def test_noise_after_the_last_step_leaves_grain_and_the_spread_as_it_was():
    """Of one picture every pixel is off by 0.08; of Gaussian data the spread is nearer to the true one than that of a right sampler."""
    schedule = al.diffusion.schedule
    one, wide = (
        lambda x, t: torch.full_like(x, 0.3),
        lambda x, t: x * schedule(t)[0] * 0.25 / (1 - 0.75 * schedule(t)[0] ** 2),
    )
    off, spread = {}, {}
    for fault, lines in both("faulty_line_ddpm").items():
        off[fault] = (
            (ran(lines, 1, n=100, T=20, denoiser=one, schedule=schedule)["x"] - 0.3).square().mean().sqrt().item()
        )
        spread[fault] = ran(lines, 1, n=2000, T=200, denoiser=wide, schedule=schedule)["x"].std().item()
    assert off["broken"] == pytest.approx(0.08, abs=0.005) and off["mended"] < 1e-6
    assert abs(spread["broken"] - 0.5) < 0.0025 < abs(spread["mended"] - 0.5) < 0.015


def test_noise_added_again_by_its_deviation_instead_of_its_variance_makes_holes_pale():
    """Data: independent pixels of N(0, 0.5²), whose velocity is known. E[noise - x | x_t] = (t - (1 - t) 0.25) x_t / var(x_t)."""
    velocity = lambda x, t: (t - (1 - t) * 0.25) * x / ((1 - t) ** 2 * 0.25 + t**2)
    picture = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0)) / 2
    mask = (torch.arange(200) < 20).float().expand(1, 1, 200, 200)
    spread = {}
    for fault, lines in both("faulty_line_repaint").items():
        for rounds in (1, 4):
            x = ran(lines, 1, T=20, R=rounds, picture=picture, mask=mask, velocity=velocity)["x"]
            spread[fault, rounds] = x[mask == 0].std().item()
            assert torch.equal(x[mask == 1], picture[mask == 1])
    assert spread["broken", 1] == spread["mended", 1] == pytest.approx(0.5, abs=0.05)  # Euler's steps are 0.034 off
    assert spread["mended", 4] == pytest.approx(0.5, abs=0.05) and spread["broken", 4] < 0.25


def test_a_picture_that_is_replaced_stands_still_after_one_step():
    g = torch.Generator().manual_seed(0)
    network = al.models.RandomFeatures(1, width=4)
    content, style = (torch.rand(1, 1, 16, 16, generator=g) * 2 - 1 for _ in range(2))
    names = dict(content=content, network=network, wanted=network(style), sliced_distance=al.losses.sliced_distance)
    for fault, lines in both("faulty_line_style").items():
        after = [ran(lines, steps, **names)["picture"].detach().clone() for steps in (0, 1, 2, 9)]
        assert torch.equal(after[0], content) and not torch.equal(after[0], after[1])
        assert (torch.equal(after[1], after[2]) and torch.equal(after[1], after[3])) == (fault == "broken")


def test_a_codebook_that_the_loss_sees_through_the_straight_way_alone_stays_as_it_was():
    """And the first term then moves the vectors, away from their entries, more strongly than the second one holds them."""
    images = al.data.load("digits-8x8", size=8).images[:256]
    moved, grows = {}, {}
    for fault, lines in both("faulty_line_vq").items():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        decoder = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)))
        codebook = nn.Parameter(torch.randn(16, 4))
        before = codebook.detach().clone()
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), codebook], lr=0.01)
        names = dict(encoder=encoder, decoder=decoder, codebook=codebook, optimizer=optimizer, images=images)
        formulas = dict(quantize=al.latents.quantize, vq_loss=al.latents.vq_loss)
        losses = [ran(lines, steps, **names, **formulas)["loss"].item() for steps in (1, 100)]
        moved[fault], grows[fault] = not torch.equal(codebook, before), losses[1] > losses[0]
    assert moved == {"broken": False, "mended": True} and grows == {"broken": True, "mended": False}


def test_a_fake_that_is_detached_leaves_the_generator_the_gradient_of_l1_alone():
    g = torch.Generator().manual_seed(0)
    drawings, pictures = torch.randn(20, 1, 8, 8, generator=g), torch.randn(20, 3, 8, 8, generator=g)
    only_l1 = {}
    for fault, source in both("faulty_line_pix2pix").items():
        torch.manual_seed(0)
        nets = {"generator": nn.Conv2d(1, 3, 3, padding=1), "discriminator": nn.Conv2d(4, 1, 4, 2, 1)}
        rates = {"opt_g": "generator", "opt_d": "discriminator"}
        optimizers = {name: torch.optim.SGD(nets[of].parameters(), lr=0.0) for name, of in rates.items()}
        names = ran(source, 1, drawings=drawings, pictures=pictures, **nets, **optimizers)
        l1 = 10 * (names["generator"](names["a"]) - names["b"]).abs().mean()
        wanted = torch.autograd.grad(l1, names["generator"].parameters())
        got = [p.grad for p in names["generator"].parameters()]
        only_l1[fault] = all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, wanted))
        assert names["g_loss"].item() == pytest.approx((al.losses.generator_loss(names["fake_logits"]) + l1).item())
    assert only_l1 == {"broken": True, "mended": False}


def test_the_least_l1_error_by_trying_every_colour():
    from aigc_lessons.exercises.banks.lesson_43 import COLOURS

    exercise, table = al.exercises.get("least_l1_error"), torch.tensor(list(COLOURS.values()))
    shares, true = table[:, 0], table[:, 1:]
    tried = torch.linspace(-1, 1, 201)
    errors = (tried[:, None, None] - true).abs().mul(shares[:, None]).sum(1)  # (201, 3): each channel by itself
    assert exercise.reference() == pytest.approx(errors.amin(0).mean().item(), abs=1e-6)
    assert not (tried[errors.argmin(0)] - true).abs().sum(1).lt(0.1).any()  # a colour that none of them is
    for name, colour in COLOURS.items():
        line = re.search(rf"{name} +\((.*)\)", exercise.docstring)[1]
        assert [float(v) for v in line.split(",")] == list(colour[1:])


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_the_numbers_of_parameters_that_the_questions_name():
    counts = [parameters(n) for n in al.exercises.get("vae_networks").reference(4, 16)]
    assert all(f"{n:,}" in al.exercises.get("vae_networks").docstring for n in counts)
    generator = al.exercises.get("dcgan_generator").reference(100, 64)
    assert parameters(generator) == 941_187 and "941,187" in al.exercises.get("dcgan_generator").docstring
    unet = al.exercises.get("small_unet").reference(1, 3, 16)
    assert parameters(unet) == 57_955 and "57,955" in al.exercises.get("small_unet").docstring
    model = al.models.DCGAN((3, 16, 16), latent_dim=100, width=64)
    assert parameters(model.generator) == 941_187
    cnn = al.exercises.get("plain_cnn").reference(3, 64, 17)
    assert parameters(cnn) == 558_403 and "558,403" in al.exercises.get("plain_cnn").docstring


def test_a_mean_of_16_photos_has_the_decibels_that_the_question_asks_for():
    noise = 20 * torch.randn(16, 1_000_000, generator=torch.Generator().manual_seed(0))
    measured = al.metrics.psnr(noise.mean(0), torch.zeros(1_000_000), 255).item()
    assert al.exercises.get("averaged_psnr").reference() == pytest.approx(measured, abs=0.02)


class _Plane(nn.Module):
    """A velocity in the plane that is told one of two classes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x, t, y):
        return self.layers(torch.cat([x, t[:, None], F.one_hot(y, 2)], 1))


def test_a_flow_whose_pictures_were_moved_without_their_labels_does_not_obey():
    """Two classes at (3, 0) and (-3, 0), in the place of pictures. 250 steps."""
    labels = torch.arange(500) % 2
    images = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 0.3
    images[:, 0] += 3 - 6 * labels
    asked, noise = labels[:400], torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    obeyed = {}
    for fault, lines in both("faulty_line_flow").items():
        torch.manual_seed(0)
        net = _Plane()
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        tools = {"interpolate": al.flows.interpolate, "pair_by_transport": al.flows.pair_by_transport}
        ran(lines, 250, images=images, labels=labels, net=net, optimizer=optimizer, **tools)
        velocity = lambda x, t, net=net: net(x, torch.full((len(x),), t), asked)
        with torch.no_grad():
            drawn = al.flows.flow_sample(velocity, noise, 20, "euler")
        obeyed[fault] = ((drawn[:, 0] < 0) == (asked == 1)).float().mean().item()
    assert obeyed["broken"] < 0.65 and obeyed["mended"] > 0.95


def test_the_least_loss_of_a_flow_by_drawing():
    """The regression of noise - x on the place, by least squares, over a million draws."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 1_000_000, generator=generator, dtype=torch.float64) * torch.tensor([[0.5], [1.0]])
    place, target = (x + noise) / 2, noise - x
    slope = (place * target).mean() / place.square().mean()
    left = (target - slope * place).square().mean().item()
    assert al.exercises.get("least_flow_loss").reference() == pytest.approx(left, abs=0.005)


@pytest.mark.parametrize("seed", range(2))
def test_so_many_pixels_have_no_influence_in_a_real_stack_of_masks(seed):
    torch.manual_seed(seed)
    layers = [MaskedConv2d("A", 1, 6, 3), *(MaskedConv2d("B", 6, 6, 3) for _ in range(12))]
    net = nn.Sequential(*layers).double()
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    net(x)[0, :, 5, 1].sum().backward()
    unseen = (x.grad.flatten()[:41] == 0).sum().item()
    assert unseen == al.exercises.get("blind_pixels").reference() and not x.grad.flatten()[41:].any()


def test_the_weight_that_removes_two_pixels_is_where_the_least_energy_changes():
    """All 2^12 labellings of the two pixels' neighbourhood, by the two labels that are in question."""
    answer = al.exercises.get("weight_for_a_pair").reference()
    observed = torch.zeros(1, 5, 6, dtype=torch.int64)
    observed[0, 2, 2:4] = 3
    costs = al.fields.label_unary(observed, 5, 0.9 + 0.1 / 5).double()
    inside = torch.cartesian_prod(*[torch.tensor([0, 3])] * 12).view(-1, 1, 3, 4)
    maps = F.pad(inside, (1, 1, 1, 1))[:, 0]
    for weight, left in ((0.999 * answer, 2), (1.001 * answer, 0)):
        energies = al.fields.potts_energy(maps, costs.expand(len(maps), -1, -1, -1), weight)
        assert (maps[energies.argmin()] == 3).sum() == left


@pytest.mark.parametrize(
    "name",
    [
        "gradient_of_one_neuron",
        "blind_pixels",
        "weight_for_a_pair",
        "diluted_rate",
        "least_flow_loss",
        "least_l1_error",
        "faulty_line_classifier",
        *FAULTS,
    ],
)
def test_a_wrong_number_is_not_told_the_right_one(name):
    right = al.exercises.get(name).reference()
    for answer in (77, -3.5, "7", None, [7, 8]):
        result = al.exercises.check(name, lambda answer=answer: answer)
        told = re.findall(r"-?\d+(?:\.\d+)?", result.message.replace(name, ""))
        assert result.outcome == "wrong" and f"{right:.4g}" not in told
