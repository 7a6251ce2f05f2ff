//! Elementary functions of `f32` without branches or calls, which loops over slices turn into vector instructions. The
//! polynomials are those of Cephes (Moshier 1992), good to 2 units in the last place.

/// 1.5 * 2^23: added to a number, it leaves the nearest integer in the lowest bits.
const MAGIC: f32 = 12_582_912.0;

/// e to the power `x`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // What lies outside is 0 or infinite; a NaN passes both tests.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let k = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    // ln 2 in two parts, the first of few bits, so that the product with it is exact.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    // Two factors, for one alone would overflow before the result does.
    let half = k >> 1;
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) << 23) as u32);
    y * power(half) * power(k.wrapping_sub(half))
}

/// e to the power `x`, which is at most 0; what would be below the least normal number is 0. With `fused`, products and sums are
/// one instruction: where the machine has none, that is a slow call.
#[inline(always)]
pub fn exp_of_negative(x: f32, fused: bool) -> f32 {
    let mul_add = |a: f32, b: f32, c: f32| if fused { a.mul_add(b, c) } else { a * b + c };
    let shifted = mul_add(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let k = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    let r = mul_add(n, 2.121_944_4e-4, mul_add(n, -0.693_359_4, x));
    let p = mul_add(1.987_569_2e-4, r, 1.398_199_9e-3);
    let p = mul_add(p, r, 8.333_452e-3);
    let p = mul_add(p, r, 4.166_579_6e-2);
    let p = mul_add(p, r, 1.666_666_5e-1);
    let p = mul_add(p, r, 0.5);
    let y = mul_add(p * r, r, r) + 1.0;
    let result = y * f32::from_bits((k.wrapping_add(127) << 23) as u32);
    // A NaN fails this test.
    if x < -87.3 { 0.0 } else { result }
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    let z = x * x;
    let p = -5.704_988_7e-3;
    let p = p * z + 2.063_908_8e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    let near = p * z * x + x;
    if size < 0.625 { near } else { far.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error over many numbers, in units of the last place of the exact value.
    fn worst(ours: fn(f32) -> f32, exact: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let n = 200_001;
        let mut worst = 0f64;
        for i in 0..n {
            let x = from + (to - from) * (i as f32 / (n - 1) as f32);
            let y = exact(f64::from(x));
            let unit = f64::from(f32::EPSILON) * y.abs().max(f64::from(f32::MIN_POSITIVE));
            worst = worst.max((f64::from(ours(x)) - y).abs() / unit);
        }
        worst
    }

    #[test]
    fn errors_are_below_two_units() {
        for (from, to) in [(-87.0, 88.7), (-1.0, 1.0), (-1e-3, 1e-3)] {
            assert!(worst(exp, f64::exp, from, to) < 2.0, "exp from {from} to {to}");
        }
        for (from, to) in [(-12.0, 12.0), (-0.7, 0.7), (-1e-3, 1e-3)] {
            assert!(worst(tanh, f64::tanh, from, to) < 2.0, "tanh from {from} to {to}");
        }
    }

    #[test]
    fn powers_below_zero_are_as_good() {
        for (from, to) in [(-87.2, 0.0), (-1.0, 0.0), (-1e-3, 0.0)] {
            for ours in [|x| exp_of_negative(x, false), |x| exp_of_negative(x, true)] {
                assert!(worst(ours, f64::exp, from, to) < 2.0, "from {from} to {to}");
            }
        }
        for fused in [false, true] {
            let ends = [0.0, -87.4, -1e30, f32::NEG_INFINITY].map(|x| exp_of_negative(x, fused));
            assert_eq!(ends, [1.0, 0.0, 0.0, 0.0]);
            assert!(exp_of_negative(f32::NAN, fused).is_nan());
        }
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!([exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY), exp(200.0)], [1.0, 0.0, 0.0, f32::INFINITY]);
        assert_eq!([exp(f32::INFINITY), tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)], [f32::INFINITY, 1.0, -1.0]);
        assert_eq!([tanh(0.0), tanh(20.0), tanh(-20.0)], [0.0, 1.0, -1.0]);
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        let least = f64::from(exp(-100.0));
        assert!((least / (-100f64).exp() - 1.0).abs() < 0.05, "subnormal numbers have few bits: {least:e}");
    }
}
