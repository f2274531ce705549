"""ops against the library, closed forms, invariances and gradients."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck
from torchvision.transforms.v2 import functional as tvf

from aigc_lessons import ops

DTYPES = (torch.float32, torch.float64)


def randn(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def agree(got, want):
    tolerance = 1e-5 if got.dtype == torch.float32 else 1e-10
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


# Editing


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.int64])
def test_flip_agrees_with_torchvision_and_undoes_itself(shape, dtype):
    image = (randn(*shape).abs() * 2).to(dtype)
    flipped = ops.flip_horizontal(image)
    assert flipped.dtype == dtype and torch.equal(flipped, tvf.horizontal_flip(image))
    assert torch.equal(ops.flip_horizontal(flipped), image) and not torch.equal(flipped, image)


def linear(degrees):
    return ops.rotation_matrix(degrees)[:, :2]


@pytest.mark.parametrize(("a", "b"), [(30, 45), (-100, 250), (12.5, -77)])
def test_rotations_add_up(a, b):
    agree(linear(a) @ linear(b), linear(a + b))


@pytest.mark.parametrize("degrees", [0, 30, -135, 90, 1234.5])
def test_a_rotation_keeps_lengths_and_orientation(degrees):
    matrix = ops.rotation_matrix(degrees)
    assert matrix.shape == (2, 3) and matrix.dtype == torch.float32 and not matrix[:, 2].any()
    agree(matrix[:, :2] @ matrix[:, :2].T, torch.eye(2))
    assert torch.det(matrix[:, :2]).item() == pytest.approx(1)


def test_the_rotation_matrix_written_out():
    half = math.sqrt(3) / 2
    agree(ops.rotation_matrix(30), torch.tensor([[half, -0.5, 0], [0.5, half, 0]]))


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_quarter_turns_are_counter_clockwise_as_seen(turns):
    image = randn(2, 3, 6, 6, dtype=torch.float32)
    turned = ops.warp(image, ops.rotation_matrix(90 * turns))
    agree(turned, image.rot90(turns, (-2, -1)))  # rot90 turns from the first axis to the second: counter-clockwise
    agree(turned, tvf.rotate(image, 90 * turns, interpolation=tvf.InterpolationMode.BILINEAR))


def smooth(size=48):
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    return torch.exp(-4 * ((x - 0.2) ** 2 + 2 * (y + 0.1) ** 2))[None, None]


def test_any_angle_turns_as_torchvision_turns():
    turned = ops.warp(smooth(), ops.rotation_matrix(30))
    agree(turned, tvf.rotate(smooth(), 30, interpolation=tvf.InterpolationMode.BILINEAR))


# Warp


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3, 5, 8), (1, 1, 1, 4), (3, 2, 7, 2)])
@pytest.mark.parametrize("seed", range(5))
def test_warp_agrees_with_grid_sample(shape, dtype, seed):
    image, matrix = randn(*shape, dtype=dtype), randn(2, 3, dtype=dtype, seed=seed)
    grid = F.affine_grid(matrix.expand(shape[0], 2, 3), shape, align_corners=False)
    got = ops.warp(image, matrix)
    assert got.dtype == dtype
    agree(got, F.grid_sample(image, grid, align_corners=False))


def test_warp_by_the_identity_changes_nothing():
    image = randn(2, 3, 5, 7)
    agree(ops.warp(image, torch.eye(2, 3)), image)


def test_warp_by_whole_pixels_shifts_and_fills_with_zeros():
    image = randn(2, 3, 5, 8)
    # from 3 columns right, 1 row above
    matrix = torch.tensor([[1.0, 0, 2 * 3 / 8], [0, 1, -2 / 5]], dtype=torch.float64)
    want = torch.zeros_like(image)
    want[..., 1:, :-3] = image[..., :-1, 3:]
    agree(ops.warp(image, matrix), want)


def test_warp_by_half_a_pixel_averages_neighbours():
    row = torch.tensor([[[[1.0, 3.0, 7.0, 4.0]]]])
    agree(ops.warp(row, torch.tensor([[1.0, 0, 1 / 4], [0, 1, 0]])), torch.tensor([[[[2.0, 5.0, 5.5, 2.0]]]]))


def test_a_flip_is_a_warp():
    image = randn(2, 3, 5, 8)
    agree(ops.warp(image, torch.tensor([[-1.0, 0, 0], [0, 1, 0]])), ops.flip_horizontal(image))


def test_far_outside_is_zero():
    assert not ops.warp(randn(1, 2, 4, 5), torch.tensor([[1.0, 0, 100], [0, 1, 0]])).any()


def test_warp_gradients():
    image = randn(2, 2, 3, 4).requires_grad_()
    matrix = torch.tensor([[0.71, -0.38, 0.13], [0.22, 0.87, -0.21]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(ops.warp, (image, matrix))


# Convolution

CONVOLUTIONS = [  # shape of x, shape of the weight, stride, padding
    ((2, 3, 6, 9), (4, 3, 2, 5), 1, 0),
    ((2, 3, 7, 8), (5, 3, 3, 2), 2, 1),
    ((1, 1, 5, 4), (1, 1, 1, 1), 3, 0),
    ((3, 2, 5, 4), (6, 2, 5, 4), 1, 0),
    ((2, 4, 3, 6), (3, 4, 4, 3), 3, 2),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("x", "weight", "stride", "padding"), CONVOLUTIONS)
def test_conv2d_agrees_with_torch(x, weight, stride, padding, dtype):
    x, weight, bias = randn(*x, dtype=dtype), randn(*weight, dtype=dtype, seed=1), randn(weight[0], dtype=dtype, seed=2)
    assert ops.conv2d(x, weight, bias, stride, padding).dtype == dtype
    agree(ops.conv2d(x, weight, bias, stride, padding), F.conv2d(x, weight, bias, stride, padding))
    agree(ops.conv2d(x, weight, stride=stride, padding=padding), F.conv2d(x, weight, None, stride, padding))


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_output_size_is_that_of_torch(dilation):
    for size, kernel, stride, padding in itertools.product(range(1, 12), range(1, 5), range(1, 4), range(3)):
        if dilation * (kernel - 1) < size + 2 * padding:
            out = F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), None, stride, padding, dilation)
            assert ops.output_size(size, kernel, stride, padding, dilation) == out.shape[-1]


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_depthwise_conv2d_agrees_with_torch(stride, padding, dtype):
    x, weight = randn(2, 4, 9, 7, dtype=dtype), randn(4, 3, 2, dtype=dtype, seed=1)
    want = F.conv2d(x, weight[:, None], None, stride, padding, groups=4)
    agree(ops.depthwise_conv2d(x, weight, stride, padding), want)
    inputs = (randn(1, 2, 4, 5).requires_grad_(), randn(2, 2, 3, seed=1).requires_grad_())
    assert gradcheck(lambda *a: ops.depthwise_conv2d(*a, stride, padding), inputs)


@pytest.mark.parametrize("sizes", [(2, 3, 6, 5, 4, 3, 2), (1, 1, 4, 4, 2, 1, 1), (3, 2, 3, 4, 5, 3, 4)])
def test_kernel_gradient_is_that_of_backward(sizes):
    n, c, height, width, o, kh, kw = sizes
    x, weight = randn(n, c, height, width), randn(o, c, kh, kw, seed=1).requires_grad_()
    out = F.conv2d(x, weight)
    grad = randn(*out.shape, seed=2)
    out.backward(grad)
    agree(ops.kernel_gradient(x, grad), weight.grad)


def test_conv2d_by_hand():
    x = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    got = ops.conv2d(x, torch.tensor([[[[1.0, 10.0]]]]), torch.tensor([100.0]))
    assert got.tolist() == [[[[121.0, 132.0], [154.0, 165.0]]]]


def test_conv2d_is_linear_and_moves_with_the_picture():
    x, y, weight = randn(2, 3, 8, 9), randn(2, 3, 8, 9, seed=1), randn(4, 3, 3, 2, seed=2)
    agree(ops.conv2d(2 * x - 3 * y, weight), 2 * ops.conv2d(x, weight) - 3 * ops.conv2d(y, weight))
    moved = ops.conv2d(x.roll((1, 2), (2, 3)), weight)[:, :, 1:, 2:]
    agree(moved, ops.conv2d(x, weight)[:, :, :-1, :-2])


@pytest.mark.parametrize(("x", "weight", "stride", "padding"), [CONVOLUTIONS[1], ((1, 2, 4, 3), (3, 2, 2, 3), 1, 1)])
def test_conv2d_gradients(x, weight, stride, padding):
    inputs = (
        randn(*x).requires_grad_(),
        randn(*weight, seed=1).requires_grad_(),
        randn(weight[0], seed=2).requires_grad_(),
    )
    assert gradcheck(lambda *a: ops.conv2d(*a, stride, padding), inputs)


TRANSPOSED = [  # shape of x, shape of the weight, stride, padding
    ((2, 3, 4, 6), (3, 5, 2, 3), 1, 0),
    ((2, 4, 3, 5), (4, 2, 4, 3), 2, 1),
    ((1, 2, 3, 4), (2, 3, 2, 1), 3, 0),
    ((3, 2, 5, 4), (2, 6, 5, 4), 3, 2),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("x", "weight", "stride", "padding"), TRANSPOSED)
def test_conv_transpose2d_agrees_with_torch(x, weight, stride, padding, dtype):
    x, weight = randn(*x, dtype=dtype), randn(*weight, dtype=dtype, seed=1)
    got = ops.conv_transpose2d(x, weight, stride, padding)
    assert got.dtype == dtype
    agree(got, F.conv_transpose2d(x, weight, stride=stride, padding=padding))


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 0)])
def test_conv_transpose2d_is_the_adjoint_of_conv2d(stride, padding):
    weight = randn(4, 3, 3, 2, seed=1)
    y = randn(2, 4, 3, 4, seed=2)
    image_of_y = ops.conv_transpose2d(y, weight, stride, padding)
    x = randn(*image_of_y.shape)
    agree((ops.conv2d(x, weight, None, stride, padding) * y).sum(), (x * image_of_y).sum())


def test_conv_transpose2d_by_hand():
    row = torch.tensor([[[[1.0, 2.0]]]])
    got = ops.conv_transpose2d(row, torch.tensor([[[[1.0, 10.0, 100.0]]]]), stride=2)
    assert got.tolist() == [[[[1.0, 10.0, 102.0, 20.0, 200.0]]]]


@pytest.mark.parametrize(("kernel", "even"), [(3, False), (4, True)])
def test_the_checkerboard_comes_from_kernel_3_and_not_from_kernel_4(kernel, even):
    out = ops.conv_transpose2d(torch.ones(1, 1, 8, 8), torch.ones(1, 1, kernel, kernel), stride=2)[0, 0, 4:-4, 4:-4]
    assert (out.max() == out.min()) == even


def test_conv_transpose2d_gradients():
    inputs = randn(2, 3, 2, 3).requires_grad_(), randn(3, 2, 3, 2, seed=1).requires_grad_()
    assert gradcheck(lambda *a: ops.conv_transpose2d(*a, 2, 1), inputs)


# Pooling

POOLS = [((2, 3, 4, 6), 2, 2), ((2, 3, 7, 9), 3, 2), ((1, 2, 8, 5), 2, 3), ((3, 1, 5, 5), 5, 1), ((2, 2, 3, 4), 1, 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "kernel", "stride"), POOLS)
def test_pooling_agrees_with_torch(shape, kernel, stride, dtype):
    x = randn(*shape, dtype=dtype) - 2
    agree(ops.max_pool2d(x, kernel, stride), F.max_pool2d(x, kernel, stride))
    agree(ops.avg_pool2d(x, kernel, stride), F.avg_pool2d(x, kernel, stride))


def test_the_mean_is_a_convolution_and_the_maximum_never_below_it():
    x = randn(2, 1, 6, 8)
    agree(ops.avg_pool2d(x, 2, 2), ops.conv2d(x, torch.full((1, 1, 2, 2), 0.25, dtype=x.dtype), stride=2))
    assert (ops.max_pool2d(x, 2, 2) > ops.avg_pool2d(x, 2, 2)).all()


def test_pooling_gradients():
    x = randn(2, 2, 5, 6).requires_grad_()
    assert gradcheck(lambda x: ops.max_pool2d(x, 3, 2), (x,)) and gradcheck(lambda x: ops.avg_pool2d(x, 3, 2), (x,))


# Receptive field


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [(3, 1)],
        [(3, 1)] * 4,
        [(3, 2), (5, 1)],
        [(3, 2), (3, 2), (3, 2)],
        [(5, 1), (2, 2), (3, 1), (2, 2)],
        [(1, 3), (4, 1)],
    ],
)
def test_the_receptive_field_is_where_the_centre_pixel_has_a_gradient(layers):
    x = torch.rand(1, 1, 101, 101, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = ops.conv2d(y, torch.ones(1, 1, kernel, kernel), stride=stride)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    rows, columns = x.grad[0, 0].nonzero(as_tuple=True)
    extent = ops.receptive_field(layers)
    assert type(extent) is int
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (extent, extent)


# Dropout


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.75])
def test_dropout_keeps_the_sum_when_the_mask_keeps_just_the_right_share(p, dtype):
    keep = (torch.arange(16) >= 16 * p).to(dtype).reshape(4, 4)
    got = ops.dropout(torch.full((4, 4), 3.0, dtype=dtype), p, keep)
    assert got.dtype == dtype and got.mean().item() == pytest.approx(3)
    assert torch.equal(got == 0, keep == 0)


def test_dropout_agrees_with_torch():
    x = randn(50, 40)
    torch.manual_seed(0)
    want = F.dropout(x, 0.3)
    agree(ops.dropout(x, 0.3, (want != 0).to(x)), want)


def test_dropout_gradient_is_the_scaled_mask():
    x, keep = randn(3, 4).requires_grad_(), (randn(3, 4, seed=1) > 0).double()
    ops.dropout(x, 0.2, keep).sum().backward()
    agree(x.grad, keep / 0.8)


# Optimizers and batch norm


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sgd_steps_agree_with_torch(momentum):
    weight = torch.nn.Parameter(randn(3, 4))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=momentum)
    parameter, velocity = weight.detach().clone(), torch.zeros(3, 4, dtype=torch.float64)
    for step in range(5):
        gradient = randn(3, 4, seed=step + 1)
        before = parameter.clone(), velocity.clone()
        new = ops.sgd_step(parameter, gradient, velocity, 0.1, momentum)
        assert torch.equal(parameter, before[0]) and torch.equal(velocity, before[1])
        (parameter, velocity), weight.grad = new, gradient
        optimizer.step()
        agree(parameter, weight.detach())


def test_constant_gradients_make_momentum_a_longer_step():
    """The velocity tends to gradient / (1 - momentum)."""
    parameter, velocity = torch.zeros(1).double(), torch.zeros(1).double()
    for _ in range(400):
        parameter, velocity = ops.sgd_step(parameter, torch.ones(1).double(), velocity, 0.1, 0.9)
    agree(velocity, torch.full((1,), 10.0).double())


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])
@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_adam_steps_agree_with_torch(betas, eps):
    weight = torch.nn.Parameter(randn(3, 4))
    optimizer = torch.optim.Adam([weight], lr=0.1, betas=betas, eps=eps)
    parameter, m, v = weight.detach().clone(), *torch.zeros(2, 3, 4, dtype=torch.float64)
    for step in range(1, 6):
        gradient = randn(3, 4, seed=step)
        parameter, m, v = ops.adam_step(parameter, gradient, m, v, step, 0.1, betas, eps)
        weight.grad = gradient
        optimizer.step()
        agree(parameter, weight.detach())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_adams_first_step_has_the_length_of_the_learning_rate(scale):
    gradient = scale * torch.tensor([1.0, -2.0, 5.0]).double()
    nothing = torch.zeros(3).double()
    parameter, _, _ = ops.adam_step(nothing, gradient, nothing, nothing, 1, 0.1, (0.9, 0.999), 1e-12)
    torch.testing.assert_close(parameter, -0.1 * gradient.sign(), rtol=1e-6, atol=0)


def test_batch_norm_agrees_with_torch_in_both_modes():
    layer = torch.nn.BatchNorm2d(3, momentum=0.2, eps=1e-3).double()
    with torch.no_grad():
        layer.weight.copy_(randn(3)), layer.bias.copy_(randn(3, seed=1))
    mean, var = layer.running_mean.clone(), layer.running_var.clone()
    for seed in range(3):
        x = 2 * randn(5, 3, 4, 2, seed=seed) + 1
        y, mean, var = ops.batch_norm(x, layer.weight, layer.bias, mean, var, 0.2, 1e-3, True)
        agree(y, layer(x))
        agree(mean, layer.running_mean)
        agree(var, layer.running_var)
    y, same_mean, same_var = ops.batch_norm(x, layer.weight, layer.bias, mean, var, 0.2, 1e-3, False)
    agree(y, layer.eval()(x))
    assert torch.equal(same_mean, mean) and torch.equal(same_var, var)


def test_batch_norm_undoes_scale_and_shift_and_passes_gradients():
    x, ones, zeros = randn(4, 2, 3, 3), torch.ones(2).double(), torch.zeros(2).double()
    norm = lambda x: ops.batch_norm(x, ones, zeros, zeros, ones, 0.1, 1e-9, True)[0]
    torch.testing.assert_close(norm(7 * x - 3), norm(x), rtol=1e-6, atol=1e-6)
    agree(norm(x).mean((0, 2, 3)), zeros)
    assert gradcheck(norm, x.requires_grad_())
