"""The work of gpu.rhai in PyTorch on a GPU: the same networks, losses and order of a step.

python gpu.py KIND:CHANNELS:BATCH ... [--steps 40] [--fp32] [--compile]
Prints `KIND:CHANNELS:BATCH milliseconds megabytes` for each. TF32 is on in convolutions and products unless --fp32.
"""
import argparse
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm

CLASSES, Z, EMBEDDING = 10, 128, 128
GPU = "cuda"


def normal(layer, on=True):
    return spectral_norm(layer) if on else layer


class ConditionalNorm(nn.Module):
    def __init__(self, channels, condition, sn):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False, eps=1e-5)
        self.gamma = normal(nn.Linear(condition, channels, bias=False), sn)
        self.beta = normal(nn.Linear(condition, channels, bias=False), sn)

    def forward(self, x, y):
        return self.norm(x) * (1 + self.gamma(y))[:, :, None, None] + self.beta(y)[:, :, None, None]


class Attention(nn.Module):
    def __init__(self, channels, sn=True):
        super().__init__()
        pointwise = lambda a, b: normal(nn.Conv2d(a, b, 1, bias=False), sn)
        self.query, self.key = pointwise(channels, channels // 8), pointwise(channels, channels // 8)
        self.value, self.out = pointwise(channels, channels // 2), pointwise(channels // 2, channels)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        n, _, h, w = x.shape
        query = self.query(x).flatten(2)
        key, value = F.max_pool2d(self.key(x), 2).flatten(2), F.max_pool2d(self.value(x), 2).flatten(2)
        weights = torch.softmax(query.transpose(1, 2) @ key, -1)
        return x + self.gate * self.out((value @ weights.transpose(1, 2)).view(n, -1, h, w))


class Up(nn.Module):
    def __init__(self, inputs, channels, condition, sn):
        super().__init__()
        self.norm1, self.norm2 = ConditionalNorm(inputs, condition, sn), ConditionalNorm(channels, condition, sn)
        self.conv1 = normal(nn.Conv2d(inputs, channels, 3, padding=1), sn)
        self.conv2 = normal(nn.Conv2d(channels, channels, 3, padding=1), sn)
        self.shortcut = normal(nn.Conv2d(inputs, channels, 1), sn)

    def forward(self, x, y):
        inner = self.conv1(F.interpolate(F.relu(self.norm1(x, y)), scale_factor=2))
        inner = self.conv2(F.relu(self.norm2(inner, y)))
        return inner + F.interpolate(self.shortcut(x), scale_factor=2)


class Down(nn.Module):
    def __init__(self, inputs, channels, halve, always):
        super().__init__()
        self.halve = halve
        self.conv1 = normal(nn.Conv2d(inputs, channels, 3, padding=1))
        self.conv2 = normal(nn.Conv2d(channels, channels, 3, padding=1))
        self.shortcut = normal(nn.Conv2d(inputs, channels, 1)) if always or inputs != channels else None

    def forward(self, x):
        inner = self.conv2(F.relu(self.conv1(F.relu(x))))
        small = (lambda t: F.avg_pool2d(t, 2)) if self.halve else (lambda t: t)
        return small(inner) + (self.shortcut(small(x)) if self.shortcut is not None else small(x))


class Generator(nn.Module):
    def __init__(self, channels, big):
        super().__init__()
        times = [16, 8, 4, 2, 1] if big else [1, 1, 1]
        first = (16 if big else 1) * channels
        self.big, self.first, self.z = big, first, 120 if big else Z
        self.part = self.z // (len(times) + 1)
        condition = self.part + EMBEDDING if big else CLASSES
        self.embed = nn.Linear(CLASSES, EMBEDDING, bias=False) if big else None
        self.linear = normal(nn.Linear(self.part if big else Z, 16 * first), big)
        widths = [first] + [t * channels for t in times]
        self.blocks = nn.ModuleList([Up(a, b, condition, big) for a, b in zip(widths, widths[1:])])
        # The block that comes to 64x64 attends.
        self.attention = Attention(widths[4]) if big else None
        self.norm = nn.BatchNorm2d(widths[-1]) if big else ConditionalNorm(widths[-1], CLASSES, False)
        self.conv = normal(nn.Conv2d(widths[-1], 3, 3, padding=1), big)

    def forward(self, z, y):
        if not self.big:
            x = self.linear(z).view(-1, self.first, 4, 4)
            for block in self.blocks:
                x = block(x, y)
            return torch.sigmoid(self.conv(F.relu(self.norm(x, y))))
        parts, y = z.split(self.part, 1), self.embed(y)
        x = self.linear(parts[0]).view(-1, self.first, 4, 4)
        for i, block in enumerate(self.blocks):
            x = block(x, torch.cat([parts[i + 1], y], 1))
            if i == 3:
                x = self.attention(x)
        return (torch.tanh(self.conv(F.relu(self.norm(x)))) + 1) / 2


class Discriminator(nn.Module):
    def __init__(self, channels, kind):
        super().__init__()
        big = kind == "biggan128"
        widths = [3] + [t * channels for t in ([1, 2, 4, 8, 16, 16] if big else [1, 1, 1, 1])]
        halvings = len(widths) - 2 if big else 2
        blocks = [Down(a, b, i < halvings, not big) for i, (a, b) in enumerate(zip(widths, widths[1:]))]
        if big:
            blocks.insert(1, Attention(widths[1]))
        self.blocks = nn.Sequential(*blocks)
        self.linear = normal(nn.Linear(widths[-1], 1))
        self.projection = normal(nn.Linear(CLASSES, widths[-1], bias=False))
        self.rotation = normal(nn.Linear(widths[-1], 4)) if kind == "s3gan" else None
        self.predictor = normal(nn.Linear(widths[-1], CLASSES)) if kind == "s3gan" else None

    def forward(self, x):
        return F.relu(self.blocks(x)).sum((2, 3))

    def judge(self, features, y):
        return self.linear(features).squeeze(1) + (self.projection(y) * features).sum(1)


def turned(images, count):
    return torch.cat([torch.rot90(images[-count:], k, (2, 3)) for k in (1, 2, 3)])


def make(kind, channels, batch, compiled):
    big = kind == "biggan128"
    generator, discriminator = Generator(channels, big).to(GPU), Discriminator(channels, kind).to(GPU)
    networks = [torch.compile(network) if compiled else network for network in (generator, discriminator)]
    run_generator, run_discriminator = networks
    adam = lambda network: torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.999), fused=True)
    g_adam, d_adam = adam(generator), adam(discriminator)
    size = 128 if big else 32
    pixels = torch.randint(0, 256, (2048, 3, size, size), dtype=torch.uint8)
    classes = torch.randint(0, CLASSES, (2048,))
    known = torch.rand(2048) < 0.1
    quarter = batch // 4
    answers = torch.arange(4).repeat_interleave(quarter).to(GPU)

    def step():
        picked = torch.randperm(2048)[:batch]
        real = pixels[picked].to(GPU).float() / 255
        rows = F.one_hot(classes[picked], CLASSES).float()
        if kind == "s3gan":
            rows = rows * known[picked][:, None]
        rows = rows.to(GPU)
        z = torch.randn(batch, generator.z).to(GPU)
        y = F.one_hot(torch.randint(0, CLASSES, (batch,)), CLASSES).float().to(GPU)
        fake = run_generator(z, y)
        shown = [real, fake.detach()] + ([turned(real, quarter)] if kind == "s3gan" else [])
        features = run_discriminator(torch.cat(shown))
        loss = 0.0
        if kind == "s3gan":
            logits = discriminator.predictor(features[:batch])
            loss = -(torch.log_softmax(logits, 1) * rows).sum() / rows.sum().clamp(min=1)
            guess = F.one_hot(logits.detach().argmax(1), CLASSES).float()
            rows = rows + guess * (1 - rows.sum(1, keepdim=True))
            loss = loss + F.cross_entropy(discriminator.rotation(torch.cat([features[batch - quarter:batch], features[2 * batch:]])), answers)
        real_logits, fake_logits = discriminator.judge(features[:2 * batch], torch.cat([rows, y])).split(batch)
        if kind == "wgan_gp":
            loss = fake_logits.mean() - real_logits.mean()
            t = torch.rand(batch, 1, 1, 1).to(GPU)
            between = (real + t * (fake.detach() - real)).requires_grad_()
            total = discriminator.judge(discriminator(between), rows).sum()
            slope = torch.autograd.grad(total, between, create_graph=True)[0].flatten(1)
            loss = loss + 10 * (((slope**2).sum(1) + 1e-4).sqrt() - 1).square().mean()
        else:
            loss = loss + F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
        d_adam.zero_grad(set_to_none=True)
        loss.backward()
        d_adam.step()
        discriminator.requires_grad_(False)
        images = torch.cat([fake, turned(fake, quarter)]) if kind == "s3gan" else fake
        features = run_discriminator(images)
        g_loss = -discriminator.judge(features[:batch], y).mean()
        if kind == "s3gan":
            g_loss = g_loss + 0.2 * F.cross_entropy(discriminator.rotation(features[batch - quarter:]), answers)
        g_adam.zero_grad(set_to_none=True)
        g_loss.backward()
        g_adam.step()
        discriminator.requires_grad_(True)

    return step


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="+")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    global GPU
    GPU = args.device
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not args.fp32
    on_gpu = GPU.startswith("cuda")
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    for work in args.works:
        kind, channels, batch = work.split(":")
        try:
            if on_gpu:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            step = make(kind, int(channels), int(batch), args.compile)
            for _ in range(5):
                step()
            wait()
            start = time.perf_counter()
            for _ in range(args.steps):
                step()
            wait()
            milliseconds = (time.perf_counter() - start) * 1000 / args.steps
            peak = torch.cuda.max_memory_reserved() / 2**20 if on_gpu else 0
            print(work, f"{milliseconds:.3f} {peak:.0f}", flush=True)
        except Exception as error:
            print(work, "failed:", str(error).splitlines()[0], file=sys.stderr, flush=True)


main()
