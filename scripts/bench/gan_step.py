"""The work of gan_step.rhai in PyTorch: the same networks, losses and order of a step.

python gan_step.py --channels 64 --batch 64 --steps 6 [--channels-last] [--threads 2]
Prints milliseconds for a step, the median and the least.
"""
import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm

CLASSES, LATENT = 10, 128


class ConditionalNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False, momentum=0.1, eps=1e-5)
        self.gamma = nn.Linear(CLASSES, channels, bias=False)
        self.beta = nn.Linear(CLASSES, channels, bias=False)

    def forward(self, x, y):
        return self.norm(x) * (1 + self.gamma(y))[:, :, None, None] + self.beta(y)[:, :, None, None]


class Up(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norms = nn.ModuleList([ConditionalNorm(channels), ConditionalNorm(channels)])
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)])
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x, y):
        inner = F.interpolate(F.relu(self.norms[0](x, y)), scale_factor=2)
        inner = self.convs[1](F.relu(self.norms[1](self.convs[0](inner), y)))
        # The shortcut is convolved before it is enlarged, as ours is.
        return inner + F.interpolate(self.shortcut(x), scale_factor=2)


class Generator(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(LATENT, 16 * channels)
        self.blocks = nn.ModuleList([Up(channels) for _ in range(3)])
        self.norm = ConditionalNorm(channels)
        self.conv = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, z, y):
        x = self.linear(z).view(-1, self.channels, 4, 4)
        for block in self.blocks:
            x = block(x, y)
        return torch.sigmoid(self.conv(F.relu(self.norm(x, y))))


class Block(nn.Module):
    def __init__(self, inputs, channels, down):
        super().__init__()
        self.down = down
        self.conv1 = spectral_norm(nn.Conv2d(inputs, channels, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(channels, channels, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(inputs, channels, 1))

    def forward(self, x):
        inner = self.conv2(F.relu(self.conv1(F.relu(x))))
        if self.down:
            return F.avg_pool2d(inner, 2) + self.shortcut(F.avg_pool2d(x, 2))
        return inner + self.shortcut(x)


class Discriminator(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.blocks = nn.Sequential(Block(3, channels, True), Block(channels, channels, True), Block(channels, channels, False), Block(channels, channels, False))
        self.linear = spectral_norm(nn.Linear(channels, 1))
        self.projection = spectral_norm(nn.Linear(CLASSES, channels, bias=False))

    def forward(self, x, y):
        features = F.relu(self.blocks(x)).sum((2, 3))
        return self.linear(features).squeeze(1) + (self.projection(y) * features).sum(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    place = dict(device=args.device, memory_format=layout)
    generator, discriminator = Generator(args.channels).to(**place), Discriminator(args.channels).to(**place)
    optimise = lambda network: torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.999))
    g_adam, d_adam = optimise(generator), optimise(discriminator)
    images = torch.rand(args.batch, 3, 32, 32).to(**place)

    def one_hot():
        return F.one_hot(torch.randint(0, CLASSES, (args.batch,)), CLASSES).float().to(args.device)

    def step():
        z, labels, fake_labels = torch.randn(args.batch, LATENT).to(args.device), one_hot(), one_hot()
        fake = generator(z, fake_labels)
        logits = discriminator(torch.cat([images, fake.detach()]), torch.cat([labels, fake_labels]))
        real_logits, fake_logits = logits.split(args.batch)
        loss = F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
        d_adam.zero_grad(set_to_none=True)
        loss.backward()
        d_adam.step()
        discriminator.requires_grad_(False)
        g_loss = -discriminator(fake, fake_labels).mean()
        g_adam.zero_grad(set_to_none=True)
        g_loss.backward()
        g_adam.step()
        discriminator.requires_grad_(True)
        return loss.item(), g_loss.item()

    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times = sorted(times[1:])  # The first step finds memory and chooses algorithms.
    print(f"{times[len(times) // 2] * 1000:.1f} {times[0] * 1000:.1f}")


main()
