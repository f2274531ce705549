"""The classifier: shapes, learning, what its options do, and what it refuses."""

import pytest
import torch

import aigc_lessons as al


@pytest.mark.parametrize(
    "image_shape, n_classes, width", [((1, 32, 32), 10, 16), ((3, 16, 24), 3, 5), ((3, 8, 8), 2, 1)]
)
def test_shapes_and_size(image_shape, n_classes, width):
    net = al.models.Classifier(image_shape, n_classes, width=width)
    assert net(torch.zeros(5, *image_shape)).shape == (5, n_classes)
    assert net.features(torch.zeros(5, *image_shape)).shape == (5, 64)
    c, h, w = image_shape
    convolutions = 9 * (c * width + width * 2 * width + 2 * width * 4 * width) + 7 * width
    assert (
        sum(p.numel() for p in net.parameters())
        == convolutions + 4 * width * (h // 8) * (w // 8) * 64 + 64 + 64 * n_classes + n_classes
    )


def test_one_step_is_the_gradient_of_its_loss():
    """AdamW's first step moves each weight by lr against the sign of its gradient."""
    torch.manual_seed(0)
    net = al.models.Classifier((1, 8, 8), 10, width=3, lr=1e-3)
    ds = al.data.load("digits-8x8", size=8)[:30]
    before = {k: v.clone() for k, v in net.named_parameters()}
    torch.nn.functional.cross_entropy(net(ds.images), ds.labels).backward()
    expected = {
        k: v - 1e-3 * p.grad.sign() * (p.grad.abs() > 1e-6)
        for (k, p), v in zip(net.named_parameters(), before.values())
    }
    losses = net.training_step(al.training.Batch(ds.images, ds.labels, None), net.optimizers())
    assert losses.keys() == {"loss"} and not losses["loss"].requires_grad
    clear = {k: (p.grad.abs() > 1e-5) for k, p in net.named_parameters()}
    for k, p in net.named_parameters():
        assert torch.allclose(p[clear[k]], expected[k][clear[k]], atol=2e-6)


def test_weight_decay_dropout_and_loss_reach_the_training():
    torch.manual_seed(0)
    net = al.models.Classifier((1, 8, 8), 10, width=3, weight_decay=0.3, lr=0.02, dropout=0.4)
    assert net.optimizers()["classifier"].param_groups[0]["weight_decay"] == 0.3
    assert net.optimizers()["classifier"].param_groups[0]["lr"] == 0.02
    net.train()
    x = torch.rand(1, 1, 8, 8).expand(400, -1, -1, -1)
    assert net(x).std(0).min() > 0
    assert net.eval()(x).std(0).max() < 1e-6
    ds = al.data.load("digits-8x8", size=8)[:30]
    net = al.models.Classifier((1, 8, 8), 10, width=3, loss=al.losses.mse_to_one_hot)
    loss = net.training_step(al.training.Batch(ds.images, ds.labels, None), net.optimizers())["loss"]
    assert 0.05 < loss < 0.15  # ten equal probabilities: 0.09


def test_predict_is_the_network_without_dropout_and_leaves_the_mode():
    net = al.models.Classifier((1, 8, 8), 10, width=3, dropout=0.5).train()
    x = torch.rand(2_300, 1, 8, 8) * 2 - 1
    logits = net.predict(x)
    assert net.training and logits.shape == (2_300, 10) and not logits.requires_grad
    net.eval()
    assert torch.allclose(logits, net(x).detach(), atol=1e-5)
    with pytest.raises(ValueError, match="predict got images from"):
        net.predict(x * 3)


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (1, 32, 30), (1, 0, 8)])
def test_sizes_it_cannot_halve_three_times(image_shape):
    with pytest.raises(ValueError, match="multiples of 8"):
        al.models.Classifier(image_shape)


def test_wrong_input():
    net = al.models.Classifier((1, 16, 16), 10)
    with pytest.raises(ValueError, match=r"takes images of shape \(1, 16, 16\) and got \(3, 16, 16\)"):
        net(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="2 or more"):
        al.models.Classifier(n_classes=1)


def test_it_saves_and_loads(tmp_path):
    net, other = (al.models.Classifier((1, 8, 8), width=3) for _ in range(2))
    torch.save(net.state_dict(), tmp_path / "w.pt")
    other.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(net.eval()(x), other.eval()(x))


def test_embed_gives_what_the_last_layer_reads():
    net = al.models.Classifier((1, 8, 8), 10, width=3, dropout=0.5).train()
    x = torch.rand(1_100, 1, 8, 8) * 2 - 1
    features = net.embed(x)
    assert net.training and features.shape == (1_100, 64) and not features.requires_grad
    assert torch.allclose(net.head(features), net.predict(x), atol=1e-5)
    with pytest.raises(ValueError, match="embed got images from"):
        net.embed(x * 3)
