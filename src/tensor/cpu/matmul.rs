//! Products of matrices, by the loops that convolutions are made of.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use rayon::prelude::*;

use super::buffer::{SharedMut, uninit, with_scratch};
use super::conv::{Kernels, Product};
use super::dispatch::{Isa, multiversion};
use super::real::Real;

/// A matrix in memory: elements from one row to the next, and from one column to the next. One of both is 1.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one column to the next.
    pub column: usize,
}

impl Walk {
    /// The same matrix with rows for columns.
    fn turned(self) -> Self {
        Self { row: self.column, column: self.row }
    }
}

/// Terms that are summed at a time: a panel of the right side that stays in the first-level cache.
const TERMS: usize = 256;
/// Panels of the right side that are packed at a time, so that its rows are read in runs of several cache lines.
const PANELS: usize = 8;
/// The most rows of a task: packed, they stay in the second-level cache.
const ROWS: usize = 448;
/// Terms that make a part of a long sum worth a task.
const PART: usize = 1024;
/// Multiplications that take as long as packing a number.
const PACKING: usize = 8;
/// Multiplications that make a parallel task worth its start.
const GRAIN: usize = 1 << 19;

/// `count` products of `[m, k]` and `[k, n]`, one after the other: `[count, m, n]`. Sums go from the first term to the last, some
/// of them at a time, and long ones in parts, whatever the number of threads.
pub fn matmul<T: Real>(a: &[T], b: &[T], count: usize, [m, k, n]: [usize; 3], a_walk: Walk, b_walk: Walk) -> Vec<T> {
    let kernels = T::kernels(Isa::best());
    let most = kernels.rows;
    if count * m * n == 0 || k == 0 {
        return vec![T::ZERO; count * m * n];
    }
    if m * n * k <= 4096 {
        return small(a, b, count, [m, k, n], a_walk, b_walk);
    }
    let width = 2 * kernels.lanes;
    let (blocks, panels) = (m.div_ceil(most), n.div_ceil(width));
    let parts = parts([m, k, n]);
    let grid = Grid::new(count * parts, [blocks, most], [panels, width], m * k.div_ceil(parts) * n);

    // SAFETY: tasks write every row and panel of every part of every product.
    let mut out = unsafe { uninit::<T>(count * parts * m * n) };
    let shared = SharedMut::new(&mut out);
    let pitch = most.next_multiple_of(kernels.lanes);
    let terms_most = TERMS.min(k);
    let (left_len, right_len) = (grid.blocks * terms_most * pitch, PANELS.min(grid.panels) * terms_most * width);
    let run = |task: usize| {
        let (part, group) = (task / grid.tasks, task % grid.tasks);
        let item = part / parts;
        let (a, b) = (&a[item * m * k..][..m * k], &b[item * k * n..][..k * n]);
        let evenly = |i: usize, all: usize, of: usize| i * all / of..(i + 1) * all / of;
        let all_terms = evenly(part % parts, k, parts);
        let task_blocks = evenly(group % grid.across, blocks, grid.across);
        let task_panels = evenly(group / grid.across, panels, grid.tasks / grid.across);
        let rows_of = |block: usize| evenly(block, m, blocks);
        // A single panel is not worth packing rows for, unless they all fall on the same lines of the first-level cache.
        let packs = task_panels.len() > 1 || (a_walk.column == 1 && (a_walk.row * size_of::<T>()).is_multiple_of(1024));
        with_scratch::<T, _>(most * width + left_len + right_len, |scratch| {
            let (edge, rest) = scratch.split_at_mut(most * width);
            let (right, left) = rest.split_at_mut(right_len);
            for start in all_terms.clone().step_by(TERMS) {
                let terms = TERMS.min(all_terms.end - start);
                let add = start > all_terms.start;
                if packs {
                    for (block, to) in task_blocks.clone().zip(left.chunks_exact_mut(terms_most * pitch)) {
                        let rows = rows_of(block);
                        let from = &a[rows.start * a_walk.row + start * a_walk.column..];
                        pack(kernels, from, a_walk.turned(), [rows.len(), terms], to, pitch);
                    }
                }
                for first in task_panels.clone().step_by(PANELS) {
                    let some = first..(first + PANELS).min(task_panels.end);
                    for (panel, to) in some.clone().zip(right.chunks_exact_mut(terms_most * width)) {
                        let columns = width.min(n - panel * width);
                        let from = &b[start * b_walk.row + panel * width * b_walk.column..];
                        pack(kernels, from, b_walk, [columns, terms], to, width);
                    }
                    for (panel, right) in some.zip(right.chunks_exact(terms_most * width)) {
                        let first = panel * width;
                        let columns = width.min(n - first);
                        let whole = columns == width || columns == kernels.lanes;
                        for (i, block) in task_blocks.clone().enumerate() {
                            let rows = rows_of(block);
                            let (a, a_row, a_step) = if packs {
                                (left[i * terms_most * pitch..].as_ptr(), 1, pitch)
                            } else {
                                let from = &a[rows.start * a_walk.row + start * a_walk.column..];
                                (from.as_ptr(), a_walk.row, a_walk.column)
                            };
                            let edge = edge.as_mut_ptr();
                            // SAFETY: these rows of this product belong to this task alone; the output, or the edge's scratch,
                            // holds as many columns as the vectors do.
                            unsafe {
                                let to = shared.get().add((part * m + rows.start) * n + first);
                                let copy = |from: *const T, from_row: usize, to: *mut T, to_row: usize| {
                                    for row in 0..rows.len() {
                                        let (from, to) = (from.add(row * from_row), to.add(row * to_row));
                                        std::ptr::copy_nonoverlapping(from, to, columns);
                                    }
                                };
                                if !whole && add {
                                    copy(to, n, edge, width);
                                }
                                let (c, c_row) = if whole { (to, n) } else { (edge, width) };
                                let b = right.as_ptr();
                                let of = Product {
                                    a,
                                    a_row,
                                    a_step,
                                    terms,
                                    b,
                                    b_row: width,
                                    c,
                                    c_row,
                                    add,
                                    start: std::ptr::null(),
                                    least: T::NEG_INFINITY,
                                };
                                (kernels.product)(&of, rows.len(), columns.div_ceil(kernels.lanes));
                                if !whole {
                                    copy(edge, width, to, n);
                                }
                            }
                        }
                    }
                }
            }
        });
    };
    let work = count * m * n * k;
    let tasks = count * parts * grid.tasks;
    if work <= 2 * GRAIN {
        (0..tasks).for_each(run);
    } else {
        let at_a_time = (GRAIN / (work / tasks).max(1)).max(1);
        (0..tasks).into_par_iter().with_min_len(at_a_time).for_each(run);
    }
    if parts > 1 { sums(&out, parts, m * n) } else { out }
}

/// In how many parts the terms of a product are summed, each by a task of its own: where they are many and their sums few, each
/// matrix is packed once.
fn parts([m, k, n]: [usize; 3]) -> usize {
    if k >= 2 * PART && m.max(n) * 8 <= k && m <= ROWS { (k / PART).min(8) } else { 1 }
}

/// The sum of `parts` neighbours of `len` numbers each, from first to last.
fn sums<T: Real>(of: &[T], parts: usize, len: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(of.len() / parts);
    for of in of.chunks_exact(parts * len) {
        let from = out.len();
        out.extend_from_slice(&of[..len]);
        for part in of[len..].chunks_exact(len) {
            out[from..].iter_mut().zip(part).for_each(|(sum, part)| *sum += *part);
        }
    }
    out
}

/// How each product is cut into tasks: of so many blocks of rows by so many panels, no more.
struct Grid {
    tasks: usize,
    /// Tasks that share their panels.
    across: usize,
    blocks: usize,
    panels: usize,
}

impl Grid {
    fn new(count: usize, [blocks, most]: [usize; 2], [panels, width]: [usize; 2], work: usize) -> Self {
        let threads = rayon::current_num_threads();
        let (rows, columns) = (blocks * most, panels * width);
        let least = blocks.div_ceil((ROWS / most).max(1));
        // Two for each thread at least, so that one that is held up is not waited for long.
        let wanted = if threads == 1 { 1 } else { (2 * threads).min(count * work / GRAIN).div_ceil(count).max(1) };
        let mut best = (f64::INFINITY, least, 1);
        for across in least..=blocks.min(least.max(wanted)) {
            let fewest = wanted.div_ceil(across).min(panels);
            for down in fewest..=panels.min(fewest + 1) {
                // Each task packs what it multiplies: rows once for each way down, panels once for each across.
                let cost = rows * columns + PACKING * (rows * down + columns * across);
                let tasks = count * across * down;
                let cost = cost as f64 * (tasks.div_ceil(threads) * threads) as f64 / tasks as f64;
                if cost < best.0 {
                    best = (cost, across, down);
                }
            }
        }
        let (_, across, down) = best;
        Self { tasks: across * down, across, blocks: blocks.div_ceil(across), panels: panels.div_ceil(down) }
    }
}

/// Brings `lines` columns of a matrix side by side for each of `terms` rows, `[term][line]`, `pitch` elements from one term to the
/// next, of which whole vectors are written.
fn pack<T: Real>(kernels: &Kernels<T>, from: &[T], walk: Walk, [lines, terms]: [usize; 2], to: &mut [T], pitch: usize) {
    if walk.column == 1 {
        match pitch {
            32 => pack_rows(from, walk.row, lines, &mut to.as_chunks_mut::<32>().0[..terms]),
            16 => pack_rows(from, walk.row, lines, &mut to.as_chunks_mut::<16>().0[..terms]),
            _ => pack_rows(from, walk.row, lines, &mut to.as_chunks_mut::<8>().0[..terms]),
        }
        return;
    }
    for first in (0..lines).step_by(kernels.lanes) {
        let count = (lines - first).min(kernels.lanes);
        let from = from[first * walk.column..].as_ptr();
        // SAFETY: reads `terms` values of `count` lines; writes a vector for each.
        unsafe { (kernels.transpose)(from, walk.column, count, terms, to[first..].as_mut_ptr(), pitch) };
    }
}

multiversion! {
    fn pack_rows[T: Real, const PITCH: usize](
        from: &[T],
        step: usize,
        lines: usize,
        to: &mut [[T; PITCH]],
    ) {
        // Neighbours are copied along where there are any: what is made of them is not kept. A copy of a length that the compiler
        // knows is two instructions, any other a call.
        let whole = ((from.len() + step).saturating_sub(PITCH) / step).min(to.len());
        let (to, rest) = to.split_at_mut(whole);
        for (i, to) in to.iter_mut().enumerate() {
            if let Some(from) = from[i * step..].first_chunk() {
                *to = *from;
            }
        }
        for (i, to) in rest.iter_mut().enumerate() {
            to[..lines].copy_from_slice(&from[(whole + i) * step..][..lines]);
        }
    }
}

/// Matrices of a few numbers, where anything but the sums is waste.
fn small<T: Real>(a: &[T], b: &[T], count: usize, [m, k, n]: [usize; 3], a_walk: Walk, b_walk: Walk) -> Vec<T> {
    // SAFETY: each value is written below.
    let mut out = unsafe { uninit::<T>(count * m * n) };
    for (item, out) in out.chunks_exact_mut(m * n).enumerate() {
        let (a, b) = (&a[item * m * k..][..m * k], &b[item * k * n..][..k * n]);
        for (row, out) in out.chunks_exact_mut(n).enumerate() {
            let factor = |i: usize| a[row * a_walk.row + i * a_walk.column];
            // Four sums at a time where four values of the right side are neighbours.
            let (fours, rest) = if b_walk.column == 1 { out.as_chunks_mut::<4>() } else { (&mut [][..], out) };
            let first = 4 * fours.len();
            for (four, out) in fours.iter_mut().enumerate() {
                let mut sums = [T::ZERO; 4];
                for i in 0..k {
                    if let Some(b) = b[i * b_walk.row + 4 * four..].first_chunk::<4>() {
                        sums = std::array::from_fn(|at| sums[at] + factor(i) * b[at]);
                    }
                }
                *out = sums;
            }
            for (column, out) in rest.iter_mut().enumerate() {
                let mut sum = T::ZERO;
                for i in 0..k {
                    sum += factor(i) * b[i * b_walk.row + (first + column) * b_walk.column];
                }
                *out = sum;
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
        let ours = matmul(&a, &b, count, [m, k, n], a_walk, b_walk);
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

    #[test]
    fn long_sums_in_parts() {
        assert_eq!([[20, 2047, 33], [20, 2048, 33], [20, 9999, 33]].map(parts), [1, 2, 8]);
        for shape in [[20, 2500, 33], [1, 2049, 1], [64, 8300, 250]] {
            assert!(parts(shape) > 1);
            check(1, shape, [false, false]);
            check(2, shape, [true, true]);
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
        for [m, k, n] in [[150, 400, 90], [30, 3000, 20]] {
            let (a, b) = (of(m * k, 1), of(k * n, 2));
            let (a_walk, b_walk) = (Walk { row: k, column: 1 }, Walk { row: n, column: 1 });
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| matmul(&a, &b, 1, [m, k, n], a_walk, b_walk))
            };
            assert!(with(1) == with(3), "1 and 3 threads differ, {k} terms");
        }
    }
}
