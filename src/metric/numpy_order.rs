//! The orders in which `numpy.random.RandomState(seed)` deals rows.
//!
//! Published scores name a NumPy seed; dealing the same rows gives the same number. This is a table of fixed orders,
//! not a source of randomness for anything else: that is `tensor::Rng`.

/// `numpy.random.RandomState(seed)`: the Mersenne Twister MT19937 (Matsumoto & Nishimura 1998) and the two calls on it
/// that the metrics make.
pub struct NumpyOrder {
    state: [u32; N],
    next: usize,
}

const N: usize = 624;
const M: usize = 397;

impl NumpyOrder {
    /// The state that NumPy's legacy seeding reaches from `seed`.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let previous = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    fn draw(&mut self) -> u32 {
        if self.next == N {
            for i in 0..N {
                let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ (joined >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A whole number from 0 to `most`, by masking and rejection.
    fn at_most(&mut self, most: u32) -> u32 {
        let mask = u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let value = self.draw() & mask;
            if value <= most {
                return value;
            }
        }
    }

    /// `permutation(n)`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.at_most(i as u32) as usize);
        }
        order
    }

    /// `choice(n, count, replace=False)`.
    pub fn choice(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut order = self.permutation(n);
        order.truncate(count);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From NumPy 2.4.
    #[test]
    fn orders_are_those_of_numpy() {
        let mut numpy = NumpyOrder::new(2020);
        assert_eq!(numpy.permutation(10), [2, 4, 9, 1, 5, 7, 6, 3, 8, 0]);
        assert_eq!(numpy.choice(1000, 6), [358, 763, 430, 530, 677, 107]);
    }
}
