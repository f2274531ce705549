"""folder:PATH with the pictures people really have."""

import numpy as np
import pytest
import torch
from PIL import Image

import aigc_lessons as al


def picture(size=(40, 30), colour=(200, 40, 90)):
    return Image.new("RGB", size, colour)


@pytest.fixture
def pets(tmp_path):
    """Two classes of three pictures, in a path with spaces and Chinese characters."""
    root = tmp_path / "my pictures 我的图片"
    for k, name in enumerate(("cats 猫", "dogs")):
        (root / name).mkdir(parents=True)
        for i in range(3):
            picture((40 + i, 30), (50 * i, 100 * k, 200)).save(root / name / f"{i} 张.png")
    return root


def load(root, **options):
    return al.data.load(f"folder:{root}", size=16, **options)


def test_one_folder_a_class(pets):
    ds = load(pets)
    assert ds.classes == ("cats 猫", "dogs") and ds.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert ds.images.shape == (6, 3, 16, 16) and ds.name == pets.name
    expected = torch.tensor([50, 0, 200]) / 127.5 - 1
    assert torch.allclose(ds.images[1, :, 8, 8], expected, atol=1e-5)


def test_pictures_without_folders_make_a_set_without_labels(pets):
    ds = load(pets / "dogs")
    assert ds.labels is None and ds.classes == () and len(ds) == 3


def test_it_trains_a_classifier(pets):
    ds = load(pets)
    net = al.models.Classifier(tuple(ds.images.shape[1:]), len(ds.classes), width=4)
    assert al.fit(net, ds, steps=3, batch_size=4).steps == 3


def test_the_middle_square_upright(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255  # the middle is white, the sides are black
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert load(tmp_path).images.min() > 0.99
    tall = np.zeros((32, 16, 3), np.uint8)
    tall[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(tall).save(tmp_path / "wide.png", exif=exif)
    x = load(tmp_path).images[0, 0]
    assert x[:, :4].max() < -0.9 and x[:, -4:].min() > 0.9


def test_grey_pictures(tmp_path, pets):
    for i in range(2):
        Image.new("L", (20, 20), 51).save(tmp_path / f"{i}.png")
    assert load(tmp_path).images.shape == (2, 1, 16, 16) and torch.allclose(load(tmp_path).images, torch.tensor(-0.6))
    Image.new("L", (20, 20), 51).save(pets / "dogs" / "old photo.png")
    with pytest.warns(UserWarning, match="1 of 7 pictures are grey.*old photo.png"):
        ds = load(pets)
    assert ds.images.shape[1] == 3 and torch.allclose(ds.images[-1], torch.tensor(-0.6))


@pytest.mark.parametrize("mode, fill", [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
def test_transparency_becomes_white(tmp_path, mode, fill):
    Image.new(mode, (20, 20), fill).save(tmp_path / "a.png")
    assert torch.allclose(load(tmp_path).images, torch.ones(()))


def test_a_palette_picture_keeps_its_colours(tmp_path):
    picture().quantize(4).save(tmp_path / "a.gif")
    assert torch.allclose(load(tmp_path).images[0, :, 8, 8], torch.tensor([200, 40, 90]) / 127.5 - 1, atol=1e-5)


def break_text(path):
    path.write_text("these are words")


def break_truncated(path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def break_empty(path):
    path.write_bytes(b"")


def break_tiny(path):
    picture((1, 1)).save(path)


def break_16_bit(path):
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(path.with_suffix(".png"))


def break_cmyk(path):
    picture().convert("CMYK").save(path)


@pytest.mark.parametrize(
    "breaks, says",
    [(break_text, "not a picture"), (break_empty, "not a picture"), (break_truncated, "damaged or cut short"), (break_tiny, "1x1 pixels; at least 8x8"),
     (break_16_bit, "16 or 32 bits"), (break_cmyk, "colour mode CMYK; save it as 8-bit RGB")],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_files_that_cannot_be_used_are_named(pets, breaks, says):
    breaks(pets / "dogs" / "bad one.jpg")
    with pytest.raises(ValueError, match="(?s)1 of 7 pictures.*bad one.*" + says + ".*skip_bad=True"):
        load(pets)
    with pytest.warns(UserWarning, match="(?s)Left out: 1 of 7.*bad one"):
        assert len(load(pets, skip_bad=True)) == 6


def test_a_long_list_of_bad_files_is_cut_but_counted(tmp_path):
    for i in range(13):
        break_text(tmp_path / f"{i}.jpg")
    with pytest.raises(ValueError, match="13 of 13 pictures(?s:.*)and 3 more"):
        load(tmp_path, skip_bad=True)  # nothing would be left


def test_no_folder_an_empty_one_and_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no pictures in"):
        load(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="no pictures in"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load(tmp_path / "notes.txt")


def test_one_class_and_pictures_beside_classes(pets):
    picture().save(pets / "stray.jpg")
    with pytest.raises(ValueError, match="1 pictures, such as stray.jpg, lie beside"):
        load(pets)
    (pets / "stray.jpg").unlink()
    for file in (pets / "dogs").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="(?s)one class, 'cats 猫', with 3 pictures; labels need at least two.*without labels"):
        load(pets)
