"""What an answer "from scratch" may call: the operators below, and no other that PyTorch has.

Deny by default: each operator that is not listed has its kernels replaced, in the dispatcher's own table, by one that refuses. Every
way to call it ends there: torch.nn, torch.ops, a scripted graph, a backward pass, another thread. Nothing in Python leads back to
the kernels that were replaced.
"""

import ctypes
import functools
import re
import sys

import torch

# ATen's names, without the underscore at the end of those that write in place
ALLOWED = set(
    """
    __and__ __iand__ __ilshift__ __ior__ __irshift__ __ixor__ __lshift__ __or__ __rshift__ __xor__
    abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh
    ceil clamp clamp_max clamp_min clip conj _conj conj_physical _conj_physical copysign cos cosh deg2rad digamma div divide eq erf erfc
    erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod frac frexp gcd ge greater greater_equal gt heaviside hypot i0
    igamma igammac imag lcm ldexp le lerp less less_equal lgamma log log10 log1p log2 logaddexp logaddexp2 logit lt maximum minimum
    mul multiply mvlgamma nan_to_num ne neg negative nextafter not_equal polar polygamma positive pow rad2deg real reciprocal remainder
    resolve_conj resolve_neg round rsqrt rsub sgn sigmoid sign signbit sin sinc sinh sqrt square sub subtract tan tanh true_divide trunc
    xlogy elu gelu hardtanh leaky_relu log_sigmoid log_sigmoid_forward prelu _prelu_kernel relu relu6 silu softplus threshold mish celu
    selu hardsigmoid hardswish hardshrink softshrink infinitely_differentiable_gelu_backward
    binary_cross_entropy binary_cross_entropy_with_logits l1_loss mse_loss smooth_l1_loss huber_loss
    all allclose amax amin aminmax _aminmax any argmax argmin argsort bincount bucketize corrcoef count_nonzero cov cummax cummin
    _cummax_helper _cummin_helper cummaxmin_backward cumprod cumsum cumulative_trapezoid diff dist equal histc histogram isclose isin
    isinf isnan isfinite isneginf isposinf isreal kthvalue logcumsumexp _logcumsumexp logsumexp max mean median min mode msort nanmean
    nanmedian nanquantile nansum norm nuclear_norm frobenius_norm prod quantile renorm searchsorted sort std std_mean sum sum_to_size topk
    trapezoid trapz unique_consecutive _unique _unique2 unique_dim unique_dim_consecutive var var_mean value_selecting_reduction_backward
    cdist _cdist_forward _euclidean_dist pairwise_distance cosine_similarity argwhere glu
    softmax _softmax log_softmax _log_softmax _safe_softmax
    addbmm addmm addmv addr baddbmm block_diag bmm chain_matmul cholesky_inverse cholesky_solve _cholesky_solve_helper cross det dot einsum ger inner inverse
    kron linear logdet lu_solve _lu_with_info lu_unpack matmul matrix_exp matrix_power mm mv outer pinverse slogdet svd tensordot trace
    triangular_solve vander vdot _addmm_activation mkldnn_linear orgqr ormqr geqrf tril triu tril_indices triu_indices
    adjoint alias as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to cartesian_prod cat channel_shuffle
    native_channel_shuffle chunk clone column_stack combinations complex concat concatenate constant_pad_nd contiguous copy data detach
    diag diag_embed diagflat diagonal dsplit dstack expand expand_as fill fill_diagonal flatten flip fliplr flipud gather hsplit hstack im2col
    col2im index index_add index_copy index_fill index_put _index_put_impl index_reduce index_select lift lift_fresh mH mT masked_fill
    masked_scatter masked_select matrix_H meshgrid moveaxis movedim narrow nonzero nonzero_numpy nonzero_static numpy_T one_hot embedding embedding_dense_backward
    pad _pad_circular _pad_enum pad_sequence permute pixel_shuffle pixel_unshuffle put ravel reflection_pad1d reflection_pad2d
    reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape reshape_as _reshape_alias
    _reshape_copy _reshape_from_tensor resize resize_as roll rot90 row_stack scatter scatter_add scatter_reduce select set slice split
    split_with_sizes squeeze _stack stack swapaxes swapdims t take take_along_dim tensor_split tile transpose unbind unflatten unfold
    _unsafe_index _unsafe_index_put _unsafe_masked_index _unsafe_masked_index_put_accumulate unsafe_chunk unsafe_split
    unsafe_split_with_sizes _unsafe_view unsqueeze view view_as view_as_complex view_as_real vsplit vstack where zero _neg_view
    affine_grid_generator cudnn_affine_grid_generator gradient
    arange empty empty_like empty_permuted empty_strided _efficientzerotensor eye full full_like linspace logspace new_empty
    new_empty_strided new_full new_ones new_zeros _new_zeros_with_same_feature_meta ones ones_like range scalar_tensor zeros zeros_like
    bernoulli binomial cauchy exponential geometric log_normal multinomial normal normal_functional poisson rand rand_like randint
    randint_like randn randn_like random randperm uniform dropout native_dropout bartlett_window blackman_window hamming_window
    hann_window kaiser_window
    sparse_coo_tensor _sparse_coo_tensor_unsafe _sparse_coo_tensor_with_dims _sparse_coo_tensor_with_dims_and_tensors sparse_csr_tensor
    _sparse_csr_tensor_unsafe sparse_compressed_tensor _sparse_compressed_tensor_unsafe _sparse_mm _sparse_addmm _sparse_sum sparse_mask
    coalesce _coalesce _coalesced indices _indices values _values crow_indices col_indices sparse_dim dense_dim _dimI _dimV _nnz to_sparse
    _to_sparse to_sparse_csr _to_sparse_csr to_dense _to_dense _validate_sparse_coo_tensor_args _validate_sparse_compressed_tensor_args
    _validate_sparse_csr_tensor_args _validate_compressed_sparse_indices _convert_indices_from_coo_to_csr
    _convert_indices_from_csr_to_coo _sparse_sparse_matmul
    _backward _fw_primal _make_dual _unpack_dual _add_batch_dim _remove_batch_dim requires_grad retain_grad retains_grad output_nr
    get_gradients set_data _version size stride storage_offset numel dim item _local_scalar_dense to type_as _to_copy _to_cpu
    _copy_from _copy_from_and_resize _autocast_to_full_precision _autocast_to_reduced_precision _cast_Byte _cast_Char _cast_Double
    _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short chalf can_cast promote_types result_type get_device _pin_memory pin_memory
    record_stream _assert_async _functional_assert_async _assert_scalar _functional_assert_scalar _assert_tensor_metadata _print
    _shape_as_tensor _has_compatible_shallow_copy_type _has_same_storage_numel shallow_copy_data _lazy_clone _is_all_true _is_any_true
    _is_zerotensor _debug_has_internal_overlap _resize_output _compute_linear_combination stft istft
    """.split()
)
FAMILIES = (
    "fft_",
    "_fft_",
    "linalg_",
    "_linalg_",
    "special_",
    "_special_",
    "_foreach_",
    "bitwise_",
    "logical_",
    "sym_",
    "is_",
)
# Beside an answer's transposed convolution, the plain one and its gradient are tools: filling with zeros, then convolving, is an answer.
PLAIN = {"conv1d", "conv2d", "convolution", "convolution_backward", "_convolution_double_backward", "_convolution_mode"}
PLAIN |= {
    "thnn_conv2d",
    "_slow_conv2d_forward",
    "_slow_conv2d_backward",
    "slow_conv_dilated2d",
    "mkldnn_convolution",
    "_nnpack_available",
}
KEYS = ("CPU", "MkldnnCPU", "QuantizedCPU", "SparseCPU", "SparseCsrCPU", "NestedTensorCPU", "CompositeImplicitAutograd")
KEYS += ("CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional", "CompositeImplicitAutogradNestedTensor")
# What runs kernels without asking the dispatcher, or hands them out: TorchScript's graphs and fusers hold operators of their own.
ASIDE = (
    r"_te|\w*static_module\w*|StaticModule|parse_ir|\w*llga\w*|\w*texpr\w*|_?import_ir_module\w*|_load_(for|mobile|jit)\w*"
    r"|_create_function_from_graph|_jit_(interpret|trace)_graph|_jit_pass_\w*(mkldnn|fus|frozen|rewrite)\w*"
    r"|_dispatch_get_computed_kernel_for_dispatch_key"
)
OF_TORCHSCRIPT = r"prim::((?!mkldnn)[a-z_]+|NumToTensor)|aten::(?!__upsample)\w+"  # its small ones: device, dtype, Int
OF_GRAPHS = r"(create|insert|append|prepend)\w*"


class LibraryCall(RuntimeError):
    """An operator was called that an answer from scratch is to do without; `operator` is its name."""

    def __init__(self, operator):
        super().__init__(f"library call: {operator}")
        self.operator = operator


def allowed(operator, forbidden=()):
    """Whether an answer from scratch may call an operator ("aten::conv2d.padding", "aten::add_.Tensor").

    forbidden: as Exercise.from_scratch; with "convolution_transpose" in it, plain convolution is allowed.
    """
    space, _, name = operator.partition("::")
    name = name.partition(".")[0]
    if space != "aten":
        return space == "profiler"
    if "convolution_transpose" in forbidden and name in PLAIN:
        return True
    name = name if name.startswith("__") else name.removesuffix("_")
    base = re.sub(r"(_backward(_data|_grad_input)?|_copy|_scatter|_inverse|_jvp|_helper)$", "", name)
    return name in ALLOWED or name.startswith(FAMILIES) or base in ALLOWED


def word(operator):
    """What an operator is called without its space, overload and the underscore of those that write in place."""
    return operator.rpartition("::")[2].partition(".")[0].removesuffix("_")


@functools.cache
def composites(forbidden):
    """Names of the operators that PyTorch makes of smaller ones and that an answer is to do without: conv2d, kl_div ..."""
    of_others = lambda name: torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
    of_aten = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]
    return {n.partition("::")[2].partition(".")[0] for n in of_aten if of_others(n) and not allowed(n, forbidden)}


class FromScratch:
    """While it is entered, every operator of PyTorch that is not allowed raises LibraryCall, in the whole process.

    forbidden: as Exercise.from_scratch; it may be entered again with what forbids more, never with what forbids less.
    """

    def __init__(self, forbidden):
        self.forbidden, self.libraries = tuple(forbidden), {}

    def __enter__(self):
        for operator in torch._C._dispatch_get_all_op_names():
            if not allowed(operator, self.forbidden):
                self._replace(operator, _refuse(operator))
        if "convolution_transpose" in self.forbidden:
            self._replace("aten::convolution", _plain_convolution)
        return self

    def __exit__(self, *_):
        self.libraries.clear()

    def for_good(self):
        """Enter and never leave: what holds the kernels is out of Python's sight, and out of its garbage collector's."""
        self.__enter__()
        for library in self.libraries.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
        self.libraries.clear()
        _clear_aside(self.forbidden)

    def _replace(self, operator, kernel):
        space, _, name = operator.partition("::")
        for key in KEYS:
            if key == "CPU" or torch._C._dispatch_has_kernel_for_dispatch_key(operator, key):
                if (space, key) not in self.libraries:
                    self.libraries[space, key] = torch._C._dispatch_library("IMPL", space, key, "from scratch", 1)
                self.libraries[space, key].impl(name, key, kernel)


def _refuse(operator):
    def refuse(*args, **kwargs):
        raise LibraryCall(word(operator))

    return refuse


def _plain_convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """aten::convolution without the transposed one, from kernels that cannot do it."""
    if transposed or x.dim() not in (3, 4):
        raise LibraryCall("conv_transpose2d" if transposed else "convolution")
    if x.dim() == 3:
        pairs = ([1, *stride], [0, *padding], [1, *dilation])
        return _plain_convolution(
            x.unsqueeze(2), weight.unsqueeze(2), bias, *pairs, transposed, output_padding, groups
        ).squeeze(2)
    if groups > 1:
        parts = zip(x.chunk(groups, 1), weight.chunk(groups), [None] * groups if bias is None else bias.chunk(groups))
        return torch.cat(
            [_plain_convolution(*p, stride, padding, dilation, False, output_padding, 1) for p in parts], 1
        )
    if list(dilation) != [1, 1]:
        return torch.ops.aten.slow_conv_dilated2d(x, weight, weight.shape[2:], bias, stride, padding, dilation)
    return torch.ops.aten._slow_conv2d_forward(x, weight, weight.shape[2:], bias, stride, padding)


def close_side_ways():
    """Take away what hands out kernels or runs them beside the dispatcher; before any code of a submission runs."""
    for holder, names in ((torch._C, ASIDE), (torch._C.Graph, OF_GRAPHS)):
        for name in [n for n in vars(holder) if re.fullmatch(names, n)]:
            delattr(holder, name)
    known = {name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    for name in ("_jit_get_operation", "_get_operation_overload"):
        setattr(torch._C, name, _of_the_dispatcher(getattr(torch._C, name), known))


def _of_the_dispatcher(lookup, known):
    """A look-up of operators that finds no others than the dispatcher's: TorchScript has some that go past it."""

    def looked_up(name, *rest):
        if name not in known and not re.fullmatch(OF_TORCHSCRIPT, name) and name.startswith(("prim::", "aten::")):
            raise LibraryCall(name.partition("::")[2])
        return lookup(name, *rest)

    return looked_up


def _clear_aside(forbidden):
    """PyTorch's own decompositions, Python that writes library calls out, refuse as their operators do."""
    operators = {name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    refused = {n.partition("::")[2] for n in operators if n.startswith("aten::") and not allowed(n, forbidden)}
    for module in [m for n, m in list(sys.modules.items()) if re.match(r"torch\._(decomp|refs|prims|inductor)\b", n)]:
        for name, value in list(vars(module).items()):
            if isinstance(value, dict):
                for key in [k for k in value if isinstance(k, torch._ops.OpOverload)]:
                    if not allowed(key.name(), forbidden):
                        value[key] = _refuse(key.name())
                        key.py_kernels.clear()
            elif callable(value) and name.strip("_") in refused:
                setattr(module, name, _refuse(f"aten::{name}"))
