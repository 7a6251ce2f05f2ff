//! Products of matrices, by the loops of Winograd's convolution, which are made of such products.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use rayon::prelude::*;

use super::buffer::{Aligned, SharedMut, uninit, with_scratch};
use super::conv::{Product, product_of};
use super::dispatch::Isa;
use super::real::Real;

/// A matrix in memory: elements from one row to the next, and from one column to the next. One of both is 1.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one column to the next.
    pub column: usize,
}

/// Terms that are summed at a time: a panel of the right side that stays in the first-level cache.
const TERMS: usize = 256;
/// Multiplications that make a parallel task worth its start.
const GRAIN: usize = 1 << 16;

/// `count` products of `[m, k]` and `[k, n]`, one after the other: `[count, m, n]`. Sums go from the first term to the last,
/// whatever the number of threads. `None` if this type has no loops of its own.
pub fn matmul<T: Real>(
    a: &[T],
    b: &[T],
    count: usize,
    [m, k, n]: [usize; 3],
    a_walk: Walk,
    b_walk: Walk,
) -> Option<Vec<T>> {
    let isa = Isa::best();
    let (product, most) = product_of::<T>(isa)?;
    if count * m * n == 0 || k == 0 {
        return Some(vec![T::ZERO; count * m * n]);
    }
    if m * n * k <= 4096 {
        return Some(small(a, b, count, [m, k, n], a_walk, b_walk));
    }
    let kernels = T::kernels(isa);
    let lanes = kernels.lanes;
    let width = 2 * lanes;
    let panels = n.div_ceil(width);
    // The right side in panels of two vectors, `[panel][term][column]`, padded with zeros.
    let panel_len = k * width;
    let mut packed = Aligned::<T>::zeros(count * panels * panel_len);
    let pack = |(at, to): (usize, &mut [T])| {
        let (item, panel) = (at / panels, at % panels);
        let from = &b[item * k * n..][..k * n];
        let columns = panel * width..((panel + 1) * width).min(n);
        if b_walk.column == 1 {
            for (i, to) in to.chunks_exact_mut(width).enumerate() {
                to[..columns.len()].copy_from_slice(&from[i * b_walk.row + columns.start..][..columns.len()]);
            }
            return;
        }
        for first in columns.clone().step_by(lanes) {
            let rows = (columns.end - first).min(lanes);
            let from = from[first * b_walk.column..].as_ptr();
            let to = to[first - columns.start..].as_mut_ptr();
            // SAFETY: reads `k` values of `rows` columns; writes a vector for each.
            unsafe { (kernels.transpose)(from, b_walk.column, rows, k, to, width) };
        }
    };
    let work = count * m * n * k;
    if work <= GRAIN {
        packed.chunks_exact_mut(panel_len).enumerate().for_each(pack);
    } else {
        packed.par_chunks_exact_mut(panel_len).enumerate().for_each(pack);
    }

    // SAFETY: tasks write every row and panel of every product.
    let mut out = unsafe { uninit::<T>(count * m * n) };
    let shared = SharedMut::new(&mut out);
    // Blocks of rows, and tasks of some of them by all panels of a product.
    let blocks = m.div_ceil(most);
    let per_task =
        (GRAIN / (most * n * k)).max(blocks.div_ceil(4 * rayon::current_num_threads()).min(8)).clamp(1, blocks);
    let groups = blocks.div_ceil(per_task);
    // Rows that several panels are multiplied with are brought side by side first.
    let packs = panels > 2;
    let pitch = most.next_multiple_of(lanes);
    let packed_len = if packs { per_task * TERMS * pitch } else { 0 };
    let run = |task: usize| {
        let (item, group) = (task / groups, task % groups);
        let a = &a[item * m * k..][..m * k];
        let panels_of = &packed[item * panels * panel_len..][..panels * panel_len];
        let task_blocks = group * per_task..((group + 1) * per_task).min(blocks);
        let rows_of = |block: usize| m * block / blocks..m * (block + 1) / blocks;
        with_scratch::<T, _>(most * width + packed_len, |scratch| {
            let (edge, left) = scratch.split_at_mut(most * width);
            for start in (0..k).step_by(TERMS) {
                let terms = TERMS.min(k - start);
                let part = |row: usize| a[row * a_walk.row + start * a_walk.column..].as_ptr();
                if packs {
                    for (block, to) in task_blocks.clone().zip(left.chunks_exact_mut(TERMS * pitch)) {
                        let rows = rows_of(block);
                        if a_walk.column == 1 {
                            for first in (0..rows.len()).step_by(lanes) {
                                let count = (rows.len() - first).min(lanes);
                                let (from, to) = (part(rows.start + first), to[first..].as_mut_ptr());
                                // SAFETY: reads `terms` values of `count` rows; writes a vector for each.
                                unsafe { (kernels.transpose)(from, a_walk.row, count, terms, to, pitch) };
                            }
                            continue;
                        }
                        for (i, to) in to.chunks_exact_mut(pitch).take(terms).enumerate() {
                            let from = &a[(start + i) * a_walk.column + rows.start..][..rows.len()];
                            to[..rows.len()].copy_from_slice(from);
                        }
                    }
                }
                for panel in 0..panels {
                    let first = panel * width;
                    let columns = width.min(n - first);
                    let whole = columns == width || columns == lanes;
                    for (i, block) in task_blocks.clone().enumerate() {
                        let rows = rows_of(block);
                        let (a, a_row, a_step) = if packs {
                            (left[i * TERMS * pitch..].as_ptr(), 1, pitch)
                        } else {
                            (part(rows.start), a_walk.row, a_walk.column)
                        };
                        let b = panels_of[panel * panel_len + start * width..].as_ptr();
                        let edge = edge.as_mut_ptr();
                        // SAFETY: these rows of this product belong to this task alone; the output, or the edge's scratch, holds
                        // as many columns as the vectors do.
                        unsafe {
                            let to = shared.get().add((item * m + rows.start) * n + first);
                            let copy = |from: *const T, from_row: usize, to: *mut T, to_row: usize| {
                                for row in 0..rows.len() {
                                    let (from, to) = (from.add(row * from_row), to.add(row * to_row));
                                    std::ptr::copy_nonoverlapping(from, to, columns);
                                }
                            };
                            if !whole && start > 0 {
                                copy(to, n, edge, width);
                            }
                            let (c, c_row) = if whole { (to, n) } else { (edge, width) };
                            let of = Product { a, a_row, a_step, terms, b, b_row: width, c, c_row, add: start > 0 };
                            product(&of, rows.len(), columns.div_ceil(lanes));
                            if !whole {
                                copy(edge, width, to, n);
                            }
                        }
                    }
                }
            }
        });
    };
    if work <= GRAIN {
        (0..count * groups).for_each(run);
    } else {
        let at_a_time = (GRAIN / (work / (count * groups)).max(1)).max(1);
        (0..count * groups).into_par_iter().with_min_len(at_a_time).for_each(run);
    }
    Some(out)
}

/// Matrices of a few numbers, where anything but the sums is waste.
fn small<T: Real>(a: &[T], b: &[T], count: usize, [m, k, n]: [usize; 3], a_walk: Walk, b_walk: Walk) -> Vec<T> {
    let mut out = vec![T::ZERO; count * m * n];
    for (item, out) in out.chunks_exact_mut(m * n).enumerate() {
        let (a, b) = (&a[item * m * k..][..m * k], &b[item * k * n..][..k * n]);
        for (row, out) in out.chunks_exact_mut(n).enumerate() {
            for i in 0..k {
                let factor = a[row * a_walk.row + i * a_walk.column];
                for (column, out) in out.iter_mut().enumerate() {
                    *out += factor * b[i * b_walk.row + column * b_walk.column];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small multiples of 1/8, so that sums in `f32` are exact.
    fn numbers(len: usize, salt: usize) -> Vec<f32> {
        (0..len).map(|i| (((i + salt * 977) * 7919 + i * i * 31) % 17) as f32 / 8.0 - 1.0).collect()
    }

    fn check(count: usize, [m, k, n]: [usize; 3], turned: [bool; 2]) {
        let (a, b) = (numbers(count * m * k, 1), numbers(count * k * n, 2));
        let walk = |rows, columns, turned| {
            if turned { Walk { row: 1, column: rows } } else { Walk { row: columns, column: 1 } }
        };
        let (a_walk, b_walk) = (walk(m, k, turned[0]), walk(k, n, turned[1]));
        let ours = matmul(&a, &b, count, [m, k, n], a_walk, b_walk).unwrap();
        for item in 0..count {
            for i in 0..m {
                for j in 0..n {
                    let exact: f32 = (0..k)
                        .map(|l| {
                            a[item * m * k + i * a_walk.row + l * a_walk.column]
                                * b[item * k * n + l * b_walk.row + j * b_walk.column]
                        })
                        .sum();
                    assert_eq!(ours[(item * m + i) * n + j], exact, "{count} x {m} x {k} x {n}, {turned:?}");
                }
            }
        }
    }

    #[test]
    fn shapes_of_all_kinds() {
        for shape in [[1, 1, 1], [4, 4, 4], [64, 128, 16], [15, 300, 33], [128, 7, 48], [3, 1000, 5], [200, 1, 200]] {
            for turned in [[false, false], [true, false], [false, true], [true, true]] {
                check(1, shape, turned);
                check(3, shape, turned);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn any_shape_equals_the_naive_loop(
            count in 1usize..4, m in 1usize..70, k in 1usize..600, n in 1usize..90, a_turned: bool, b_turned: bool,
        ) {
            check(count, [m, k, n], [a_turned, b_turned]);
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let of = |len: usize, salt| numbers(len, salt).iter().map(|v| (v * 1.37).sin()).collect::<Vec<f32>>();
        let (a, b) = (of(150 * 400, 1), of(400 * 90, 2));
        let (a_walk, b_walk) = (Walk { row: 400, column: 1 }, Walk { row: 90, column: 1 });
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| matmul(&a, &b, 1, [150, 400, 90], a_walk, b_walk).unwrap())
        };
        assert!(with(1) == with(3), "1 and 3 threads differ");
    }
}
