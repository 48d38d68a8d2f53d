"""The transformer of ../transformer.mjs in PyTorch: forward, backward and Adam."""

import math

import torch
import torch.nn.functional as F

BLOCKS, HEADS = 2, 4


class Training:
    def __init__(self, shape, epsilon, inputs, compiled):
        """`compiled`: what is done to the function of the loss before it runs."""
        batch, time, width = shape
        self.shape, self.epsilon = shape, epsilon
        self.x, self.target = inputs["x"].clone().view(batch * time, width), inputs["target"].clone().view(batch * time, width)
        self.kernels, self.used = inputs["kernels"], 0
        self.blocks = [self.block(width) for _ in range(BLOCKS)]
        parameters = [p for block in self.blocks for pair in block.values() for p in pair]
        self.step = compiled(self.loss)
        self.optimizer = torch.optim.Adam(parameters, lr=0.001, betas=(0.9, 0.999), eps=1e-7)

    def dense(self, rows, columns):
        values = self.kernels[self.used : self.used + rows * columns].view(rows, columns)
        self.used += rows * columns
        return [(values / math.sqrt(rows)).requires_grad_(), torch.zeros(columns, requires_grad=True)]

    def block(self, width):
        norm = lambda: [torch.ones(width, requires_grad=True), torch.zeros(width, requires_grad=True)]
        square = {name: self.dense(width, width) for name in ("queries", "keys", "values", "out")}
        return {
            **square,
            "up": self.dense(width, 4 * width),
            "down": self.dense(4 * width, width),
            "before": norm(),
            "between": norm(),
        }

    def loss(self):
        batch, time, width = self.shape
        depth = width // HEADS
        dense = lambda x, pair: torch.addmm(pair[1], x, pair[0])
        norm = lambda x, pair: F.layer_norm(x, (width,), *pair, self.epsilon)
        split = lambda x: x.view(batch, time, HEADS, depth).transpose(1, 2)
        rows = self.x
        for block in self.blocks:
            x = norm(rows, block["before"])
            queries, keys, values = (split(dense(x, block[name])) for name in ("queries", "keys", "values"))
            attention = torch.softmax(queries @ keys.transpose(2, 3) / math.sqrt(depth), -1)
            mixed = (attention @ values).transpose(1, 2).reshape(batch * time, width)
            rows = rows + dense(mixed, block["out"])
            rows = rows + dense(torch.relu(dense(norm(rows, block["between"]), block["up"])), block["down"])
        return F.mse_loss(rows, self.target)

    @torch.enable_grad()
    def call(self, _):
        self.optimizer.zero_grad()
        loss = self.step()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def results(self, name):
        return {"losses": torch.tensor([self.call(name) for _ in range(3)])}
