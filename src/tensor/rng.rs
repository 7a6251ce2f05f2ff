//! Random numbers: one counter-based generator, seeded, the same on every device and for any number of threads.
//!
//! Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the n-th block of a stream is a
//! function of (key, n) alone. A stream is named, and so draws of one purpose never shift those of another; a step of a run
//! has its own stream, so a resumed run draws what the uninterrupted one would have.

use candle_core::Device;
use rayon::prelude::*;

use super::cpu::normal;
use super::cpu::philox::{self, halves};
use super::room::room;
use super::value::Tensor;
use crate::error::Result;

/// Times [`normal::PAIRS`] that one thread makes at a time.
const PART: usize = 16;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    key: u64,
    /// Which stream under the key; the high half of Philox's counter.
    stream: u64,
    block: u64,
    buffer: [u32; 4],
    used: usize,
}

impl Rng {
    /// The root stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self::raw(mix(seed ^ 0x6665_776c_6162_5f31), 0)
    }

    fn raw(key: u64, stream: u64) -> Self {
        Self { key, stream, block: 0, buffer: [0; 4], used: 4 }
    }

    /// The stream called `name` under this one; where this one stands does not matter.
    #[must_use]
    pub fn stream(&self, name: &str) -> Self {
        // FNV-1a.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self::raw(mix(self.key ^ mix(hash ^ self.stream.rotate_left(32))), 0)
    }

    /// The stream of step `step` under this one.
    #[must_use]
    pub fn at(&self, step: u64) -> Self {
        Self::raw(self.key, mix(self.stream ^ mix(step.wrapping_add(1))))
    }

    fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.buffer = self.next_block();
            self.used = 0;
        }
        self.used += 1;
        self.buffer[self.used - 1]
    }

    fn next_block(&mut self) -> [u32; 4] {
        let block = self.block;
        self.block += 1;
        philox::block(halves(block), halves(self.stream), halves(self.key))
    }

    /// A number from 0 to below 1, with 24 random bits.
    pub fn uniform(&mut self) -> f32 {
        fraction(self.next_u32())
    }

    /// A number from 0 to below 1, with 53 random bits.
    pub fn uniform_f64(&mut self) -> f64 {
        let (high, low) = (u64::from(self.next_u32()) >> 5, u64::from(self.next_u32()) >> 6);
        (high * 67_108_864 + low) as f64 / 9_007_199_254_740_992.0
    }

    /// A whole number from 0 to below `n`, every one equally likely. `n` must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n.max(1) as u64;
        if n == 1 {
            return 0;
        }
        // Lemire 2019: multiply, and reject the few that would make some numbers likelier.
        loop {
            let word = (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32());
            let product = u128::from(word) * u128::from(n);
            if product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as usize;
            }
        }
    }

    /// A number from the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f32 {
        self.normal_pair().0
    }

    fn normal_pair(&mut self) -> (f32, f32) {
        let words = [self.next_u32(), self.next_u32()];
        pair_of(words)
    }

    /// `n` numbers from 0 to below 1.
    pub fn uniforms(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.uniform()).collect()
    }

    /// `n` numbers from the standard normal distribution.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        // Many at a time where whole blocks of random words are ahead: the same numbers as one by one.
        let many = if self.used == 4 { n / (2 * normal::PAIRS) } else { 0 };
        let mut out = vec![0.0; many * 2 * normal::PAIRS];
        let fill = |(part, out): (usize, &mut [f32])| {
            let mut rng = Self { block: self.block + (part * PART * normal::PAIRS / 2) as u64, ..self.clone() };
            for out in out.chunks_exact_mut(2 * normal::PAIRS) {
                rng.many_normals(out);
            }
        };
        let part = PART * 2 * normal::PAIRS;
        if out.len() <= part {
            out.chunks_mut(part).enumerate().for_each(fill);
        } else {
            out.par_chunks_mut(part).enumerate().for_each(fill);
        }
        self.block += (many * normal::PAIRS / 2) as u64;
        out.reserve(n - out.len() + 1);
        while out.len() < n {
            let (a, b) = self.normal_pair();
            out.extend([a, b]);
        }
        out.truncate(n);
        out
    }

    /// As many pairs as are made at a time.
    fn many_normals(&mut self, out: &mut [f32]) {
        let mut words = [[0; 2]; normal::PAIRS];
        philox::blocks(self.block, self.stream, self.key, words.as_flattened_mut());
        self.block += (normal::PAIRS / 2) as u64;
        let mut pairs = [[0.0; 2]; normal::PAIRS];
        normal::normals(&words, &mut pairs);
        for ((out, pair), words) in out.chunks_exact_mut(2).zip(pairs).zip(words) {
            let (a, b) = if normal::needs_care(words[1]) { pair_of(words) } else { (pair[0], pair[1]) };
            out.copy_from_slice(&[a, b]);
        }
    }

    /// The numbers 0 to below `n` in random order (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }

    /// A tensor of standard normal numbers.
    pub fn normal_tensor(&mut self, shape: &[usize], device: &Device) -> Result<Tensor> {
        Tensor::from_vec(self.normals(room(shape, 4)?), shape, device)
    }

    /// A tensor of numbers from 0 to below 1.
    pub fn uniform_tensor(&mut self, shape: &[usize], device: &Device) -> Result<Tensor> {
        Tensor::from_vec(self.uniforms(room(shape, 4)?), shape, device)
    }
}

/// A number from 0 to below 1 of the upper 24 bits of a word.
fn fraction(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Two normal numbers of two random words.
fn pair_of(words: [u32; 2]) -> (f32, f32) {
    // libm's functions give the same bits on every platform. 1 - u is never 0.
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - f64::from(fraction(words[0]))));
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * f64::from(fraction(words[1])));
    ((radius * cos) as f32, (radius * sin) as f32)
}

/// SplitMix64's finaliser: every bit of the input reaches every bit of the output.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_depend_on_what_was_drawn() {
        let mut a = Rng::new(1);
        let before = a.stream("z").at(3).normals(5);
        a.normals(100);
        assert_eq!(before, a.stream("z").at(3).normals(5));
        assert_ne!(before, a.stream("z").at(4).normals(5));
        assert_ne!(before, a.stream("y").at(3).normals(5));
        assert_ne!(before, Rng::new(2).stream("z").at(3).normals(5));
    }

    #[test]
    fn many_normals_are_those_that_come_one_by_one() {
        for n in [0, 1, 127, 128, 129, 20_001] {
            let (mut many, mut few) = (Rng::new(5).stream("z"), Rng::new(5).stream("z"));
            let mut one_by_one: Vec<f32> = Vec::new();
            while one_by_one.len() < n {
                let (a, b) = few.normal_pair();
                one_by_one.extend([a, b]);
            }
            one_by_one.truncate(n);
            assert_eq!(many.normals(n), one_by_one);
            // Both stand at the same place.
            assert_eq!(many.normals(300), few.normals(300), "after {n}");
        }
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let n = 200_000;
        let values = Rng::new(7).normals(n);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
        let square = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n as f64;
        let fourth = values.iter().map(|v| f64::from(*v).powi(4)).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.01 && (square - 1.0).abs() < 0.02 && (fourth - 3.0).abs() < 0.1,
            "{mean} {square} {fourth}"
        );
        let mut rng = Rng::new(8);
        let mut counts = [0; 6];
        for _ in 0..60_000 {
            counts[rng.below(6)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = Rng::new(3).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, v)| i == *v));
    }
}
