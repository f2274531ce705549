"""aigc-lessons evaluate: a shipped generator or a folder against a data set or a folder."""

import json

import pytest
from PIL import Image

import aigc_lessons as al
from aigc_lessons import cli
from aigc_lessons.data.pixels import to_bytes


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of 30 small shapes each, as PNG."""
    made = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp(f"shapes{seed}")
        for i, image in enumerate(to_bytes(al.data.load("shapes", n=30, seed=seed).images)):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i:02}.png")
        made.append(folder)
    return made


def run(capsys, *arguments):
    code = cli.main(["evaluate", *map(str, arguments)])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_shipped_generator(capsys, tmp_path):
    code, out, _ = run(
        capsys, "projection-digits", "--data", "digits", "--n", "200", "--json", tmp_path / "report.json"
    )
    record = json.loads((tmp_path / "report.json").read_text())
    assert code == 0 and "n = 200" in out and "not with published values" in out
    for name in ("fid", "kid", "precision", "recall", "density", "coverage", "inception_score", "modes", "accuracy"):
        measure = record[name]
        assert (
            name.replace("_", " ") in out
            and measure["low"] <= measure["value"] <= measure["high"]
            and measure["n"] == 200
        )
    assert record["accuracy"]["value"] > 0.9 and record["data"] == "digits" and "note" in record


def test_two_folders(capsys, folders):
    code, out, _ = run(capsys, folders[0], "--data", folders[1], "--features", "shapes")
    assert code == 0 and "n = 30" in out and "accuracy" not in out
    code, out, _ = run(capsys, folders[0], "--data", folders[1], "--features", "pixels", "--n", "20")
    assert code == 0 and "n = 20" in out and "inception" not in out
    code, out, _ = run(capsys, folders[0], "--data", "shapes")
    assert code == 0


def test_grey_pictures_that_save_image_wrote_in_colour(capsys, tmp_path):
    from torchvision.utils import save_image

    real = al.data.load("digits", split="test").images[:40]
    for i, x in enumerate(real):
        save_image((x + 1) / 2, tmp_path / f"{i}.png")
    with pytest.warns(UserWarning, match="generated pictures, grey in three channels, made one channel"):
        code, out, _ = run(capsys, tmp_path, "--data", "digits", "--n", "40")
    assert code == 0 and "made one channel" in out and "n = 40" in out


def test_what_cannot_be_compared_is_refused(capsys, folders, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    for i in range(2):
        (tmp_path / "broken" / f"{i}.png").write_bytes(b"no picture")
    for arguments, says in (
        (("no-such", "--data", "digits"), "neither a folder of pictures nor a shipped generator"),
        (("cyclegan-shapes", "--data", "shapes"), "neither a folder of pictures nor a shipped generator"),
        (("dcgan-digits", "--data", "photos"), "There is no judge for 'photos'"),
        (("dcgan-digits", "--data", "shapes"), "The judge for shapes looks at pictures with 3 channels and got 1"),
        (("dcgan-digits", "--data", "digits", "--features", "cats"), "accepted are"),
        (("dcgan-digits", "--data", "digits", "--features", "inception"), "needs weights=PATH"),
        (("dcgan-digits", "--data", "digits", "--n", "5"), "at least 6"),
        (("dcgan-digits", "--data", "digits", "--json", tmp_path / "no" / "o.json"), "no folder that can be written"),
        ((tmp_path / "empty", "--data", folders[0], "--features", "shapes"), "no pictures"),
        ((tmp_path / "broken", "--data", folders[0], "--features", "shapes"), "2 of 2 pictures"),
    ):
        code, _, err = run(capsys, *arguments)
        assert code == 1 and says in err, (arguments, err)


def test_bad_pictures_are_left_out_on_request(capsys, folders, tmp_path):
    for file in folders[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bad.png").write_bytes(b"no picture")
    code, _, err = run(capsys, tmp_path, "--data", folders[1], "--features", "shapes")
    assert code == 1 and "bad.png" in err
    with pytest.warns(UserWarning, match="bad.png"):
        code, out, _ = run(capsys, tmp_path, "--data", folders[1], "--features", "shapes", "--skip-bad")
    assert code == 0 and "n = 30" in out
