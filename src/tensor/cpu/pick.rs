//! Values at flat places, and the sum back into them.

use rayon::prelude::*;

use super::map::build;
use super::real::Real;

/// `x[at[i]]` for each place.
pub fn gather<T: Real>(x: &[T], at: &[u32]) -> Vec<T> {
    build(at.len(), 16 * 1024, |start, out| {
        for (out, at) in out.iter_mut().zip(&at[start..]) {
            out.write(x[*at as usize]);
        }
    })
}

/// Rows `at` of `x`, whose rows are `width` long, in their order.
pub fn rows<T: Real>(x: &[T], at: &[u32], width: usize) -> Vec<T> {
    if width == 0 {
        return Vec::new();
    }
    let at_a_time = (16 * 1024 / width).max(1);
    build(at.len() * width, at_a_time * width, |start, out| {
        for (out, at) in out.chunks_mut(width).zip(&at[start / width..]) {
            out.write_copy_of_slice(&x[*at as usize * width..][..width]);
        }
    })
}

/// `count` rows of zeros, to which row `i` of `x` is added at row `at[i]`, in order for each row, on any number of threads.
pub fn add_rows<T: Real>(x: &[T], at: &[u32], count: usize, width: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; count * width];
    if out.is_empty() {
        return out;
    }
    // Each task looks at all of `at`, which is little where rows are long.
    let tasks = if width < 64 { 1 } else { 4 * rayon::current_num_threads() };
    let share = count.div_ceil(tasks).max(1);
    out.par_chunks_mut(share * width).enumerate().for_each(|(task, out)| {
        let first = task * share;
        for (x, at) in x.chunks_exact(width).zip(at) {
            let Some(row) = (*at as usize).checked_sub(first).filter(|row| row * width < out.len()) else { continue };
            for (out, x) in out[row * width..][..width].iter_mut().zip(x) {
                *out += *x;
            }
        }
    });
    out
}

/// `n` zeros, to which `x[i]` is added at place `at[i]`. One thread, in order, so that the sum is always the same.
pub fn scatter_add<T: Real>(x: &[T], at: &[u32], n: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; n];
    for (x, at) in x.iter().zip(at) {
        out[*at as usize] += *x;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_picked_and_added_in_order() {
        let (count, width) = (50, 100);
        let x: Vec<f32> = (0..count * width).map(|i| (i as f32).sin()).collect();
        let at: Vec<u32> = (0..400).map(|i| (i * 37 % 43) as u32).collect();
        let picked = rows(&x, &at, width);
        for (row, at) in picked.chunks(width).zip(&at) {
            assert_eq!(row, &x[*at as usize * width..][..width]);
        }
        let mut plainly = vec![0f32; count * width];
        for (row, at) in picked.chunks(width).zip(&at) {
            row.iter().enumerate().for_each(|(i, x)| plainly[*at as usize * width + i] += x);
        }
        assert!(add_rows(&picked, &at, count, width) == plainly);
        assert_eq!(add_rows(&[1.0, 2.0, 4.0f32], &[2, 0, 2], 4, 1), [2.0, 0.0, 5.0, 0.0]);
        assert!(rows::<f32>(&[], &[0, 0], 0).is_empty() && add_rows::<f32>(&[], &[], 0, 3).is_empty());
    }
}
