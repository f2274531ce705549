"""Picture: the PNG, its size, and the words that go with it."""

import io
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from aigc_lessons import data
from aigc_lessons.data.pixels import to_bytes
from aigc_lessons.show import Picture


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))


class Figure(HTMLParser):
    """What a browser reads in the HTML: the attributes of each tag and the caption."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.caption = {}, ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] = dict(attributes)

    def handle_data(self, data):
        self.caption += data


def test_grey_pixels_are_stored_exactly():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode(Picture(pixels, "a ramp"))[..., 1], pixels)


def test_small_colour_pictures_are_stored_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 100, 3), dtype=np.uint8)
    assert np.array_equal(decode(Picture(pixels, "noise")), pixels)


def test_large_colour_pictures_have_256_colours_and_white_paper():
    ramp = np.linspace(0, 255, 200).round().astype(np.uint8)
    pixels = np.stack([*np.meshgrid(ramp, ramp), np.random.default_rng(0).integers(0, 256, (200, 200))], -1).astype(
        np.uint8
    )
    pixels[:50] = 255
    stored = decode(Picture(pixels, "a ramp"))
    assert len(np.unique(stored.reshape(-1, 3), axis=0)) <= 256
    assert (stored[:50] == 255).all()
    assert abs(stored.astype(int) - pixels).mean() < 16


@pytest.mark.parametrize("alt", ['a "quoted" <b>word</b> & more', "it's 猫，64 张", "Größe σ² → ∞"])
def test_alternative_text_survives_html(alt):
    picture = Picture(np.zeros((4, 6), np.uint8), alt, zoom=5)
    figure = Figure(picture.html)
    assert figure.tags["img"]["alt"] == alt and figure.caption == alt
    assert (figure.tags["img"]["width"], figure.tags["img"]["height"]) == ("30", "20")
    assert list(figure.tags) == ["figure", "img", "figcaption"]


def test_screen_readers_hear_the_text_once():
    assert Figure(Picture(np.zeros((4, 4), np.uint8), "black").html).tags["figcaption"]["aria-hidden"] == "true"


def test_notebooks_get_html_and_a_sentence():
    bundle = Picture(np.zeros((4, 4), np.uint8), "black")._repr_mimebundle_()
    assert bundle["text/plain"] == "Picture: black"
    assert set(bundle) == {"text/plain", "text/html"}


def test_enlarged_pixels_stay_square_and_reduced_ones_are_smoothed():
    pixels = np.zeros((4, 4), np.uint8)
    assert "image-rendering:pixelated" in Picture(pixels, "black", zoom=8).html
    assert "image-rendering:pixelated" not in Picture(pixels, "black", zoom=0.5).html


@pytest.mark.parametrize("alt", ["", "  \n", None, 3])
def test_without_alternative_text_the_error_says_why_and_what(alt):
    with pytest.raises(ValueError, match="cannot see it .* such as alt="):
        Picture(np.zeros((4, 4), np.uint8), alt)


def test_another_text_leaves_the_first_picture_alone():
    first = Picture(np.zeros((4, 4), np.uint8), "first")
    second = first.described("second")
    assert (first.alt, second.alt) == ("first", "second") and first.png == second.png


def test_save_replaces_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "a folder 图" / "picture.png"
    path.parent.mkdir()
    Picture(np.zeros((4, 4), np.uint8), "black").save(path)
    before = path.read_bytes()
    white = Picture(np.full((4, 4), 255, np.uint8), "white")

    def full_disk(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full_disk)
        with pytest.raises(OSError):
            white.save(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
    white.save(str(path))
    assert path.read_bytes() == white.png


def test_importing_show_loads_neither_matplotlib_nor_widgets():
    code = (
        "import sys, aigc_lessons as al; al.show.grid; al.show.Picture; "
        "print([m for m in ('matplotlib', 'ipywidgets', 'IPython', 'skimage') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error_that_lists_the_names():
    import aigc_lessons.show as show

    with pytest.raises(AttributeError, match="grdi.*It has: .*grid"):
        show.grdi  # noqa: B018
    assert all(callable(getattr(show, name)) for name in dir(show))


@pytest.mark.parametrize("shape", [(270, 270), (270, 270, 3)])  # 64 pictures of 32 x 32
def test_large_pictures_are_stored_small_and_stay_close(shape):
    """A smooth picture with a little grain, as photographs are."""
    y, x = np.indices(shape[:2])
    grain = np.random.default_rng(0).normal(0, 3, shape)
    waves = 128 + 90 * np.sin(x / 60) * np.cos(y / 50)
    pixels = np.clip((waves if len(shape) == 2 else waves[..., None]) + grain, 0, 255).astype(np.uint8)
    picture = Picture(pixels, "waves")
    assert len(picture.png) <= 40_000 < pixels.size / 1.5
    error = np.abs(decode(picture).astype(float) - (pixels if len(shape) == 3 else pixels[..., None])).mean()
    assert error < 8, "at most 32 colours, evenly chosen"


def test_the_colours_of_small_shapes_survive_beside_noise():
    """Noise, which brings the picture down to 32 colours, and eighteen shapes of six colours on black."""
    shapes = data.load("shapes", n=18, size=32).images.movedim(1, -1).reshape(-1, 32, 3)
    shapes = to_bytes(shapes.movedim(-1, 0)[None])[0].movedim(0, -1).numpy()
    pixels = np.random.default_rng(0).integers(0, 256, (len(shapes), 300, 3), dtype=np.uint8)
    pixels[:, :32] = shapes
    stored = decode(Picture(pixels, "shapes and noise"))[:, :32].astype(int)
    assert abs(stored - shapes).max() < 120
