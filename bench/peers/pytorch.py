"""PyTorch on the CPU; the argument is the number of threads. The conversation is described in ../serve.mjs."""

import ctypes
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

from pytorch_transformer import Training

torch.set_num_threads(int(sys.argv[1]))
torch.set_grad_enabled(False)
aten = torch.ops.aten


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


class Norm:
    """Each pass of one norm as its users call it, on the i-th copy of the inputs."""

    def __init__(self, task, values, copies):
        self.kind, self.layout, self.epsilon = task["norm"], task.get("layout"), task["epsilon"]
        self.groups, self.residual = task["groups"], task["residual"]
        many = lambda name: [shaped(values[name], task["shape"], self.layout) for _ in range(copies)]
        self.x, self.dy = many("x"), many("dy")
        self.addend = many("residual") if self.residual else None
        self.d_sum = many("dSum") if self.residual else None
        self.gamma, self.beta = values["gamma"], values.get("beta")
        self.mean, self.variance = values.get("mean"), values.get("variance")
        self.copies, self.turn = copies, 0
        # RMS and instance norm have no backward operator of their own: autograd runs it, over a retained graph
        self.by_autograd = self.kind in ("rms", "instance")
        if self.by_autograd:
            self.parameters = [p.requires_grad_() for p in (self.gamma, self.beta) if p is not None]
        self.ready = [self.recorded(i) for i in range(copies)]

    def forward(self, i):
        """x (or the sum), y and, where the norm has a backward of its own, mean and rstd."""
        x = self.x[i] + self.addend[i] if self.residual else self.x[i]
        return (x, self.formula(x)) if self.by_autograd else (x, *self.native(x))

    def recorded(self, i):
        """The same with what the backward pass needs."""
        if not self.by_autograd:
            return self.forward(i)
        with torch.enable_grad():
            x = self.x[i] + self.addend[i] if self.residual else self.x[i].detach()
            x.requires_grad_()
            return x, self.formula(x)

    def formula(self, x):
        if self.kind == "rms":
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.gamma
        return F.instance_norm(x, weight=self.gamma, bias=self.beta, eps=self.epsilon)

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

    def backward(self, i, x, y, mean=None, rstd=None):
        dy = self.dy[i]
        if self.by_autograd:
            gradients = torch.autograd.grad(y, [x, *self.parameters], dy, retain_graph=True)
        else:
            gradients = self.native_backward(dy, x, mean, rstd)
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
        """Results of the forward pass, and gradients."""
        if name == "forward":
            return self.forward(i), ()
        saved = self.ready[i] if name == "backward" else self.recorded(i)
        return saved, self.backward(i, *saved)

    def call(self, name):
        self.turn = (self.turn + 1) % self.copies
        self.run(name, self.turn)

    def results(self, name):
        forward, gradients = self.run(name, 0)
        named = dict(zip(("dx", "dGamma", "dBeta"), gradients))
        if name != "backward":
            named["y"] = forward[1]
            if self.residual:
                named["sum"] = forward[0]
        return named


prepared = None


def handle(request):
    global prepared
    do = request["do"]
    if do == "prepare":
        prepared = None
        task = request["task"]
        inputs = {name: floats(path) for name, path in request["inputs"].items()}
        if task["norm"] == "transformer":
            prepared = Training(task["shape"], task["epsilon"], inputs)
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


def answer(message):
    print(json.dumps(message), flush=True)


answer({"about": f"PyTorch {torch.__version__}"})
for line in sys.stdin:
    try:
        answer(handle(json.loads(line)))
    except Exception as error:  # one case that fails must not end the others
        answer({"error": f"{type(error).__name__}: {error}"})
