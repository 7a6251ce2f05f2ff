"""A second implementation of the random numbers of `src/tensor/rng.rs`, for the files beside it.

Philox 4x32-10 (Salmon et al. 2011) in counter form. A stream is a key and a number; a name or a step leads to another.
"""

import math

import numpy as np

MASK = (1 << 64) - 1


def uniform(seed, count):
    """SplitMix64 in counter form, as doubles in [0, 1)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


class Stream:
    def __init__(self, seed=None, key=None, stream=0):
        self.key = mix(seed ^ 0x6665776C61625F31) if key is None else key
        self.number = stream
        self.words = self._words()

    def _words(self):
        block = 0
        while True:
            halves = lambda x: [x & 0xFFFFFFFF, x >> 32]
            yield from philox(halves(block) + halves(self.number), halves(self.key))
            block += 1

    def stream(self, name):
        value = 0xCBF29CE484222325
        for byte in name.encode():
            value = ((value ^ byte) * 0x100000001B3) & MASK
        turned = ((self.number << 32) | (self.number >> 32)) & MASK
        return Stream(key=mix(self.key ^ mix(value ^ turned)))

    def at(self, step):
        return Stream(key=self.key, stream=mix(self.number ^ mix((step + 1) & MASK)))

    def uniforms(self, n):
        return [(next(self.words) >> 8) * 2.0**-24 for _ in range(n)]

    def below(self, n):
        if n == 1:
            return 0
        while True:
            word = (next(self.words) << 32) | next(self.words)
            product = word * n
            if (product & MASK) >= ((1 << 64) - n) % n:
                return product >> 64

    def normals(self, n):
        out = []
        while len(out) < n:
            u, v = self.uniforms(2)
            radius = math.sqrt(-2 * math.log(1 - u))
            out += [radius * math.cos(math.tau * v), radius * math.sin(math.tau * v)]
        return [float(np.float32(v)) for v in out[:n]]

    def permutation(self, n):
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order
