"""PyTorch on the CPU; arguments: eager or compiled, and the number of threads. The conversation is described in ../serve.mjs."""

import ctypes
import json
import os
import shutil
import sys
import time

import torch
import torch.nn.functional as F

from pytorch_transformer import Training

COMPILED = sys.argv[1] == "compiled"
torch.set_num_threads(int(sys.argv[2]))
torch.set_grad_enabled(False)
aten = torch.ops.aten


def answer(message):
    print(json.dumps(message), flush=True)


def why_not():
    """Why torch.compile cannot run here, if so."""
    if not hasattr(torch, "compile"):
        return f"torch.compile needs PyTorch 2 or newer, got {torch.__version__}"
    if not any(map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))):
        return "torch.compile needs a C++ compiler (Debian: apt-get install g++)"
    return None


def compiled(function):
    return torch.compile(function, dynamic=False) if COMPILED else function


if COMPILED:
    missing = why_not()
    if missing:
        answer({"missing": missing})
        sys.exit()
    import torch._functorch.config

    # a graph goes back more than once here: its buffers must not be reused
    torch._functorch.config.donated_buffer = False


def floats(path):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.float32)


def write(path, tensor, layout):
    """To the layout of x."""
    tensor = tensor.detach()
    if tensor.dim() == 4 and layout == "channelsLast":
        tensor = tensor.permute(0, 2, 3, 1)
    tensor = tensor.contiguous()
    with open(path, "wb") as file:
        file.write(ctypes.string_at(tensor.data_ptr(), tensor.numel() * 4))


def shaped(values, shape, layout):
    """A copy: images as [N, C, H, W], channels last as the memory format of that name."""
    tensor = values.clone().view(shape)
    return tensor.permute(0, 3, 1, 2) if layout == "channelsLast" else tensor


def channels_second(function):
    """Of an array whose features are last."""

    def moved(x, *parameters):
        if x.dim() == 2:
            return function(x.unsqueeze(-1), *parameters).squeeze(-1)
        return function(x.permute(0, 3, 1, 2), *parameters).permute(0, 2, 3, 1)

    return moved


def root_mean_square(x, gamma, epsilon):
    if hasattr(F, "rms_norm"):
        return F.rms_norm(x, x.shape[-1:], gamma, epsilon)
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * gamma


def formula_of(kind, values, epsilon, groups):
    """y of x and the parameters, as PyTorch's users write it."""
    mean, variance = values.get("mean"), values.get("variance")
    return {
        "layer": lambda x, gamma, beta: F.layer_norm(x, x.shape[-1:], gamma, beta, epsilon),
        "rms": lambda x, gamma: root_mean_square(x, gamma, epsilon),
        "batch": lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, True, 0.0, epsilon),
        "batch-eval": lambda x, gamma, beta: F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, epsilon),
        "group": lambda x, gamma, beta: F.group_norm(x, groups, gamma, beta, epsilon),
        "instance": lambda x, gamma, beta: F.instance_norm(x, weight=gamma, bias=beta, eps=epsilon),
        "dynamicTanh": lambda x, alpha, gamma, beta: torch.tanh(x * alpha) * gamma + beta,
        "dynamicErf": lambda x, alpha, shift, gamma, beta: torch.erf(x * alpha + shift) * gamma + beta,
        "layerScale": lambda x, gamma: x * gamma,
        "unitNorm": lambda x: F.normalize(x, dim=-1),
        "localResponseNorm": channels_second(lambda x: F.local_response_norm(x, 5)),
        "layerNorm+silu": lambda x, gamma, beta: F.silu(F.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)),
    }[kind]


class Norm:
    """Each pass of one norm as its users call it, on the i-th copy of the inputs."""

    def __init__(self, task, values, copies):
        self.kind, self.layout, self.epsilon = task["norm"], task.get("layout"), task["epsilon"]
        self.groups, self.residual = task["groups"], task["residual"]
        many = lambda name: [shaped(values[name], task["shape"], self.layout) for _ in range(copies)]
        self.x, self.dy = many("x"), many("dy")
        self.addend = many("residual") if self.residual else None
        self.d_sum = many("dSum") if self.residual else None
        self.gamma, self.beta = values.get("gamma"), values.get("beta")
        self.mean, self.variance = values.get("mean"), values.get("variance")
        self.copies, self.turn = copies, 0
        # those that have a backward operator of their own; autograd runs that of the others, over a retained graph
        self.by_autograd = COMPILED or self.kind not in ("layer", "group", "batch", "batch-eval")
        self.names = [name for name in ("alpha", "shift", "gamma", "beta") if name in values]
        if self.by_autograd:
            self.parameters = [values[name].requires_grad_() for name in self.names]
            self.formula = compiled(self.added(formula_of(self.kind, values, self.epsilon, self.groups)))
        # graphs are made for the passes that need them, and one at a time where they are gone back at once
        self.ready = [self.recorded(i) for i in range(copies)] if "backward" in task["passes"] else None

    def added(self, formula):
        """The sum (or x) and y."""
        if self.residual:

            def of_sum(x, addend, *parameters):
                total = x + addend
                return total, formula(total, *parameters)

            return of_sum
        return lambda x, *parameters: (x, formula(x, *parameters))

    def forward(self, i):
        """The sum or x, y and, where the norm has a backward of its own, mean and rstd."""
        if self.by_autograd:
            return self.function(self.x[i], i)
        x = self.x[i] + self.addend[i] if self.residual else self.x[i]
        return (x, *self.native(x))

    def function(self, x, i):
        addend = [self.addend[i]] if self.residual else []
        return self.formula(x, *addend, *self.parameters)

    def recorded(self, i):
        """The same with what the backward pass needs; by autograd the input takes the place of what it gives."""
        if not self.by_autograd:
            return self.forward(i)
        with torch.enable_grad():
            x = self.x[i].detach().requires_grad_()
            return (x, *self.function(x, i))

    def native(self, x):
        if self.kind == "layer":
            return torch.native_layer_norm(x, x.shape[-1:], self.gamma, self.beta, self.epsilon)
        if self.kind == "group":
            n, c, h, w = x.shape
            return torch.native_group_norm(x, self.gamma, self.beta, n, c, h * w, self.groups, self.epsilon)
        train = self.kind == "batch"
        return torch.native_batch_norm(
            x, self.gamma, self.beta, self.mean, self.variance, train, 0.0, self.epsilon
        )

    def autograd(self, i, x, total, y):
        results, gradients = ([total, y], [self.d_sum[i], self.dy[i]]) if self.residual else ([y], [self.dy[i]])
        return torch.autograd.grad(results, [x, *self.parameters], gradients, retain_graph=True)

    def backward(self, i, saved):
        if self.by_autograd:
            return self.autograd(i, *saved)
        x, _, mean, rstd = saved
        gradients = self.native_backward(self.dy[i], x, mean, rstd)
        return (gradients[0] + self.d_sum[i], *gradients[1:]) if self.residual else gradients

    def native_backward(self, dy, x, mean, rstd):
        every = [True, True, True]
        if self.kind == "layer":
            return aten.native_layer_norm_backward(
                dy, x, x.shape[-1:], mean, rstd, self.gamma, self.beta, every
            )
        if self.kind == "group":
            n, c, h, w = x.shape
            # the kernel supports channels first only; autograd converts in the same way
            return aten.native_group_norm_backward(
                dy.contiguous(), x.contiguous(), mean, rstd, self.gamma, n, c, h * w, self.groups, every
            )
        train = self.kind == "batch"
        return aten.native_batch_norm_backward(
            dy, x, self.gamma, self.mean, self.variance, mean, rstd, train, self.epsilon, every
        )

    def run(self, name, i):
        """The sum or x, y, and gradients."""
        if name == "forward":
            return self.forward(i)[:2], ()
        saved = self.ready[i] if name == "backward" else self.recorded(i)
        first = 1 if self.by_autograd else 0
        return saved[first : first + 2], self.backward(i, saved)

    def call(self, name):
        self.turn = (self.turn + 1) % self.copies
        self.run(name, self.turn)

    def results(self, name):
        (total, y), gradients = self.run(name, 0)
        names = self.names if self.by_autograd else ["gamma", "beta"]
        named = dict(zip(("dx", *("d" + each.capitalize() for each in names)), gradients))
        if name != "backward":
            named["y"] = y
            if self.residual:
                named["sum"] = total
        return named


prepared = None


def handle(request):
    global prepared
    do = request["do"]
    if do == "prepare":
        prepared = None
        if COMPILED:
            torch._dynamo.reset()
        task = request["task"]
        inputs = {name: floats(path) for name, path in request["inputs"].items()}
        if task["norm"] == "transformer":
            prepared = Training(task["shape"], task["epsilon"], inputs, compiled)
        else:
            prepared = Norm(task, inputs, request["copies"])
        return {}
    if do == "close":
        prepared = None
        return {}
    name = request["pass"]
    if do == "validate":
        began = time.perf_counter()
        results = prepared.results(name)
        ms = 1000 * (time.perf_counter() - began)
        outputs = {key: os.path.join(request["folder"], key) for key in results}
        for key, tensor in results.items():
            write(outputs[key], tensor, request.get("layout"))
        return {"ms": ms, "outputs": outputs}
    for _ in range(request["warm"]):
        prepared.call(name)
    began = time.perf_counter()
    for _ in range(request["times"]):
        prepared.call(name)
    return {"ms": 1000 * (time.perf_counter() - began) / request["times"]}


capability = getattr(torch.backends, "cpu", None)
answer(
    {
        "about": ", ".join(
            [
                f"PyTorch {torch.__version__.split('+')[0]}{' compiled' if COMPILED else ''}",
                *([capability.get_cpu_capability()] if hasattr(capability, "get_cpu_capability") else []),
            ]
        )
    }
)
for line in sys.stdin:
    try:
        answer(handle(json.loads(line)))
    except Exception as error:  # one case that fails must not end the others
        answer({"error": f"{type(error).__name__}: {error}"})
