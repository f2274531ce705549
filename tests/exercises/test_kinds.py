"""Exercises that ask for a number or for a network: what their questions claim is true."""

import re

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import aigc_lessons as al
from aigc_lessons.settings import COURSE

FAULTS = {  # {exercise: (line, what stands there in a right loop)}
    "faulty_line_vae": (4, "    z = mu + (logvar / 2).exp() * torch.randn_like(mu)"),
    "faulty_line_gan": (10, "    opt_g.zero_grad()"),
    "faulty_line_style": (12, "    with torch.no_grad(): picture.clamp_(-1, 1)"),
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
    names |= losses | {"torch": torch, "F": F}
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


def test_a_picture_that_is_replaced_stands_still_after_one_step():
    g = torch.Generator().manual_seed(0)
    network = al.models.RandomFeatures(1, width=4)
    content, style = (torch.rand(1, 1, 16, 16, generator=g) * 2 - 1 for _ in range(2))
    names = dict(content=content, network=network, wanted=network(style), sliced_distance=al.losses.sliced_distance)
    for fault, lines in both("faulty_line_style").items():
        after = [ran(lines, steps, **names)["picture"].detach().clone() for steps in (0, 1, 2, 9)]
        assert torch.equal(after[0], content) and not torch.equal(after[0], after[1])
        assert (torch.equal(after[1], after[2]) and torch.equal(after[1], after[3])) == (fault == "broken")


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_the_numbers_of_parameters_that_the_questions_name():
    counts = [parameters(n) for n in al.exercises.get("vae_networks").reference(4, 16)]
    assert all(f"{n:,}" in al.exercises.get("vae_networks").docstring for n in counts)
    generator = al.exercises.get("dcgan_generator").reference(100, 64)
    assert parameters(generator) == 941_187 and "941,187" in al.exercises.get("dcgan_generator").docstring
    model = al.models.DCGAN((3, 16, 16), latent_dim=100, width=64)
    assert parameters(model.generator) == 941_187


@pytest.mark.parametrize("name", ["gradient_of_one_neuron", "faulty_line_classifier", *FAULTS])
def test_a_wrong_number_is_not_told_the_right_one(name):
    right = al.exercises.get(name).reference()
    for answer in (77, -3.5, "7", None, [7, 8]):
        result = al.exercises.check(name, lambda answer=answer: answer)
        told = re.findall(r"-?\d+(?:\.\d+)?", result.message.replace(name, ""))
        assert result.outcome == "wrong" and f"{right:.4g}" not in told
