//! Sums and extremes over one dimension of `[outer, length, inner]`, the same for any number of threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::dispatch::multiversion;
use super::map::build;
use super::real::Real;

const LANES: usize = 16;
/// Lanes of a block, as many as keep the adders busy.
const WIDE: usize = 4 * LANES;
/// Values that make a parallel task worth its start.
const CHUNK: usize = 16 * 1024;
/// A block is summed in the type itself, lane by lane; blocks are added in f64.
const BLOCK: usize = 1024;

/// The sum of the values, in f64 across blocks.
pub fn sum_slice<T: Real>(x: &[T]) -> f64 {
    sum_wide(x)
}

multiversion! {
    fn sum_wide[T: Real](x: &[T]) -> f64 {
        sum_row(x)
    }
}

multiversion! {
    fn sum_rows[T: Real](x: &[T], length: usize, out: &mut [MaybeUninit<T>]) {
        for (out, row) in out.iter_mut().zip(x.chunks_exact(length)) {
            out.write(T::from_f64(sum_row(row)));
        }
    }
}

multiversion! {
    /// Adds the rows of a matrix, `inner` values each, from column `from` on.
    fn add_rows[T: Real](x: &[T], inner: usize, from: usize, sums: &mut [f64]) {
        for row in x.chunks_exact(inner) {
            for (sum, v) in sums.iter_mut().zip(&row[from..]) {
                *sum += v.to_f64();
            }
        }
    }
}

#[inline(always)]
fn sum_row<T: Real>(x: &[T]) -> f64 {
    if x.len() < WIDE {
        return sum_block::<T, LANES>(x).to_f64();
    }
    // A loop, not an iterator's sum, which would be a function of its own, without the instructions of the one that asks for it.
    let mut sum = 0.0;
    for block in x.chunks(BLOCK) {
        sum += sum_block::<T, WIDE>(block).to_f64();
    }
    sum
}

#[inline(always)]
fn sum_block<T: Real, const WIDTH: usize>(block: &[T]) -> T {
    let mut lanes = [T::ZERO; WIDTH];
    let (chunks, rest) = block.as_chunks();
    for chunk in chunks {
        add(&mut lanes, chunk);
    }
    if !rest.is_empty() {
        add(&mut lanes, &filled(rest, T::ZERO));
    }
    let mut width = WIDTH;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

#[inline(always)]
fn add<T: Real, const WIDTH: usize>(lanes: &mut [T; WIDTH], values: &[T; WIDTH]) {
    for (lane, v) in lanes.iter_mut().zip(values) {
        *lane += *v;
    }
}

/// Fewer values than lanes, and `with` in the others: lanes that are told apart by a number do not stay in registers.
#[inline(always)]
fn filled<T: Real, const WIDTH: usize>(values: &[T], with: T) -> [T; WIDTH] {
    let mut lanes = [with; WIDTH];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}

/// Sums of `[outer, length, inner]` over `length`: `[outer, inner]`.
pub fn sum<T: Real>(x: &[T], outer: usize, length: usize, inner: usize) -> Vec<T> {
    if inner == 1 {
        if outer == 1 && length > 1 << 16 {
            // Blocks of a fixed size, so that the result does not depend on the number of threads.
            let parts: Vec<f64> = x.par_chunks(1 << 15).with_min_len(16).map(sum_slice).collect();
            return vec![T::from_f64(parts.iter().sum())];
        }
        return build(outer, ((1 << 15) / length.max(1)).max(1), |start, out| {
            if length == 0 {
                out.iter_mut().for_each(|out| _ = out.write(T::ZERO));
                return;
            }
            let rows = out.len();
            sum_rows(&x[start * length..][..rows * length], length, out);
        });
    }
    let columns = inner.min(256);
    let pieces = inner.div_ceil(columns);
    let tasks: Vec<Vec<T>> = (0..outer * pieces)
        .into_par_iter()
        .with_min_len(((1 << 15) / (length * columns).max(1)).max(1))
        .map(|task| {
            let (o, from) = (task / pieces, task % pieces * columns);
            let width = columns.min(inner - from);
            let mut sums = [0f64; 256];
            add_rows(&x[o * length * inner..][..length * inner], inner, from, &mut sums[..width]);
            sums[..width].iter().map(|v| T::from_f64(*v)).collect()
        })
        .collect();
    tasks.concat()
}

multiversion! {
    fn largest_of_rows[T: Real](x: &[T], length: usize, out: &mut [MaybeUninit<u32>]) {
        for (out, row) in out.iter_mut().zip(x.chunks_exact(length)) {
            out.write(first_of_largest(row));
        }
    }
}

/// Where the largest value is, the first of equals; where the first NaN is, if there is one.
#[inline(always)]
fn first_of_largest<T: Real>(row: &[T]) -> u32 {
    let mut lanes = [T::NEG_INFINITY; LANES];
    // A NaN, once one was met.
    let mut odd = [T::ZERO; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    let last = if rest.is_empty() { None } else { Some(&filled(rest, T::NEG_INFINITY)) };
    for chunk in chunks.iter().chain(last) {
        for ((lane, odd), &v) in lanes.iter_mut().zip(&mut odd).zip(chunk) {
            *lane = if v > *lane { v } else { *lane };
            *odd = if v.is_nan() { v } else { *odd };
        }
    }
    if odd.iter().any(|odd| odd.is_nan()) {
        return row.iter().position(|v| v.is_nan()).unwrap_or(0) as u32;
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = if lanes[i + width] > lanes[i] { lanes[i + width] } else { lanes[i] };
        }
    }
    let top = lanes[0];
    let mut at = 0;
    for chunk in row.chunks(LANES) {
        let mut found = false;
        for &v in chunk {
            found |= v == top;
        }
        if found {
            return (at + chunk.iter().position(|&v| v == top).unwrap_or(0)) as u32;
        }
        at += chunk.len();
    }
    0
}

/// Where the largest value of each line over `length` is, the first of equals: `[outer, inner]`.
pub fn argmax<T: Real>(x: &[T], outer: usize, length: usize, inner: usize) -> Vec<u32> {
    if inner == 1 {
        return build(outer, ((1 << 14) / length.max(1)).max(1), |start, out| {
            let rows = out.len();
            largest_of_rows(&x[start * length..][..rows * length], length, out);
        });
    }
    build(outer * inner, ((1 << 14) / length.max(1)).max(1), |start, out| {
        for (i, out) in out.iter_mut().enumerate() {
            let (o, k) = ((start + i) / inner, (start + i) % inner);
            let line = |l: usize| x[(o * length + l) * inner + k];
            let mut best = 0;
            for l in 1..length {
                // A NaN counts as larger than any number, so that it is not hidden.
                if line(l) > line(best) || (line(l).is_nan() && !line(best).is_nan()) {
                    best = l;
                }
            }
            out.write(best as u32);
        }
    })
}

multiversion! {
    fn max_of_rows[T: Real](x: &[T], length: usize, out: &mut [MaybeUninit<T>]) {
        // Whether there is a NaN is asked of as many values at a time as the first-level cache holds, and seldom answered with yes.
        let rows = (4096 / length).max(1);
        for (out, x) in out.chunks_mut(rows).zip(x.chunks(rows * length)) {
            let mut odd = false;
            for &v in x {
                odd |= v.is_nan();
            }
            for (out, row) in out.iter_mut().zip(x.chunks_exact(length)) {
                out.write(if odd { row.iter().copied().fold(T::NEG_INFINITY, larger) } else { max_row(row) });
            }
        }
    }
}

/// The larger of both, NaN if one is.
#[inline(always)]
fn larger<T: Real>(a: T, b: T) -> T {
    if a >= b || a.is_nan() { a } else { b }
}

/// The largest value; a NaN is passed over.
#[inline(always)]
fn max_row<T: Real>(row: &[T]) -> T {
    let most = |a: T, b: T| if b > a { b } else { a };
    let mut lanes = [T::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    let last = if rest.is_empty() { None } else { Some(&filled(rest, T::NEG_INFINITY)) };
    for chunk in chunks.iter().chain(last) {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = most(*lane, v);
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = most(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// The largest value of each line over `length`, NaN where there is one: `[outer, inner]`.
pub fn max<T: Real>(x: &[T], outer: usize, length: usize, inner: usize) -> Vec<T> {
    if inner == 1 {
        return build(outer, ((1 << 14) / length.max(1)).max(1), |start, out| {
            let rows = out.len();
            max_of_rows(&x[start * length..][..rows * length], length, out);
        });
    }
    build(outer * inner, ((1 << 14) / length.max(1)).max(1), |start, out| {
        for (i, out) in out.iter_mut().enumerate() {
            let (o, k) = ((start + i) / inner, (start + i) % inner);
            let line = (0..length).map(|l| x[(o * length + l) * inner + k]);
            out.write(line.fold(T::NEG_INFINITY, larger));
        }
    })
}

/// Places along lines, `[outer, inner]`, as places among all values of `[outer, length, inner]`.
pub fn flat_places(places: &mut [u32], length: usize, inner: usize) {
    places.par_iter_mut().with_min_len(CHUNK).enumerate().for_each(|(i, place)| {
        *place = if inner == 1 {
            (i * length) as u32 + *place
        } else {
            ((i / inner * length + *place as usize) * inner + i % inner) as u32
        };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_each_dimension() {
        let x: Vec<f64> = (0..24).map(f64::from).collect();
        assert_eq!(sum(&x, 1, 24, 1), [276.0]);
        assert_eq!(sum(&x, 2, 12, 1), [66.0, 210.0]);
        assert_eq!(sum(&x, 2, 3, 4), [12.0, 15.0, 18.0, 21.0, 48.0, 51.0, 54.0, 57.0]);
        // More columns than are summed at a time.
        let wide: Vec<f32> = (0..2 * 3 * 600).map(|i| i as f32).collect();
        let expected: Vec<f32> = (0..2 * 600).map(|i| (i / 600 * 1800 + i % 600) as f32 * 3.0 + 1800.0).collect();
        assert_eq!(sum(&wide, 2, 3, 600), expected);
        assert_eq!(sum(&wide[..0], 1, 0, 600), [0.0; 600]);
        let long = vec![0.1f32; 1_000_000];
        assert!(
            (f64::from(sum(&long, 1, 1_000_000, 1)[0]) - 100_000.0).abs() < 0.1,
            "a plain f32 sum is off by hundreds"
        );
    }

    #[test]
    fn the_first_of_equals_is_the_largest() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 0.0f32], 1, 4, 1), [1]);
        assert_eq!(argmax(&[1.0, 9.0, 5.0, 2.0f32], 1, 2, 2), [1, 0]);
        assert_eq!(argmax(&[1.0, f32::NAN, 5.0], 1, 3, 1), [1]);
        let mut row = vec![1.0f32; 100];
        (row[40], row[70], row[99]) = (3.0, 3.0, f32::INFINITY);
        assert_eq!(argmax(&row, 2, 50, 1), [40, 49]);
        row[90] = f32::NAN;
        assert_eq!(argmax(&row, 1, 100, 1), [90]);
        assert_eq!(argmax(&[f32::NEG_INFINITY; 3], 1, 3, 1), [0]);
        assert_eq!(max(&row[..50], 2, 25, 1), [1.0, 3.0]);
        assert!(max(&row, 1, 100, 1)[0].is_nan() && max(&row, 1, 50, 2)[0].is_nan());
        assert_eq!(max(&row, 1, 50, 2)[1], f32::INFINITY);
        assert_eq!(max(&[f32::NEG_INFINITY; 6], 2, 3, 1), [f32::NEG_INFINITY; 2]);
    }
}
