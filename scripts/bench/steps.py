"""The work of steps.rhai in PyTorch: the same networks, losses and order of a step.

python steps.py gan --channels 64 --batch 64 --steps 5 [--channels-last] [--threads 2]
Prints milliseconds for a step, the median and the least.
"""
import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
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


class Attention(nn.Module):
    def __init__(self, channels, norm=lambda layer: layer):
        super().__init__()
        pointwise = lambda inputs, outputs: norm(nn.Conv2d(inputs, outputs, 1, bias=False))
        self.query, self.key = pointwise(channels, channels // 8), pointwise(channels, channels // 8)
        self.value, self.out = pointwise(channels, channels // 2), pointwise(channels // 2, channels)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        n, _, h, w = x.shape
        query, key = self.query(x).flatten(2), F.max_pool2d(self.key(x), 2).flatten(2)
        weights = torch.softmax(query.transpose(1, 2) @ key, -1)
        gathered = F.max_pool2d(self.value(x), 2).flatten(2) @ weights.transpose(1, 2)
        return x + self.gate * self.out(gathered.view(n, -1, h, w))


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
        self.attention = Attention(channels)
        self.norm = ConditionalNorm(channels)
        self.conv = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, z, y):
        x = self.linear(z).view(-1, self.channels, 4, 4)
        for block in self.blocks:
            x = block(x, y)
            if x.shape[2] == 16:
                x = self.attention(x)
        return torch.sigmoid(self.conv(F.relu(self.norm(x, y))))


class Block(nn.Module):
    def __init__(self, inputs, channels, down, norm):
        super().__init__()
        self.down = down
        self.conv1 = norm(nn.Conv2d(inputs, channels, 3, padding=1))
        self.conv2 = norm(nn.Conv2d(channels, channels, 3, padding=1))
        self.shortcut = norm(nn.Conv2d(inputs, channels, 1))

    def forward(self, x):
        inner = self.conv2(F.relu(self.conv1(F.relu(x))))
        if self.down:
            return F.avg_pool2d(inner, 2) + self.shortcut(F.avg_pool2d(x, 2))
        return inner + self.shortcut(x)


class Discriminator(nn.Module):
    def __init__(self, channels, norm):
        super().__init__()
        self.blocks = nn.Sequential(
            Block(3, channels, True, norm), Attention(channels, norm), Block(channels, channels, True, norm),
            Block(channels, channels, False, norm), Block(channels, channels, False, norm),
        )
        self.linear = norm(nn.Linear(channels, 1))
        self.projection = norm(nn.Linear(CLASSES, channels, bias=False))
        self.rotation = norm(nn.Linear(channels, 4))
        self.predictor = norm(nn.Linear(channels, CLASSES))

    def features(self, x):
        return F.relu(self.blocks(x)).sum((2, 3))

    def judge(self, features, y):
        return self.linear(features).squeeze(1) + (self.projection(y) * features).sum(1)

    def forward(self, x, y):
        return self.judge(self.features(x), y)


class EncoderBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)])
        self.convs = nn.ModuleList([nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)])
        self.shortcut = nn.Conv2d(inputs, outputs, 1, 2, bias=False)

    def forward(self, x):
        normal = F.relu(self.norms[0](x))
        return self.convs[1](F.relu(self.norms[1](self.convs[0](normal)))) + self.shortcut(normal)


class Encoder(nn.Module):
    """`resnet-small`."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 1, 1, bias=False)
        self.blocks = nn.Sequential(EncoderBlock(32, 32), EncoderBlock(32, 64), EncoderBlock(64, 128))
        self.norm = nn.BatchNorm2d(128)

    def forward(self, x):
        return F.relu(self.norm(self.blocks(self.stem(2 * x - 1)))).mean((2, 3))


def turned(x):
    return torch.cat([torch.rot90(x, k, (2, 3)) for k in range(4)])


def gan(args, place):
    norm = spectral_norm if args.step != "wgan_gp" else lambda layer: layer
    generator = Generator(args.channels).to(**place)
    discriminator = Discriminator(args.channels, norm).to(**place)
    optimise = lambda network: torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.999))
    g_adam, d_adam = optimise(generator), optimise(discriminator)
    n, device = args.batch, args.device
    images = torch.rand(n, 3, 32, 32).to(**place)
    rotates, quarter = args.step == "s3gan", n // 4
    answers = torch.arange(4, device=device).repeat_interleave(quarter)

    def one_hot():
        return F.one_hot(torch.randint(0, CLASSES, (n,)), CLASSES).float().to(device)

    def step():
        z, labels, fake_labels = torch.randn(n, LATENT).to(device), one_hot(), one_hot()
        known = (torch.rand(n, device=device) < 0.1).float()
        fake = generator(z, fake_labels)
        shown = [images, fake.detach()]
        if rotates:
            shown.append(turned(images[-quarter:])[quarter:])
        features = discriminator.features(torch.cat(shown))
        real_features, fake_features = features[:n], features[n : 2 * n]
        loss = 0
        if rotates:
            logits = discriminator.predictor(real_features)
            entropies = -(labels * torch.log_softmax(logits, 1)).sum(1)
            loss = (entropies * known).sum() / known.sum().clamp(min=1)
            predicted = F.one_hot(logits.argmax(1), CLASSES).float()
            labels = torch.where(known[:, None] > 0, labels, predicted)
            seen = torch.cat([real_features[-quarter:], features[2 * n :]])
            loss = loss + F.cross_entropy(discriminator.rotation(seen), answers)
        logits = discriminator.judge(features[: 2 * n], torch.cat([labels, fake_labels]))
        real_logits, fake_logits = logits.split(n)
        if args.step == "wgan_gp":
            loss = fake_logits.mean() - real_logits.mean()
            t = torch.rand(n, 1, 1, 1, device=device)
            x = (images + t * (fake.detach() - images)).requires_grad_()
            slopes = torch.autograd.grad(discriminator(x, labels).sum(), x, create_graph=True)[0]
            loss = loss + 10 * ((slopes.square().sum((1, 2, 3)) + 1e-4).sqrt() - 1).square().mean()
        else:
            loss = loss + F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
        d_adam.zero_grad(set_to_none=True)
        loss.backward()
        d_adam.step()
        discriminator.requires_grad_(False)
        shown = [fake, turned(fake[-quarter:])[quarter:]] if rotates else [fake]
        features = discriminator.features(torch.cat(shown))
        g_loss = -discriminator.judge(features[:n], fake_labels).mean()
        if rotates:
            seen = torch.cat([features[n - quarter : n], features[n:]])
            g_loss = g_loss + 0.2 * F.cross_entropy(discriminator.rotation(seen), answers)
        g_adam.zero_grad(set_to_none=True)
        g_loss.backward()
        g_adam.step()
        discriminator.requires_grad_(True)
        return loss.item(), g_loss.item()

    return step


def encoder(args, place):
    """Rotation: 64 images at four turns. S2L: 32 at four turns and 64 labelled ones."""
    network, turns, classes = Encoder().to(**place), nn.Linear(128, 4).to(args.device), nn.Linear(128, CLASSES).to(args.device)
    labelled = 64 if args.step == "s2l" else 0
    images = 32 if labelled else 64
    heads = [turns, classes] if labelled else [turns]
    adam = torch.optim.Adam([p for module in [network, *heads] for p in module.parameters()], 1e-3)
    pixels = torch.randint(0, 256, (512, 3, 32, 32), dtype=torch.uint8)
    answers = torch.arange(4, device=args.device).repeat_interleave(images)

    def draw(count):
        chosen = pixels[torch.randint(0, 512, (count,))]
        shift = torch.randint(0, 5, (count, 2))
        padded = F.pad(chosen, (2, 2, 2, 2))
        moved = torch.stack([p[:, y : y + 32, x : x + 32] for p, (y, x) in zip(padded, shift.tolist())])
        return (moved.float() / 255).to(**place)

    def step():
        shown = turned(draw(images))
        labels = torch.randint(0, CLASSES, (labelled,), device=args.device)
        features = network(torch.cat([shown, draw(labelled)]) if labelled else shown)
        loss = F.cross_entropy(turns(features[: 4 * images]), answers)
        if labelled:
            loss = loss + 0.5 * F.cross_entropy(classes(features[4 * images :]), labels)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        return loss.item()

    return step


def squeezenet(args, place):
    from torchvision.models import squeezenet1_1

    network = squeezenet1_1().features.to(**place).eval()
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)

    def step():
        with torch.inference_mode():
            x = F.interpolate(pixels.float(), size=(64, 64), mode="bilinear", antialias=True).to(**place)
            return network(x - 115).mean((2, 3))

    return step


def inception(args, place):
    """torch-fidelity's network; with --save, writes its random weights for ours to read."""
    import torch_fidelity.feature_extractor_inceptionv3 as of_fidelity

    class Unloaded(of_fidelity.FeatureExtractorInceptionV3):
        def load_state_dict(self, state, strict=True):
            for name, value in self.state_dict().items():
                if value.dim() == 4:
                    nn.init.kaiming_normal_(value)
            return super().load_state_dict(self.state_dict())

    of_fidelity.load_state_dict_from_url = lambda *args, **kwargs: {}
    network = Unloaded("inception", ["2048", "logits_unbiased"], verbose=False).to(**place).eval()
    if args.save:
        torch.save(network.state_dict(), args.save)
    pixels = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)

    def step():
        with torch.inference_mode():
            return network(pixels.to(memory_format=place["memory_format"]))

    step.images = 16
    return step


class Products(TorchDispatchMode):
    """Counts the operations of convolutions and products of matrices, in all orders of derivatives."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        # What is not differentiated arrives undivided.
        with self:
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def main():
    parser = argparse.ArgumentParser()
    steps = {"gan": gan, "s3gan": gan, "wgan_gp": gan, "rotation": encoder, "s2l": encoder, "squeezenet": squeezenet, "inception": inception}
    parser.add_argument("step", choices=steps)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--flops", action="store_true", help="print what a step computes, directly, in 10^9 operations")
    parser.add_argument("--save", help="where to write the weights of the Inception network")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    step = steps[args.step](args, dict(device=args.device, memory_format=layout))
    if args.save:
        return
    images = getattr(step, "images", 64)
    if args.flops:
        # The first step does what later ones do not, such as the first turn of a spectral norm.
        step()
        with Products() as products:
            step()
        print(products.total * 64 / images / 1e9)
        return
    times = []
    for _ in range(args.steps + 1):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 64 / images)
    times = sorted(times[1:])  # The first step finds memory and chooses algorithms.
    print(f"{times[len(times) // 2] * 1000:.1f} {times[0] * 1000:.1f}")


main()
