# SPDX-License-Identifier: Apache-2.0
"""One training step in Python's PyTorch: the peer of train_step.cpp, in its best setting on a CPU.

    python3 bench/pytorch_step.py [--base-width 64] [--size 256] [--batch 4] [--threads 2] [--repeat 5] [--cm-unet]
        [--bf16] [--channels-last] [--out-of-the-box]

Prints one JSON line: the times in ms of forward, backward and optimiser, medians and minima of the repeats.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from contextlib import nullcontext


def set_allocator():
    """Keep freed memory: what glibc would give back, the next step would have to fault in again."""
    libc = ctypes.CDLL("libc.so.6")
    for option, value in ((-4, 0), (-1, -1), (-2, 64 << 20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
        libc.mallopt(option, value)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--base-width", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="autocast the forward pass to bfloat16")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--cm-unet", action="store_true", help="the CM-UNet pre-training step")
    parser.add_argument("--out-of-the-box", action="store_true", help="no allocator settings, PyTorch's own threads")
    return parser.parse_args()


options = parse()
if not options.out_of_the_box:
    set_allocator()

import torch  # noqa: E402 (after the allocator)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "parity"))
from reference_unet import UNet, segmentation_loss  # noqa: E402


def segmentation_step(batch, size, base):
    net = UNet(base)
    images = torch.randn(batch, 1, size, size)
    masks = (torch.rand(batch, size, size) < 0.1).long()

    def loss():
        return segmentation_loss(net(images).float(), masks)

    return net, [], loss


class Head(nn.Module):
    def __init__(self, inputs, hidden, out):
        super().__init__()
        self.fc1, self.norm, self.fc2 = (nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden, eps=1e-6),
                                         nn.Linear(hidden, out, bias=False))

    def forward(self, x):
        return self.fc2(torch.relu(self.norm(self.fc1(x))))


def encode(net, x):
    skips = []
    for block in (net.down_conv1, net.down_conv2, net.down_conv3, net.down_conv4):
        skips.append(block(x))
        x = functional.max_pool2d(skips[-1], 2)
    return net.double_conv(x), skips


def decode(net, latent, skips):
    x = latent
    for block, skip in zip((net.up_conv4, net.up_conv3, net.up_conv2, net.up_conv1), reversed(skips)):
        x = block(x, skip)
    return net.conv_last(x)


def cm_unet_step(batch, size, base):
    """Encoder, two decoders, heads and momentum branch of CM-UNet (arXiv 2507.17779), masks and views given."""
    online, second, momentum = UNet(base), UNet(base), UNet(base)
    decoder = nn.ModuleList([second.up_conv4, second.up_conv3, second.up_conv2, second.up_conv1, second.conv_last])
    net = nn.ModuleDict({"online": online, "projector": Head(size * size, 1536, 256),
                         "predictor": Head(256, 1536, 256), "decoder": decoder})
    target = nn.ModuleList([momentum.down_conv1, momentum.down_conv2, momentum.down_conv3, momentum.down_conv4,
                            momentum.double_conv, Head(size * size, 1536, 256)])
    adapter = nn.Conv2d(16 * base, 256, 1)
    for parameter in [*target.parameters(), *adapter.parameters()]:
        parameter.requires_grad_(False)
    views = torch.randn(2, batch, 1, size, size)
    masked = (torch.rand(batch, 1, size // 16, size // 16) < 0.75).float()
    masked = masked.repeat_interleave(16, 2).repeat_interleave(16, 3)
    source = [*online.down_conv1.parameters(), *online.down_conv2.parameters(), *online.down_conv3.parameters(),
              *online.down_conv4.parameters(), *online.double_conv.parameters(), *net["projector"].parameters()]

    def loss():
        latent, skips = encode(online, views[0] * (1 - masked))
        rebuilt = decode(online, latent, skips)[:, 1:2].float()
        reconstruction = (masked * (rebuilt - views[0]) ** 2).sum() / masked.sum()
        p = net["predictor"](net["projector"](decode(second, latent, skips).float().mean(1).flatten(1)))
        with torch.no_grad():
            k = target[-1](adapter(encode(momentum, views[1])[0]).float().flatten(1))
        scores = functional.normalize(p, dim=1) @ functional.normalize(k, dim=1).t() / 0.07
        return reconstruction + functional.cross_entropy(scores, torch.arange(batch))

    def follow():
        with torch.no_grad():
            for mine, theirs in zip(target.parameters(), source):
                mine.lerp_(theirs, 0.004)

    return net, [follow], loss


def main():
    if not options.out_of_the_box:
        torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    make = cm_unet_step if options.cm_unet else segmentation_step
    net, after, loss_of = make(options.batch, options.size, options.base_width)
    net.train()
    if options.channels_last:
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    times = {"forward": [], "backward": [], "optimizer": [], "step": []}
    for step in range(options.repeat + 1):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16) if options.bf16 else nullcontext():
            loss = loss_of()
        forward = time.perf_counter()
        loss.backward()
        backward = time.perf_counter()
        optimizer.step()
        for call in after:
            call()
        optimizer.zero_grad(set_to_none=True)
        end = time.perf_counter()
        if step == 0:  # warms up
            continue
        for name, seconds in (("forward", forward - start), ("backward", backward - forward),
                              ("optimizer", end - backward), ("step", end - start)):
            times[name].append(1000 * seconds)
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "loss": loss.item(),
                      "median_ms": {k: round(statistics.median(v), 1) for k, v in times.items()},
                      "minimum_ms": {k: round(min(v), 1) for k, v in times.items()}}))


if __name__ == "__main__":
    main()
