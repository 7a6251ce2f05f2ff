//! Normal numbers from uniform ones, many at a time: the logarithm, sine and cosine of `libm` (musl's, after Sun's fdlibm)
//! for the arguments that occur, without branches, so that loops over slices become vector instructions. Every operation is
//! that of `libm` in its order, so the bits are the same.

#![allow(clippy::excessive_precision)] // As the sources state them.

use super::dispatch::multiversion;

/// Pairs that are made at a time.
pub const PAIRS: usize = 64;

multiversion! {
    /// Box and Muller's pairs from pairs of random words, of which the upper 24 bits count: `[cosine part, sine part]` each.
    pub fn normals(words: &[[u32; 2]; PAIRS], out: &mut [[f32; 2]; PAIRS]) {
        for (out, words) in out.iter_mut().zip(words) {
            let uniform = |word: u32| f64::from((word >> 8) as f32 * (1.0 / 16_777_216.0));
            let radius = (-2.0 * log(1.0 - uniform(words[0]))).sqrt();
            let (sin, cos) = sincos(std::f64::consts::TAU * uniform(words[1]));
            *out = [(radius * cos) as f32, (radius * sin) as f32];
        }
    }
}

/// Whether `sincos` here may differ from `libm`'s for this word: so close to a multiple of a quarter turn that more digits of
/// it are needed. One in a hundred thousand.
pub fn needs_care(word: u32) -> bool {
    let x = std::f64::consts::TAU * f64::from((word >> 8) as f32 * (1.0 / 16_777_216.0));
    let high = (x.to_bits() >> 32) as u32;
    (high <= 0x400f_6a7a && high & 0x000f_ffff == 0x0009_21fb && high > 0x3fe9_21fb)
        || high == 0x4012_d97c
        || high == 0x4019_21fb
}

/// The natural logarithm of a number from 2^-24 to 1.
#[inline(always)]
fn log(x: f64) -> f64 {
    let bits = x.to_bits();
    // The exponent and a fraction from the root of a half to the root of two.
    let high = (bits >> 32).wrapping_add(0x3ff0_0000 - 0x3fe6_a09e);
    let k = (high >> 20) as i64 - 0x3ff;
    let high = (high & 0x000f_ffff) + 0x3fe6_a09e;
    let f = f64::from_bits((high << 32) | (bits & 0xffff_ffff)) - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let t1 = w * (3.999_999_999_940_941_908e-1 + w * (2.222_219_843_214_978_396e-1 + w * 1.531_383_769_920_937_332e-1));
    let t2 = z
        * (6.666_666_666_666_735_130e-1
            + w * (2.857_142_874_366_239_149e-1
                + w * (1.818_357_216_161_805_012e-1 + w * 1.479_819_860_511_658_591e-1)));
    let r = t2 + t1;
    let k = k as f64;
    s * (half_square + r) + k * 1.908_214_929_270_587_700_02e-10 - half_square + f + k * 6.931_471_803_691_238_164_90e-1
}

/// Sine and cosine of a number from 0 to below 2 pi.
#[inline(always)]
fn sincos(x: f64) -> (f64, f64) {
    const QUARTER: f64 = 1.570_796_326_734_125_614_17;
    const QUARTER_REST: f64 = 6.077_100_506_506_192_249_32e-11;
    // The nearest multiple of a quarter turn, by the high halves of the numbers between two of them.
    let high = (x.to_bits() >> 32) as u32;
    let mut n = 0.0;
    for border in [0x3fe9_21fb, 0x4002_d97c, 0x400f_6a7a, 0x4015_fdbc] {
        n += if high > border { 1.0 } else { 0.0 };
    }
    let z = x - n * QUARTER;
    let near = z - n * QUARTER_REST;
    let rest = (z - near) - n * QUARTER_REST;
    let (sin, cos) = (sin_near(near, rest, n == 0.0), cos_near(near, rest));
    let odd = n == 1.0 || n == 3.0;
    let (s, c) = if odd { (cos, sin) } else { (sin, cos) };
    // Quarters 0 to 4: sin, cos, -sin, -cos, sin; cos, -sin, -cos, sin, cos.
    let s = if n == 2.0 || n == 3.0 { -s } else { s };
    let c = if n == 1.0 || n == 2.0 { -c } else { c };
    (s, c)
}

/// The sine of `x + y`, at most an eighth of a turn, `y` far smaller; `alone` where `y` is 0 and not looked at.
#[inline(always)]
fn sin_near(x: f64, y: f64, alone: bool) -> f64 {
    const S1: f64 = -1.666_666_666_666_663_243_48e-1;
    let z = x * x;
    let w = z * z;
    let r = 8.333_333_333_322_489_461_24e-3
        + z * (-1.984_126_982_985_794_931_34e-4 + z * 2.755_731_370_707_006_767_89e-6)
        + z * w * (-2.505_076_025_340_686_341_95e-8 + z * 1.589_690_995_211_550_102_21e-10);
    let v = z * x;
    let one = x + v * (S1 + z * r);
    let both = x - ((z * (0.5 * y - v * r) - y) - v * S1);
    if alone { one } else { both }
}

/// The cosine of `x + y`, as above.
#[inline(always)]
fn cos_near(x: f64, y: f64) -> f64 {
    let z = x * x;
    let w = z * z;
    let r = z
        * (4.166_666_666_666_660_190_37e-2
            + z * (-1.388_888_888_887_410_957_49e-3 + z * 2.480_158_728_947_672_941_78e-5))
        + w * w
            * (-2.755_731_435_139_066_330_35e-7
                + z * (2.087_572_321_298_174_827_90e-9 + z * -1.135_964_755_778_819_482_65e-11));
    let half = 0.5 * z;
    let w = 1.0 - half;
    w + (((1.0 - w) - half) + (z * r - x * y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_libm() {
        // Words on and beside the borders of the quarters and their halves, and many between.
        let borders = (0..=8u32).flat_map(|eighth| {
            let at = (eighth << 21) as i64;
            (-40..40).filter_map(move |step| u32::try_from(at + step).ok()).filter(|word| *word < 1 << 24)
        });
        let words: Vec<u32> = borders.chain((0..400_000u32).map(|i| i.wrapping_mul(2_654_435_761) >> 8)).collect();
        let mut careful = 0;
        for chunk in words.chunks(PAIRS) {
            let mut pairs = [[0; 2]; PAIRS];
            for (pair, word) in pairs.iter_mut().zip(chunk) {
                *pair = [word << 8, word << 8];
            }
            let mut out = [[0.0; 2]; PAIRS];
            normals(&pairs, &mut out);
            for (pair, out) in pairs.iter().zip(out) {
                if needs_care(pair[1]) {
                    careful += 1;
                    continue;
                }
                let uniform = f64::from((pair[0] >> 8) as f32 * (1.0 / 16_777_216.0));
                let radius = libm::sqrt(-2.0 * libm::log(1.0 - uniform));
                let (sin, cos) = libm::sincos(std::f64::consts::TAU * uniform);
                let expected = [(radius * cos) as f32, (radius * sin) as f32];
                assert_eq!(out.map(f32::to_bits), expected.map(f32::to_bits), "{:#x}", pair[0]);
            }
        }
        assert!((1..600).contains(&careful), "{careful}");
    }
}
