"""Times two blocks of both transformer families in PyTorch eager and in flexdit, in turns.

The blocks are those of kernels/src/model: dual-stream (joint attention of text and picture, modulation per stream, norms
of queries and keys per head) and video (self-attention, cross-attention, norms over all heads). One thread, f32, CPU time of
that thread, the least of several runs.
"""

import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

ROUNDS = 4
LAYERS = 2
TEXT = 64


def rope(x, turns):
    """Turns neighbouring elements as complex numbers: x is [heads, tokens, dim]."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2)


class Rms(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-6)


def feed_forward(d):
    return nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate="tanh"), nn.Linear(4 * d, d))


def modulated(x, shift, scale):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Stream(nn.Module):
    def __init__(self, heads, dim):
        super().__init__()
        d = heads * dim
        self.heads = heads
        self.modulation = nn.Linear(d, 6 * d)
        self.q, self.k, self.v, self.out = (nn.Linear(d, d) for _ in range(4))
        self.norm_q, self.norm_k = Rms(dim), Rms(dim)
        self.mlp = feed_forward(d)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(0, 1)

    def project(self, x, parts):
        y = modulated(x, parts[0], parts[1])
        q, k, v = (self.split(layer(y)) for layer in (self.q, self.k, self.v))
        return self.norm_q(q), self.norm_k(k), v


class DualBlock(nn.Module):
    def __init__(self, heads, dim):
        super().__init__()
        self.text, self.image = Stream(heads, dim), Stream(heads, dim)

    def forward(self, text, image, time, turns):
        streams = [(self.text, text), (self.image, image)]
        parts = [s.modulation(F.silu(time)).chunk(6) for s, _ in streams]
        projected = [s.project(x, p) for (s, x), p in zip(streams, parts)]
        q, k, v = (torch.cat(both, dim=1) for both in zip(*projected))
        q, k = rope(q, turns), rope(k, turns)
        y = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        y = y.transpose(0, 1).flatten(-2).split([len(text), len(image)])
        done = []
        for (stream, x), p, own in zip(streams, parts, y):
            x = x + p[2] * stream.out(own)
            done.append(x + p[5] * stream.mlp(modulated(x, p[3], p[4])))
        return done


class Attention(nn.Module):
    def __init__(self, heads, d):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(d, d) for _ in range(4))
        self.norm_q, self.norm_k = Rms(d), Rms(d)

    def forward(self, x, y, turns=None):
        def split(z):
            return z.unflatten(-1, (self.heads, -1)).transpose(0, 1)

        q, k, v = split(self.norm_q(self.q(x))), split(self.norm_k(self.k(y))), split(self.v(y))
        if turns is not None:
            q, k = rope(q, turns), rope(k, turns)
        z = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        return self.out(z.transpose(0, 1).flatten(-2))


class VideoBlock(nn.Module):
    def __init__(self, heads, dim):
        super().__init__()
        d = heads * dim
        self.table = nn.Parameter(torch.randn(6, d) / d**0.5)
        self.own, self.cross = Attention(heads, d), Attention(heads, d)
        self.norm = nn.LayerNorm(d, eps=1e-6)
        self.mlp = feed_forward(d)

    def forward(self, text, x, six, turns):
        p = self.table + six
        y = modulated(x, p[0], p[1])
        x = x + p[2] * self.own(y, y, turns)
        x = x + self.cross(self.norm(x), text)
        return text, x + p[5] * self.mlp(modulated(x, p[3], p[4]))


def prepare(family, heads, dim, tokens):
    """A function that runs the blocks once."""
    d = heads * dim
    dual = family == "dual_stream"
    blocks = [(DualBlock if dual else VideoBlock)(heads, dim) for _ in range(LAYERS)]
    text, image = torch.randn(TEXT, d), torch.randn(tokens, d)
    time_or_six = torch.randn(d) if dual else torch.randn(6, d)
    length = tokens + TEXT if dual else tokens
    turns = torch.polar(torch.ones(length, dim // 2), torch.randn(length, dim // 2))

    def run():
        with torch.inference_mode():
            x, y = text, image
            for block in blocks:
                x, y = block(x, y, time_or_six, turns)

    return run


def best(run, count):
    run()
    times = []
    for _ in range(count):
        begin = time.thread_time()
        run()
        times.append(time.thread_time() - begin)
    return min(times)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print(f"PyTorch {torch.__version__}, one thread, f32, {LAYERS} blocks, {TEXT} text tokens")
    print("family, tokens, hidden: CPU seconds of PyTorch, of flexdit (measured), PyTorch/flexdit")
    for family in ("dual_stream", "video"):
        for heads, dim in ((18, 64), (24, 64)):
            for tokens in (1024, 4096):
                run = prepare(family, heads, dim, tokens)
                words = [family, heads, dim, tokens, TEXT, LAYERS]
                command = [sys.argv[1], "seconds", *map(str, words)]
                theirs = ours = float("inf")
                for _ in range(ROUNDS):
                    theirs = min(theirs, best(run, 2))
                    ours = min(ours, float(subprocess.check_output(command)))
                line = f"{family}, {tokens}, {heads * dim}: {theirs:.3f} {ours:.3f} {theirs / ours:.2f}"
                print(line, flush=True)


main()
