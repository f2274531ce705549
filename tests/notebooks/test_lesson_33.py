"""What lesson 33 builds in its cells, on other cases than the lesson's, and what its text concludes from measurements."""

import ast
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F

import aigc_lessons as al
from aigc_lessons.data.shapes import COLOURS, GROUND

LESSON = Path(__file__).resolve().parents[2] / "notebooks" / "33_crf.ipynb"
PALETTE = 2 * torch.tensor([GROUND["plain"], *COLOURS.values()]) - 1


@pytest.fixture(scope="module")
def lesson():
    """The functions that the lesson defines, and what they refer to."""
    names = {"torch": torch, "F": F, "al": al, "PALETTE": PALETTE}
    for cell in nbformat.read(LESSON, 4).cells:
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", []):
            tree = ast.parse(cell.source)
            tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
            exec(compile(tree, cell.id, "exec"), names)
    names["near"] = names["grid_weights"](3)
    return names


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def shapes():
    images = al.data.load("shapes", size=32, n=60, seed=77).images
    return images, al.fields.unary(images, PALETTE, 0.35).argmin(1)


def solved(cost, weight):
    return al.fields.mean_field(cost.neg().softmax(1), cost, weight, 30).argmax(1)


def test_the_grid_has_four_neighbours_inside_and_its_laplacian_is_the_stencil(lesson):
    w = lesson["grid_weights"](5)
    assert w.sum() == 2 * len(lesson["pairs"](5)[0]) == 80 and torch.equal(w, w.T)
    assert w.view(5, 5, 5, 5)[2, 3].nonzero().tolist() == [[1, 3], [2, 2], [2, 4], [3, 3]]
    x, g = torch.randn(1, 5, 5), torch.rand(1, 5, 5)
    right, below = lesson["couplings"](g, scale=0.4)
    w = lesson["grid_weights"](5, guide=g, scale=0.4)
    w += 1e-4 * (w > 0)
    laplacian = w.sum(1).diag() - w
    torch.testing.assert_close(lesson["laplacian_of"](x, right, below).flatten(), laplacian @ x.flatten())


def test_eigenvectors_give_what_the_direct_solution_gives(lesson):
    w, picture = lesson["grid_weights"](6, guide=torch.rand(3, 6, 6)), torch.randn(3, 6, 6)
    mu, solve = lesson["field"](w)
    assert mu.min() > -1e-5
    for lam in (0.0, 0.7, 20.0):
        want = al.fields.gaussian_crf(picture.flatten(1).T, w, lam).T.view(3, 6, 6)
        torch.testing.assert_close(solve(picture, lam), want, rtol=1e-4, atol=1e-4)


def test_conjugate_gradients_give_the_direct_solution_and_keep_to_the_colours_said(lesson):
    guide, u = torch.rand(1, 7, 7), 2 * torch.rand(3, 7, 7) - 1
    sure = (torch.rand(1, 7, 7) < 0.2).float() * 5
    sure[0, 3, 3] = 5.0
    x = lesson["spread"](u, sure, guide, lam=1.5)
    w = lesson["grid_weights"](7, guide=guide, scale=0.3)
    w += 1e-4 * (w > 0)
    matrix = sure.flatten().diag() + 1.5 * (w.sum(1).diag() - w)
    want = torch.linalg.solve(matrix.double(), (sure * u).flatten(1).T.double()).T.view(3, 7, 7)
    torch.testing.assert_close(x.double(), want, rtol=1e-2, atol=1e-2)
    said = u[:, sure[0] > 0]
    assert (x.amax((1, 2)) <= said.amax(1) + 1e-3).all() and (x.amin((1, 2)) >= said.amin(1) - 1e-3).all()


def test_one_pixel_at_a_time_lowers_the_free_energy(lesson):
    for seed in range(5):
        u = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(100 + seed))
        q, free = lesson["one_by_one"](u, 0.6, sweeps=30)
        assert all(b <= a + 1e-5 for a, b in zip(free, free[1:]))
        torch.testing.assert_close(q.sum(0), torch.ones(3, 3))


def test_the_best_strength_is_the_one_that_fields_were_drawn_with_only_with_z(lesson):
    w = lesson["grid_weights"](8)
    lesson["laplacian"], lesson["one"] = (w.sum(1).diag() - w).double(), torch.eye(64, dtype=torch.float64)
    u, x = lesson["draw_field"](2.0, 60, seed=5)
    lams = torch.logspace(-1, 1, 41).tolist()
    best = [max(lams, key=lambda lam: lesson["log_p"](u, x, lam, with_z=z)) for z in (True, False)]
    assert 1.7 < best[0] < 2.4 and best[1] < 1.4


def test_a_field_removes_independent_noise_better_than_a_vote(lesson, shapes):
    _, truth = shapes
    for share, least in ((0.2, 0.85), (0.4, 0.75)):
        observed = lesson["noisy_map"](truth, share, seed=5)
        field = lesson["iou"](solved(lesson["map_cost"](observed, share), 2.0), truth).mean()
        vote = lesson["iou"](lesson["by_vote"](observed), truth).mean()
        assert field > least and field > vote > lesson["iou"](observed, truth).mean()


def test_clicks_are_worth_more_as_a_unary_than_written_over_the_result(shapes, lesson):
    images, truth = shapes
    g = torch.Generator().manual_seed(5)
    cost = al.fields.unary(images + 2.0 * torch.randn(images.shape, generator=g), PALETTE, 2.0)
    said = torch.where(torch.rand(truth.shape, generator=g) < 0.1, truth, -1)
    told = solved(cost + al.fields.label_unary(said, 7, right=0.99), 1.5)
    after = torch.where(said >= 0, said, solved(cost, 1.5))
    assert lesson["iou"](told, truth).mean() > lesson["iou"](after, truth).mean() + 0.1


def test_a_coarse_map_stays_as_it_is_and_counts_once(shapes, lesson):
    images, truth = shapes
    blocks = F.avg_pool2d(F.one_hot(truth, 7).movedim(-1, 1).float(), 4).argmax(1)
    coarse = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)
    user = al.fields.label_unary(coarse, 7, right=0.967)
    assert torch.equal(solved(user, 2.0), coarse)
    g = torch.Generator().manual_seed(5)
    cost = al.fields.unary(images + torch.randn(images.shape, generator=g), PALETTE, 1.0)
    alone, told, once = (lesson["iou"](solved(c, 1.5), truth).mean() for c in (cost, cost + user, cost + user / 16))
    assert told < alone - 0.05 and once > told + 0.05


def test_a_good_picture_is_harmed_and_a_noisy_one_is_helped(shapes):
    judge = al.metrics.Judge("shapes").cpu()
    real = judge(al.data.load("shapes", size=32, n=500, seed=1).images)[0]
    images = al.shipped("projection-shapes").cpu().sample(180, seed=9)
    crf = al.models.PottsCRF(PALETTE, weight=2.0, scale=0.5)
    distance = lambda pictures: al.metrics.fid(judge(pictures)[0], real)
    noisy = images + 0.5 * torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    assert distance(crf.restore(images)) > distance(images) + 5
    assert distance(crf.restore(noisy)) < distance(noisy.clamp(-1, 1)) / 2
