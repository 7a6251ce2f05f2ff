//! Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): random words as a function of a counter,
//! which is a block's number and a stream's, and a key.

use super::dispatch::multiversion;

/// Blocks that are made at a time.
const LANES: usize = 8;

/// The low and the high half.
#[inline(always)]
pub fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// The four words of a block.
pub fn block(block: [u32; 2], stream: [u32; 2], key: [u32; 2]) -> [u32; 4] {
    let counter = [block[0], block[1], stream[0], stream[1]].map(|word| [u64::from(word)]);
    rounds(counter, key).map(|[word]| word as u32)
}

/// Many counters at a time, each of whose words stands beside that of the others, in the low half of a number: a product needs
/// both halves.
#[inline(always)]
fn rounds<const N: usize>(mut counter: [[u64; N]; 4], mut key: [u32; 2]) -> [[u64; N]; 4] {
    const LOW: u64 = u32::MAX as u64;
    for _ in 0..10 {
        let keys = key.map(u64::from);
        let [c0, c1, c2, c3] = &mut counter;
        for i in 0..N {
            let a = (c0[i] & LOW) * 0xd251_1f53;
            let b = (c2[i] & LOW) * 0xcd9e_8d57;
            c0[i] = (b >> 32) ^ c1[i] ^ keys[0];
            c1[i] = b & LOW;
            c2[i] = (a >> 32) ^ c3[i] ^ keys[1];
            c3[i] = a & LOW;
        }
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

multiversion! {
    /// The words of blocks from number `first` on, one block after the other.
    pub fn blocks(first: u64, stream: u64, key: u64, out: &mut [u32]) {
        let [low, high] = halves(stream).map(u64::from);
        for (group, out) in out.chunks_mut(4 * LANES).enumerate() {
            let number: [u64; LANES] = std::array::from_fn(|i| first + (group * LANES + i) as u64);
            let counter = [number.map(|n| n & 0xffff_ffff), number.map(|n| n >> 32), [low; LANES], [high; LANES]];
            let words = rounds(counter, halves(key));
            for (i, out) in out.chunks_mut(4).enumerate() {
                for (out, words) in out.iter_mut().zip(&words) {
                    *out = words[i] as u32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_vectors() {
        // Random123's known-answer tests for philox4x32-10.
        assert_eq!(block([0; 2], [0; 2], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            block([u32::MAX; 2], [u32::MAX; 2], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            block([0x243f_6a88, 0x85a3_08d3], [0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn many_blocks_are_those_that_come_one_by_one() {
        let (stream, key) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        // Past the end of the counter's low half, and some blocks that fill no vector.
        let first = u64::from(u32::MAX) - 20;
        let mut many = vec![0; 4 * 37];
        blocks(first, stream, key, &mut many);
        let one_by_one: Vec<u32> =
            (0..37).flat_map(|i| block(halves(first + i), halves(stream), halves(key))).collect();
        assert_eq!(many, one_by_one);
    }
}
