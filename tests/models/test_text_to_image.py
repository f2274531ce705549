"""TextToImage: what a caption changes and what it must not, and captions that are refused."""

import re

import pytest
import torch
from helpers import trains_exactly

import aigc_lessons as al
from aigc_lessons.data.shapes import WORDS
from aigc_lessons.models.text_to_image import TextEncoder


def encoder(seed=0, length=6):
    torch.manual_seed(seed)
    return TextEncoder(len(WORDS), length, 24, width=16).eval()


def model(seed=0, **given):
    torch.manual_seed(seed)
    return al.models.TextToImage(WORDS, **{"image_shape": (3, 16, 16), "width": 8, "multipliers": (1, 2), **given})


def ids(*captions, length=6):
    return torch.stack([al.sequences.tokenize(c, WORDS, length)[0] for c in captions])


# The encoder


def test_more_padding_changes_nothing():
    short, long = encoder(length=4), encoder(length=9)
    long.load_state_dict({k: v for k, v in short.state_dict().items() if k != "places"}, strict=False)
    with torch.no_grad():
        long.places[:4] = short.places
        a, b = short(ids("a red disc", length=4)), long(ids("a red disc", length=9))
    torch.testing.assert_close(a, b)


def test_what_stands_in_the_padding_is_never_seen():
    """No gradient reaches the places behind the words, nor the row of the embedding that stands for no word."""
    net = encoder()
    net(ids("a red disc")).square().sum().backward()
    assert net.places.grad[:3].any() and not net.places.grad[3:].any() and not net.words.weight.grad[0].any()


def test_the_order_of_words_counts_only_by_their_places():
    net, two = encoder(), ("a red disc, left", "left disc red a")
    with torch.no_grad():
        a, b = net(ids(*two))
        assert (a - b).abs().max() > 1e-4
        net.places.zero_()
        torch.testing.assert_close(*net(ids(*two)))


def test_no_word_gives_the_last_bias_and_finite_gradients():
    net = encoder()
    out = net(torch.zeros(2, 6, dtype=torch.int64))
    torch.testing.assert_close(out, net.out.bias.expand(2, -1))
    out.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_captions_of_a_batch_do_not_touch_each_other():
    net, all_ids = encoder(), ids("a red disc", "a blue square, upper left", "a disc")
    with torch.no_grad():
        torch.testing.assert_close(net(all_ids)[1:2], net(all_ids[1:2]))


def test_looks_is_the_attention_of_the_layer():
    looks = encoder().looks(ids("a red disc, left", "a disc"))
    assert looks.shape == (2, 6, 6)
    torch.testing.assert_close(looks.sum(2), torch.ones(2, 6))
    assert not looks[0, :, 4:].any() and not looks[1, :, 2:].any()


# The model


def test_training_is_repeatable_and_resumes(tmp_path):
    trains_exactly(lambda seed=0: model(seed), al.data.load("shapes", size=16, n=64), tmp_path / "run.pt")


def test_captions_are_dropped_one_by_one():
    net, seen, ds = model(drop=0.5), [], al.data.load("shapes", size=16, n=16)
    net.net.condition.register_forward_hook(lambda part, given, out: seen.append(given[0].clone()))
    for seed in range(20):
        torch.manual_seed(seed)
        net.training_step(al.training.Batch(ds.images, ds.labels, ds.captions), net.optimizers())
    lost = (torch.stack(seen) == 0).all(2)
    assert 0.35 < lost.float().mean() < 0.65 and lost.any(1).all() and not lost.all(1).any()
    assert torch.equal(torch.stack(seen)[~lost], net.read(ds.captions).expand(20, 16, 6)[~lost])


def test_samples_answer_to_captions():
    net = model()
    with torch.no_grad():
        for part in net.net_ema.module.modules():
            if isinstance(part, torch.nn.Conv2d) and not part.weight.any():
                part.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    one = net.sample(3, captions="a red disc, left", steps=2)
    assert one.shape == (3, 3, 16, 16) and torch.equal(one, net.sample(captions=["A red disc left."] * 3, steps=2))
    other = net.sample(3, captions="a blue square, left", steps=2)
    assert not torch.equal(one, other) and not torch.equal(one[0], one[1])
    nothing = net.sample(3, steps=2)
    assert torch.equal(nothing, net.sample(3, captions="a red disc", guidance_scale=0, steps=2))
    al.data.check_images(one, "test")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: model().sample(captions="a purple disc"), "unknown words: purple. Known are: a, blue"),
        (lambda: model().sample(captions=""), "A caption is empty"),
        (lambda: model().sample(captions=["a red disc", " , "]), "A caption is empty"),
        (lambda: model().sample(captions="a red disc left left left left"), "has 7 words. Accepted: at most 6"),
        (lambda: model().sample(3, captions=["a disc", "a square"]), "sample(n=3) got 2 captions"),
        (lambda: model().sample(1, captions="a disc", steps=0), "steps=0"),
        (lambda: al.models.TextToImage(()), "vocabulary=0"),
        (
            lambda: al.fit(model(), al.data.load("faces", size=16), steps=1),
            "learns from captions and the data has none",
        ),
        (lambda: al.fit(model(), al.data.load("shapes", size=32, n=70), steps=1), "takes images of shape (3, 16, 16)"),
        (lambda: al.fit(model(), al.data.load("emoji", size=16), steps=1), "unknown words"),
    ],
)
def test_what_cannot_be_read_is_refused(call, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        call()


def test_captions_are_text():
    with pytest.raises(TypeError, match="A caption is int"):
        model().sample(captions=[3])
