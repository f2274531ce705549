"""diagram: the boxes are the layers, the arrows are what they read, and a drawn training step is the real one."""

import re
import xml.etree.ElementTree as xml

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aigc_lessons import models
from aigc_lessons.show import diagram
from aigc_lessons.show.steps import networks_of, steps_of
from aigc_lessons.show.tracing import trace
from aigc_lessons.training.loop import Batch

SMALL = {
    "Classifier": lambda: models.Classifier((1, 16, 16), 3, width=4),
    "VAE": lambda: models.VAE((1, 16, 16), latent_dim=4, width=4),
    "CVAE": lambda: models.CVAE((1, 16, 16), 3, latent_dim=4, width=4),
    "DCGAN": lambda: models.DCGAN((1, 16, 16), latent_dim=4, width=4),
    "CGAN": lambda: models.CGAN((1, 16, 16), 3, latent_dim=4, width=4),
    "ProjectionGAN": lambda: models.ProjectionGAN((1, 16, 16), 3, latent_dim=4, width=4),
    "ConditionalGAN": lambda: models.ConditionalGAN(
        (1, 16, 16), 3, 4, 4, generator="concatenation", loss="log", mismatched=True
    ),
    "WGAN clip": lambda: models.WGAN((1, 16, 16), "clip", latent_dim=4, width=4),
    "WGAN penalty": lambda: models.WGAN((1, 16, 16), "penalty", latent_dim=4, width=4),
    "WGAN spectral": lambda: models.WGAN((1, 16, 16), "spectral", latent_dim=4, width=4),
    "Pix2Pix": lambda: models.Pix2Pix(1, 1, width=4),
    "Pix2Pix, L1": lambda: models.Pix2Pix(1, 1, width=4, adversarial=False),
    "CycleGAN": lambda: models.CycleGAN(1, width=4, blocks=1),
    "Inpainter": lambda: models.Inpainter(1, width=4),
    "Inpainter, adversarial": lambda: models.Inpainter(1, width=4, adversarial_weight=0.1),
    "Inpainter, partial": lambda: models.Inpainter(1, width=4, partial=True),
    "Denoiser": lambda: models.Denoiser(1, width=4),
    "Denoiser, plain": lambda: models.Denoiser(1, width=4, layers=3),
    "SuperResolver": lambda: models.SuperResolver(1, width=4),
    "SuperResolver, texture": lambda: models.SuperResolver(1, width=4, texture_weight=0.3),
    "Diffusion": lambda: models.Diffusion((1, 16, 16), width=4),
    "Diffusion, says the noise": lambda: models.Diffusion((1, 16, 16), "noise", width=4),
    "Flow": lambda: models.Flow((1, 16, 16), 3, width=4),
    "Flow, told nothing": lambda: models.Flow((1, 16, 16), width=4),
    "LatentFlow": lambda: models.LatentFlow(models.Autoencoder((1, 16, 16), width=4), 3, width=4, multipliers=(1,)),
    "Autoencoder": lambda: models.Autoencoder((1, 16, 16), width=4),
    "VQ": lambda: models.VQ((1, 16, 16), entries=6, width=4),
    "TextToImage": lambda: models.TextToImage(("one", "two", "three"), 3, (1, 16, 16), width=4),
    "PixelGRU": lambda: models.PixelGRU(4, (3, 5), width=4),
    "PixelCNN": lambda: models.PixelCNN(4, (3, 5), width=4),
    "FastStyle": lambda: models.FastStyle(torch.rand(1, 1, 24, 24) * 2 - 1, width=4),
}
# The box that stands for a part of a model, where its name does not say so.
PARTS = {
    "f": ("features", "head", "network"),
    "net": ("embedding", "position", "gru", "head", "network", "net"),
    "R": ("features",),
    "enc": ("encoder",),
    "book": ("codebook",),
    "dec": ("decoder",),
    "G": ("generator",),
    "D": ("discriminator", "critic"),
    "toA": ("to_a",),
    "backA": ("to_a",),
    "toB": ("to_b",),
    "backB": ("to_b",),
    "DA": ("discriminator_a",),
    "DB": ("discriminator_b",),
}
each_model = pytest.mark.parametrize("name", SMALL)


def words(drawn):
    """The texts of an SVG, which must be well-formed."""
    return [element.text for element in xml.fromstring(drawn.svg).iter("{http://www.w3.org/2000/svg}text")]


def batch_for(name):
    if name.startswith("Pixel"):
        return Batch(torch.randint(4, (4, 15), generator=torch.Generator().manual_seed(0)), None, None)
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = Batch(images, torch.tensor([0, 1, 2, 0]), ["one", "one two", "three", "two one"], 3)
    return (batch, Batch(images.flip(0), None, None)) if name.startswith(("Pix2Pix", "CycleGAN")) else batch


def what_learns(model, batch):
    """{name of the optimizer: the model's parts whose weights its step changes}, seen in a real training step."""
    found = {}

    def spy(name, optimizer):
        take = optimizer.step

        def step(*args, **kwargs):
            before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
            take(*args, **kwargs)
            changed = {key.split(".")[0] for key, weight in model.named_parameters() if not weight.equal(before[key])}
            found.setdefault(name, set()).update(changed)

        optimizer.step = step
        return optimizer

    model.training_step(batch, {name: spy(name, o) for name, o in model.optimizers().items()})
    return found


@each_model
def test_a_drawn_step_says_what_learns(name):
    torch.manual_seed(0)
    model = SMALL[name]()
    found = what_learns(model, batch_for(name))
    assert found
    for step, changed in found.items():
        boxes, ways = steps_of(model)[step](model)
        drawn = {part for key, box in boxes.items() if box[0] == "learns" for part in PARTS[key]}
        still = {part for key, box in boxes.items() if box[0] == "frozen" for part in PARTS[key]}
        assert changed and changed <= drawn and not changed & still
        assert {key for key, box in boxes.items() if box[0] == "learns"} == {
            k for k in boxes if set(PARTS.get(k, ())) & changed
        }


@each_model
def test_in_a_drawn_step_the_gradient_comes_from_a_loss_to_all_that_learns(name):
    model = SMALL[name]()
    for step in model.optimizers():
        boxes, ways = steps_of(model)[step](model)
        ends = [(a, sign, b) for a, sign, b in map(str.split, ways)]
        assert {end for a, _, b in ends for end in (a, b)} == set(boxes), "each box has a way"
        reached = {key for key, box in boxes.items() if box[0] == "loss"}
        for _ in boxes:
            reached |= {a for a, sign, b in ends if sign == "<>" and b in reached}
        assert {key for key, box in boxes.items() if box[0] == "learns"} <= reached
        for a, sign, b in ends:
            assert sign != "<>" or b in reached, f"{a} {sign} {b}: no gradient can come from there"
        assert step in diagram(model, step=step).alt and words(diagram(model, step=step))


@pytest.mark.parametrize(
    "name", [name for name in SMALL if name != "PixelGRU"]
)  # it reads whole numbers: an example is needed
def test_a_model_is_drawn_with_its_shapes_and_stays_as_it_was(name):
    model = SMALL[name]().train()
    state = {key: value.clone() for key, value in model.state_dict().items() if torch.is_tensor(value)}
    drawn = diagram(model)
    assert drawn.svg == diagram(model).svg, "the same drawing each time"
    assert drawn.size[0] <= 800, "readable at 800 pixels"
    assert all(part.training for part in model.modules()) and not any(part._forward_hooks for part in model.modules())
    assert all(model.state_dict()[key].equal(value) for key, value in state.items())
    for title, network, shapes, _ in networks_of(model):
        count = sum(weight.numel() for weight in network.parameters())
        assert f"{title}: {count:,} parameters" in words(drawn)
        assert "×".join(map(str, shapes[0])) in words(drawn)


def lines(nodes):
    return [(node.text, node.shape, node.reads) for node in nodes]


def test_a_chain_of_layers():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    assert lines(trace(net, [torch.zeros(2, 1, 8, 8)], ["x"])) == [
        (["x"], (1, 8, 8), []),
        (["Conv2d", "3×3, stride 2", "BatchNorm2d", "ReLU", "Dropout 0.3"], (4, 4, 4), [0]),
        (["AvgPool2d", "2×2", "Flatten"], (4, 2, 2), [1]),
        (["Linear"], (5,), [2]),
    ]


class Bridged(nn.Module):
    """A bridge across, a sum, and functions between the layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        a = self.a(x).relu()
        b = F.interpolate(self.b(F.max_pool2d(a, 2)), scale_factor=2)
        return x + self.c(torch.cat([a, b], 1))


def test_bridges_and_sums_are_found():
    assert lines(trace(Bridged(), [torch.zeros(1, 2, 8, 8)], ["x"])) == [
        (["x"], (2, 8, 8), []),
        (["Conv2d", "3×3", "ReLU"], (2, 8, 8), [0]),
        (["max pool", "Conv2d", "3×3"], (2, 4, 4), [1]),
        (["enlarge", "concatenate", "Conv2d", "1×1"], (2, 8, 8), [1, 2]),
        (["+"], (2, 8, 8), [0, 3]),
    ]


def test_equal_layers_in_a_row_are_counted():
    net = nn.Sequential(*(layer for _ in range(5) for layer in (nn.Linear(8, 8), nn.Tanh())), nn.Linear(8, 1))
    assert [node.text for node in trace(net, [torch.zeros(1, 8)], ["x"])] == [["x"], ["5 × Linear", "Tanh"], ["Linear"]]


def test_a_network_of_ones_own_needs_an_example_where_its_input_is_open():
    dense, conv = nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.Conv2d(1, 2, 3))
    assert words(diagram(dense)) == ["input", "3", "Linear", "2"]
    assert words(diagram(conv, (1, 8, 8))) == words(diagram(conv, torch.zeros(5, 1, 8, 8)))
    with pytest.raises(ValueError, match=r"diagram\(net, \(1, 32, 32\)\)"):
        diagram(conv)
    with pytest.raises(TypeError, match="function"):
        diagram(lambda x: x)


def test_an_unknown_step_is_refused():
    with pytest.raises(ValueError, match="'discriminator', 'generator'|'generator', 'discriminator'"):
        diagram(SMALL["DCGAN"](), step="critic")
    with pytest.raises(ValueError, match="al.models"):
        diagram(nn.Linear(1, 1), step="generator")


def test_the_words_are_in_the_picture_too():
    drawn = diagram(nn.Linear(1, 1), alt='A "box" & <an arrow>')
    assert xml.fromstring(drawn.svg).find("{http://www.w3.org/2000/svg}title").text == drawn.alt
    html = drawn._repr_mimebundle_()["text/html"]
    assert re.search(r'<img alt="A &quot;box&quot; &amp; &lt;an arrow&gt;" width="\d+"', html)
    assert "data:image/svg+xml;base64," in html


@pytest.mark.parametrize("name", ["Flow", "LatentFlow", "TextToImage"])
def test_a_guided_step_asks_twice_and_teaches_nothing(name):
    drawn = diagram(SMALL[name](), step="guided")
    assert "gradient" not in words(drawn) and "Nothing learns" in drawn.alt and drawn.size[0] <= 800
    ends = [way.split() for way in steps_of(SMALL[name]())["guided"](SMALL[name]())[1]]
    assert [b for a, _, b in ends if a == "x_t"] == ["told", "untold"] and {"v_y", "v"} <= {a for a, _, _ in ends}


def test_without_anything_told_there_is_no_guided_step():
    with pytest.raises(ValueError, match="no such step to draw. It has 'net'"):
        diagram(models.Flow((1, 8, 8), width=4, multipliers=(1,)), step="guided")
