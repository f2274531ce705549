"""Side doors of exercises from scratch, ways to the reference, and ways past the limits. Each must earn nothing.

Many share a file, each as a function of its own name, so that they share a start.
"""

import textwrap
from dataclasses import dataclass

from bank import HEAD, RIGHT, answer

HEADS = {
    **HEAD,
    "warp": "def warp(image, matrix):",
    "cross_entropy": "def cross_entropy(logits, target):",
}


@dataclass(frozen=True)
class Door:
    """One answer. `says`: a word of its reason; `before`: what runs at the top of the file; `flag`: a flag that a person then sees;
    `alone`: it would spoil the file for others."""

    what: str
    exercise: str
    body: str
    before: str = ""
    says: str = "library call"
    flag: str = ""
    alone: bool = False

    def source(self, name):
        body = textwrap.indent(textwrap.dedent(self.body).strip(), "    ")
        head = HEADS[self.exercise].replace(self.exercise, name, 1)
        return f"import torch\nimport torch.nn.functional as F\n{textwrap.dedent(self.before)}\n{head}\n{body}\n"


CONV, POOL, TRANSPOSE, WARP, ENTROPY = "conv2d", "max_pool2d", "conv_transpose2d", "warp", "cross_entropy"
ARGUMENTS = "[stride] * 2, [padding] * 2, [1, 1]"
DOORS = (
    Door(
        "slow_conv3d",
        CONV,
        """
        return torch._C._nn.slow_conv3d(
            x[:, :, None], weight[:, :, None], (1, *weight.shape[2:]), bias, (1, stride, stride), (0, padding, padding))[:, :, 0]""",
    ),
    Door(
        "slow_conv_dilated2d",
        CONV,
        f"return torch._C._nn.slow_conv_dilated2d(x, weight, weight.shape[2:], bias, {ARGUMENTS})",
    ),
    Door(
        "thnn_conv2d",
        CONV,
        "return torch._C._nn.thnn_conv2d(x, weight, weight.shape[2:], bias, (stride,) * 2, (padding,) * 2)",
    ),
    Door(
        "_slow_conv2d_forward",
        CONV,
        """
        return torch.ops.aten._slow_conv2d_forward(
            x.detach(), weight.detach(), list(weight.shape[2:]), None if bias is None else bias.detach(), [stride] * 2, [padding] * 2)""",
    ),
    Door(
        "mkldnn_convolution",
        CONV,
        "return torch.ops.aten.mkldnn_convolution(x, weight, bias, [padding] * 2, [stride] * 2, [1, 1], 1)",
    ),
    Door(
        "the .out overload",
        CONV,
        f"""
        n, c, h, w = x.shape
        o, _, kh, kw = weight.shape
        out = x.new_empty(n, o, (h + 2 * padding - kh) // stride + 1, (w + 2 * padding - kw) // stride + 1)
        return torch.ops.aten.convolution.out(x.detach(), weight, bias, {ARGUMENTS}, False, [0, 0], 1, out=out)""",
    ),
    Door(
        "a name built from strings",
        CONV,
        f"return vars(torch)['_convo' 'lution'](x, weight, bias, {ARGUMENTS}, False, [0, 0], 1, False, False, False, False)",
    ),
    Door(
        "a frozen graph, made before",
        CONV,
        "return inner(x, weight, bias, stride, padding)",
        """
        from typing import Optional
        @torch.jit.script
        def inner(x, weight, bias: Optional[torch.Tensor], stride: int, padding: int):
            return torch.conv2d(x, weight, bias, [stride, stride], [padding, padding])
        inner(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1), None, 1, 0)
        """,
        says="RuntimeError",
    ),
    Door(
        "vmap",
        CONV,
        "return torch.func.vmap(lambda p: torch.conv2d(p, weight, bias, stride, padding))(x)",
        says="",
    ),
    Door(
        "the gradient of a transposed convolution",
        CONV,
        """
        n, c, h, w = x.shape
        o, _, kh, kw = weight.shape
        size = n, o, (h + 2 * padding - kh) // stride + 1, (w + 2 * padding - kw) // stride + 1
        out = torch.ops.aten.convolution_backward(
            x, x.new_zeros(size), weight, None, [stride] * 2, [padding] * 2, [1, 1], True, [0, 0], 1, [True, False, False])[0]
        return out if bias is None else out + bias[:, None, None]""",
    ),
    Door(
        "a kernel fetched before",
        CONV,
        """
        return kernel.call_boxed(torch._C.DispatchKeySet(torch._C.DispatchKey.CPU), x.detach(), weight.detach(), weight.shape[2:],
                                 bias, [stride] * 2, [padding] * 2)""",
        "kernel = torch.library.get_kernel('aten::_slow_conv2d_forward', 'CPU')\n",
        says="NameError",
        flag="uses get_kernel",
    ),
    Door(
        "the guard disarmed, as a mode",
        CONV,
        """
        from torch.utils._python_dispatch import _disable_current_modes
        with _disable_current_modes(), torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
            return torch.conv2d(x, weight, bias, stride, padding)""",
        flag="uses _C",
    ),
    Door(
        "the guard disarmed, as an object",
        CONV,
        """
        import gc, sys
        scratch = sys.modules["scratch"]
        for item in gc.get_objects():
            if isinstance(item, scratch.FromScratch):
                item.__exit__()
        scratch.FromScratch.__enter__ = lambda self: self
        scratch.ALLOWED.update(("conv2d", "convolution"))
        scratch.allowed = lambda *args: True
        for item in gc.get_objects():
            if callable(item) and getattr(item, "__name__", "") == "refuse":
                item.__code__ = (lambda *args, **kwargs: args).__code__
        return torch.conv2d(x, weight, bias, stride, padding)""",
        says="",
        flag="imports gc",
        alone=True,
    ),
    Door(
        "a kernel of its own, which asks a lower key",
        CONV,
        """
        library = torch.library.Library("aten", "IMPL")
        lower = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
        rest = bias, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1
        library.impl("conv2d", lambda *a: torch.ops.aten.convolution.default.redispatch(lower, *a[:2], *rest), "CPU")
        return torch.ops.aten.conv2d.default(x.detach(), weight.detach())""",
        says="",
        flag="torch.library",
        alone=True,
    ),
    Door(
        "an operator of TorchScript's own",
        CONV,
        """
        bias = torch.zeros(len(weight)) if bias is None else bias
        return torch.ops.prim.mkldnn_convolution(
            x.detach(), weight.detach(), bias.detach(), [stride] * 2, [padding] * 2, [1, 1], 1)""",
        says="AttributeError",
    ),
    Door(
        "a graph from text",
        CONV,
        """
        graph = torch._C.parse_ir("graph(%x : Tensor, %w : Tensor, %b : Tensor, %s : int[], %p : int[], %d : int[], %g : int):"
                                  "\\n  %r : Tensor = prim::mkldnn_convolution(%x, %w, %b, %s, %p, %d, %g)\\n  return (%r)")
        bias = torch.zeros(len(weight)) if bias is None else bias
        return torch._C._create_function_from_graph("f", graph)(x, weight, bias, [stride] * 2, [padding] * 2, [1, 1], 1)""",
        says="AttributeError",
        flag="uses _C",
    ),
    Door(
        "a graph that another library runs, warmed up before",
        CONV,
        """
        with torch.no_grad():
            return warm(x, weight, bias)""",
        """
        torch.jit.enable_onednn_fusion(True)
        class Layer(torch.nn.Module):
            def forward(self, x, weight, bias):
                return torch.conv2d(x, weight, bias)
        given = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), torch.ones(1)
        warm = torch.jit.trace(Layer().eval(), given)
        warm(*given), warm(*given), warm(*given)
        """,
        says="RuntimeError",
        alone=True,
    ),
    Door(
        "in a thread",
        CONV,
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.conv2d, x, weight, bias, stride, padding).result()""",
    ),
    Door(
        "in float64",
        CONV,
        "return torch.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), stride, padding)",
    ),
    Door(
        "scipy.signal",
        CONV,
        """
        from scipy.signal import correlate
        padded = F.pad(x, (padding,) * 4).numpy()
        rows = [[correlate(p, k, "valid", "direct")[0] for k in weight.numpy()] for p in padded]
        out = torch.stack([torch.stack([torch.from_numpy(r) for r in row]) for row in rows])[:, :, ::stride, ::stride]
        return out if bias is None else out + bias[:, None, None]""",
        says="ModuleNotFoundError",
    ),
    Door(
        "torchvision's deformable convolution",
        CONV,
        """
        import torchvision
        kh, kw = weight.shape[2:]
        oh, ow = (x.shape[2] + 2 * padding - kh) // stride + 1, (x.shape[3] + 2 * padding - kw) // stride + 1
        return torchvision.ops.deform_conv2d(x, x.new_zeros(len(x), 2 * kh * kw, oh, ow), weight, bias, stride, padding)""",
        says="ModuleNotFoundError",
    ),
    Door(
        "answers computed at the top, from the inputs of its own job",
        CONV,
        "return known[tuple(x.flatten()[:3].tolist())]",
        """
        import glob, sys
        known = {}
        paths = glob.glob("/job/*") + glob.glob("/tmp/*") + glob.glob("/judge/*.frame")
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()):
                if isinstance(value, dict) and "tasks" in value:
                    paths.append(value)
            frame = frame.f_back
        for path in paths:
            known[path] = torch.conv2d
        """,
        says="KeyError",
        flag="_getframe",
    ),
    # pooling
    Door(
        "max_pool1d, twice",
        POOL,
        """
        n, c, h, w = x.shape
        x = F.max_pool1d(x.reshape(n, c * h, w), kernel_size, stride).view(n, c, h, -1).mT
        return F.max_pool1d(x.reshape(n, -1, h), kernel_size, stride).view(n, c, x.shape[2], -1).mT""",
    ),
    Door(
        "max_pool1d in inference mode",
        POOL,
        """
        with torch.inference_mode():
            n, c, h, w = x.shape
            x = torch.max_pool1d(x.reshape(n, c * h, w), kernel_size, stride).view(n, c, h, -1).mT
            return torch.max_pool1d(x.reshape(n, -1, h), kernel_size, stride).view(n, c, x.shape[2], -1).mT""",
    ),
    Door(
        "fractional_max_pool2d",
        POOL,
        """
        h, w = ((s - kernel_size) // stride + 1 for s in x.shape[2:])
        x = x[:, :, :(h - 1) * stride + kernel_size, :(w - 1) * stride + kernel_size].detach()
        return torch.ops.aten.fractional_max_pool2d(x, [kernel_size] * 2, [h, w], x.new_zeros(len(x), x.shape[1], 2))[0]""",
    ),
    Door(
        "a quantized pooling",
        POOL,
        """
        scale = x.detach().abs().max().item() / 2**30
        q = torch.quantize_per_tensor(x.detach(), scale, 0, torch.qint32)
        return torch.ops.quantized.max_pool2d(q, [kernel_size] * 2, [stride] * 2, [0, 0], [1, 1], False).dequantize()""",
    ),
    Door(
        "mkldnn_max_pool2d",
        POOL,
        "return torch.ops.aten.mkldnn_max_pool2d(x.to_mkldnn(), [kernel_size] * 2, [stride] * 2).to_dense()",
    ),
    Door(
        "max_pool2d_with_indices.out",
        POOL,
        """
        n, c, h, w = x.shape
        out = x.new_empty(n, c, (h - kernel_size) // stride + 1, (w - kernel_size) // stride + 1)
        return torch.ops.aten.max_pool2d_with_indices.out(
            x.detach(), [kernel_size] * 2, [stride] * 2, out=out, indices=torch.empty_like(out, dtype=torch.long))[0]""",
    ),
    Door(
        "max_pool3d",
        POOL,
        "return F.max_pool3d(x[:, :, None], (1, kernel_size, kernel_size), (1, stride, stride))[:, :, 0]",
    ),
    Door(
        "adaptive pooling, window by window",
        POOL,
        """
        windows = x.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride)
        return F.adaptive_max_pool2d(windows.flatten(0, 3), 1).view(windows.shape[:4])""",
    ),
    Door(
        "scipy's maximum_filter",
        POOL,
        """
        from scipy.ndimage import maximum_filter
        (h, w), before = ((s - kernel_size) // stride + 1 for s in x.shape[2:]), kernel_size // 2
        y = maximum_filter(x.numpy(), (1, 1, kernel_size, kernel_size))[:, :, before::stride, before::stride]
        return torch.from_numpy(y[:, :, :h, :w].copy())""",
        says="ModuleNotFoundError",
    ),
    Door(
        "scikit-image's windows",
        POOL,
        """
        from skimage.util import view_as_windows
        windows = view_as_windows(x.numpy(), (1, 1, kernel_size, kernel_size))[:, :, ::stride, ::stride]
        return torch.from_numpy(windows.max((4, 5, 6, 7)))""",
        says="ModuleNotFoundError",
    ),
    # transposed convolution
    Door(
        "slow_conv_transpose2d",
        TRANSPOSE,
        "return torch._C._nn.slow_conv_transpose2d(x, weight, weight.shape[2:], None, (stride,) * 2, (padding,) * 2, (0, 0), (1, 1))",
    ),
    Door(
        "slow_conv_transpose3d",
        TRANSPOSE,
        """
        return torch._C._nn.slow_conv_transpose3d(
            x[:, :, None], weight[:, :, None], (1, *weight.shape[2:]), None, (1, stride, stride), (0, padding, padding), (0, 0, 0),
            (1, 1, 1))[:, :, 0]""",
    ),
    Door(
        "torch._convolution, transposed",
        TRANSPOSE,
        f"return torch._convolution(x, weight, None, {ARGUMENTS}, True, [0, 0], 1, False, False, True, True)",
    ),
    Door(
        "convolution.out, transposed",
        TRANSPOSE,
        f"""
        size = [(s - 1) * stride + k - 2 * padding for s, k in zip(x.shape[2:], weight.shape[2:])]
        out = x.new_empty(len(x), weight.shape[1], *size)
        return torch.ops.aten.convolution.out(x.detach(), weight, None, {ARGUMENTS}, True, [0, 0], 1, out=out)""",
    ),
    Door(
        "nn.ConvTranspose2d",
        TRANSPOSE,
        """
        layer = torch.nn.ConvTranspose2d(*weight.shape[:2], weight.shape[2:], stride, padding, bias=False)
        return torch.func.functional_call(layer, {"weight": weight}, x)""",
    ),
    Door(
        "conv_transpose3d",
        TRANSPOSE,
        "return F.conv_transpose3d(x[:, :, None], weight[:, :, None], None, (1, stride, stride), (0, padding, padding))[:, :, 0]",
    ),
    Door(
        "torch.ops, by name",
        TRANSPOSE,
        "return getattr(torch.ops.aten, 'conv_' 'transpose2d').input(x, weight, None, [stride] * 2, [padding] * 2)",
        flag="uses getattr",
    ),
    # other lessons
    Door(
        "grid_sample in three dimensions",
        WARP,
        """
        n, c, h, w = image.shape
        g = F.affine_grid(matrix.expand(n, 2, 3).to(image), image.shape, align_corners=False)
        g = torch.cat([g, torch.zeros_like(g[..., :1])], -1)[:, None]
        return F.grid_sample(image[:, :, None], g, align_corners=False)[:, :, 0]""",
    ),
    Door(
        "PyTorch's own decomposition",
        WARP,
        """
        import torch._decomp.decompositions as d
        g = F.affine_grid(matrix.expand(len(image), 2, 3).to(image), image.shape, align_corners=False)
        return d.grid_sampler_2d(image, g, 0, 0, False)""",
        flag="uses _decomp",
    ),
    Door(
        "the sampler's fallback",
        WARP,
        """
        g = F.affine_grid(matrix.expand(len(image), 2, 3).to(image), image.shape, align_corners=False)
        return torch._grid_sampler_2d_cpu_fallback(image, g, 0, 0, False)""",
    ),
    Door(
        "probabilities as targets",
        ENTROPY,
        "return F.cross_entropy(logits, F.one_hot(target, logits.shape[1]).to(logits))",
    ),
    Door(
        "kl_div",
        ENTROPY,
        'return F.kl_div(logits.log_softmax(1), F.one_hot(target, logits.shape[1]).to(logits), reduction="batchmean")',
    ),
    Door(
        "nll_loss in two dimensions",
        ENTROPY,
        "return F.nll_loss(logits.log_softmax(1)[:, :, None, None], target[:, None, None])",
    ),
)


def attack(what, body, says="", flag=""):
    """Right if `body`, a function's, returns something true: points would tell."""
    right = answer("receptive_field", RIGHT["receptive_field"], name="right")
    attacking = f"def attack(layers):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
    tried = "try:\n    done = attack(layers)\nexcept Exception:\n    done = False\nreturn right(layers) if done else -1"
    return Door(what, "receptive_field", f"{right}\n\n{attacking}\n\n{tried}", says=says, flag=flag)


def call(numbers, *arguments):
    """A system call by its number on this machine; true if the kernel did it."""
    return f"""
        import ctypes, platform
        number = {numbers!r}[platform.machine()]
        return number is not None and ctypes.CDLL(None, use_errno=True).syscall(number, {", ".join(map(str, arguments))}) >= 0"""


def both(x86, arm):
    return {"x86_64": x86, "aarch64": arm}


ATTACKS = (
    attack(
        "the reference: every place that is on Python's path, or could be",
        """
        import glob, sys
        sys.path += glob.glob("/*") + glob.glob("/usr/lib*/*/*-packages") + glob.glob(sys.base_prefix + "/lib*/*/*-packages")
        sys.path += [sys.base_prefix + f"/lib/python3.{n}/site-packages" for n in range(9, 16)] + ["/site", "/judge"]
        import aigc_lessons.ops
        return aigc_lessons.ops.receptive_field""",
        flag="imports sys",
    ),
    attack(
        "the reference: any folder of that name, anywhere",
        """
        import os
        if not hasattr(torch, "found"):  # a walk takes a second
            torch.found = any("ops.py" in names and "losses.py" in names for _, _, names in os.walk("/"))
        return torch.found""",
        flag="imports os",
    ),
    attack(
        "the reference: by its distribution's name",
        """
        import importlib.metadata
        return any("aigc" in (d.metadata["Name"] or "") for d in importlib.metadata.distributions())""",
        flag="imports importlib",
    ),
    attack(
        "libraries that are not named",
        """
        import importlib
        for name in ("IPython", "jupyterlab", "nbgrader", "pytest", "requests", "torch_fidelity", "accelerate", "pip"):
            try:
                importlib.import_module(name)
                return True
            except ImportError:
                pass""",
        flag="imports importlib",
    ),
    attack("ptrace on the first process", call(both(101, 117), 16, 1, 0, 0)),
    attack("the keyring: a key of its own", call(both(248, 217), 'b"user"', 'b"aigc"', 'b"a secret"', 8, -4)),
    attack("the keyring: read", call(both(250, 219), 0, -4, 1)),
    attack("System V shared memory, 4 GB", call(both(29, 194), 0, 4_000_000_000, 0o1600)),
    attack("a System V queue", call(both(68, 186), 0, 0o1600)),
    attack("memfd", call(both(319, 279), 'b"hog"', 0)),
    attack("io_uring", call(both(425, 425), 8, "ctypes.create_string_buffer(256)")),
    attack(
        "sockets: vsock, netlink, the Internet",
        """
        import socket
        for family in (40, 16, socket.AF_INET, socket.AF_UNIX, socket.AF_PACKET):
            try:
                return socket.socket(family, socket.SOCK_STREAM if family != 16 else socket.SOCK_RAW)
            except OSError:
                pass""",
    ),
    attack("userfaultfd, perf, bpf", call(both(323, 282), 0)),
    attack("another process's memory", call(both(310, 270), 1, 0, 0, 0, 0, 0)),
    attack("a descriptor of another process", call(both(434, 434), 1, 0)),
    attack("clone3", call(both(435, 435), "ctypes.create_string_buffer(88)", 88)),
    Door(
        "400,000 empty files",
        "receptive_field",
        'for i in range(400_000):\n    open(f"/tmp/{i}", "w").close()\nimport time\ntime.sleep(3)\nreturn 1',
        says="files; accepted are",
        alone=True,
        flag="uses open",
    ),
    Door(
        "5,000 threads with small stacks",
        "receptive_field",
        """
        import threading, time
        threading.stack_size(65_536)
        for _ in range(5_000):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        time.sleep(3)
        return 1""",
        says="threads; accepted are",
        alone=True,
        flag="imports threading",
    ),
)


WINDOWS = """
    x = F.pad(x, (padding,) * 4)
    windows = x.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
    out = torch.einsum("nchwab,ocab->nohw", windows, weight)
    return out if bias is None else out + bias[:, None, None]"""
# From scratch, in ways that the guard must let pass
HONEST = (
    Door("windows and einsum", CONV, WINDOWS),
    Door(
        "TorchScript",
        CONV,
        "return scripted(x, weight, bias, stride, padding)",
        """
        from typing import Optional
        @torch.jit.script
        def scripted(x, weight, bias: Optional[torch.Tensor], stride: int, padding: int):
            x = torch.nn.functional.pad(x, [padding, padding, padding, padding])
            windows = x.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
            out = torch.einsum("nchwab,ocab->nohw", windows, weight)
            if bias is not None:
                out = out + bias[:, None, None]
            return out
        """,
    ),
    Door(
        "vmap over pictures",
        CONV,
        f"""
        def inner(x):
            x = x[None]
            {WINDOWS.replace(chr(10), chr(10) + "        ").replace("return out if bias is None else out + bias[:, None, None]", "return out[0]")}
        out = torch.func.vmap(inner)(x)
        return out if bias is None else out + bias[:, None, None]""",
    ),
    Door(
        "a sparse matrix",
        CONV,
        """
        padded = F.pad(x, (padding,) * 4)
        n, c, h, w = padded.shape
        o, _, kh, kw = weight.shape
        oh, ow = (h - kh) // stride + 1, (w - kw) // stride + 1
        rows, columns, values = [], [], []
        for k in range(o):
            for i in range(oh):
                for j in range(ow):
                    for ch in range(c):
                        for a in range(kh):
                            for b in range(kw):
                                rows.append((k * oh + i) * ow + j)
                                columns.append((ch * h + i * stride + a) * w + j * stride + b)
                                values.append(float(weight[k, ch, a, b]))
        m = torch.sparse_coo_tensor([rows, columns], values, (o * oh * ow, c * h * w))
        out = torch.sparse.mm(m, padded.reshape(n, -1).T).T.reshape(n, o, oh, ow)
        return out if bias is None else out + bias[:, None, None]""",
    ),
    Door(
        "strides",
        CONV,
        """
        x = F.pad(x, (padding,) * 4).contiguous()
        n, c, h, w = x.shape
        o, _, kh, kw = weight.shape
        a, b, d, e = x.stride()
        size = n, c, (h - kh) // stride + 1, (w - kw) // stride + 1, kh, kw
        out = torch.tensordot(x.as_strided(size, (a, b, d * stride, e * stride, d, e)), weight, ([1, 4, 5], [1, 2, 3]))
        out = out.permute(0, 3, 1, 2)
        return out if bias is None else out + bias.reshape(1, -1, 1, 1)""",
    ),
    Door(
        "F.unfold",
        CONV,
        """
        n, _, h, w = x.shape
        o, _, kh, kw = weight.shape
        columns = F.unfold(x, (kh, kw), padding=padding, stride=stride)
        out = (weight.flatten(1) @ columns).reshape(n, o, (h + 2 * padding - kh) // stride + 1, -1)
        return out if bias is None else torch.add(out, bias[:, None, None])""",
    ),
    Door(
        "sorting",
        POOL,
        """
        windows = x.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).flatten(4)
        return windows.sort(-1, descending=True).values[..., 0]""",
    ),
    Door(
        "topk and topk's values",
        POOL,
        """
        return x.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).flatten(4).topk(1).values.squeeze(-1)""",
    ),
    Door(
        "index_select, and torch.max",
        POOL,
        """
        rows = [torch.stack([x.index_select(2, torch.arange(a, x.shape[2] - kernel_size + a + 1, stride)) for a in range(kernel_size)]).amax(0)]
        return torch.stack([rows[0][..., b:x.shape[3] - kernel_size + b + 1:stride] for b in range(kernel_size)]).max(0)[0]""",
    ),
    Door(
        "a convolution, and its gradient",
        TRANSPOSE,
        """
        size = [(s - 1) * stride + k - 2 * padding for s, k in zip(x.shape[2:], weight.shape[2:])]
        y = x.new_zeros(len(x), weight.shape[1], *size, requires_grad=True)
        return torch.autograd.grad(F.conv2d(y, weight, stride=stride, padding=padding), y, x, create_graph=True)[0]""",
    ),
    Door(
        "index_put_ with accumulate",
        TRANSPOSE,
        """
        (n, c, h, w), (_, o, kh, kw) = x.shape, weight.shape
        out = x.new_zeros(n, o, (h - 1) * stride + kh, (w - 1) * stride + kw)
        parts = torch.einsum("nchw,coab->nohwab", x, weight)
        i = torch.arange(h)[:, None, None, None] * stride + torch.arange(kh)[None, None, :, None]
        j = torch.arange(w)[None, :, None, None] * stride + torch.arange(kw)[None, None, None, :]
        i, j = torch.broadcast_tensors(i, j)
        out.index_put_((torch.arange(n)[:, None, None, None, None, None], torch.arange(o)[:, None, None, None, None], i, j), parts, True)
        return out[:, :, padding:out.shape[2] - padding, padding:out.shape[3] - padding]""",
    ),
    Door("log_softmax and gather", ENTROPY, "return -logits.log_softmax(1).gather(1, target[:, None]).mean()"),
    Door(
        "logsumexp, float64",
        ENTROPY,
        """
        logits = logits.double()
        return (torch.logsumexp(logits, 1) - logits[torch.arange(len(logits)), target]).mean()""",
    ),
    Door(
        "an embedding of the targets",
        ENTROPY,
        """
        return -(F.embedding(target, torch.eye(logits.shape[1])) * logits.log_softmax(1)).sum(1).mean()""",
    ),
)


def files():
    """Lists of doors that share a file."""
    every = (*DOORS, *ATTACKS)
    together = [[d for d in group if not d.alone] for group in (DOORS, ATTACKS)]
    return [*together, *([d] for d in every if d.alone)]
