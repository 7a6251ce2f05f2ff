//! Values that lie in any order, such as after a permutation of dimensions, written in row-major order.

use std::mem::MaybeUninit;

use super::map::build;

/// Values of a task.
const CHUNK: usize = 16 * 1024;
/// The side of the squares that are turned at a time.
const SQUARE: usize = 16;

/// `x[at + i0 * strides[0] + i1 * strides[1] + ..]` for all indices below `dims`, the last running fastest.
pub fn ordered<T: Copy + Send + Sync>(x: &[T], at: usize, dims: &[usize], strides: &[usize]) -> Vec<T> {
    let n: usize = dims.iter().product();
    if n == 0 {
        return Vec::new();
    }
    // Dimensions of one index do not count, and two that lie one in the other are one.
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (&length, &stride) in dims.iter().zip(strides).filter(|(length, _)| **length != 1) {
        match runs.last_mut() {
            Some((before, step)) if *step == stride * length => (*before, *step) = (*before * length, stride),
            _ => runs.push((length, stride)),
        }
    }
    let Some((columns, column_step)) = runs.pop() else { return vec![x[at]] };
    let (rows, row_step) = runs.pop().unwrap_or((1, 0));
    // Where the rows begin that have the same other indices.
    let start = |mut plane: usize| {
        let mut start = at;
        for &(length, stride) in runs.iter().rev() {
            start += plane % length * stride;
            plane /= length;
        }
        start
    };
    let chunk = CHUNK.div_ceil(columns).next_multiple_of(SQUARE) * columns;
    build(n, chunk, |first, out| {
        let (mut row, mut out) = (first / columns, out);
        while !out.is_empty() {
            let (plane, from) = (row / rows, row % rows);
            let count = (rows - from).min(out.len() / columns);
            let (part, rest) = out.split_at_mut(count * columns);
            let source = start(plane) + from * row_step;
            if column_step == 1 {
                for (i, to) in part.chunks_exact_mut(columns).enumerate() {
                    to.write_copy_of_slice(&x[source + i * row_step..][..columns]);
                }
            } else {
                turned(&x[source..], [count, columns], [row_step, column_step], part);
            }
            row += count;
            out = rest;
        }
    })
}

/// Matrices side by side: a row of each in turn. With each comes the length of its rows; all have as many.
pub fn joined<T: Copy + Send + Sync>(matrices: &[(&[T], usize)]) -> Vec<T> {
    let width: usize = matrices.iter().map(|(_, columns)| columns).sum();
    let n = matrices.iter().map(|(values, _)| values.len()).sum();
    if n == 0 {
        return Vec::new();
    }
    build(n, CHUNK, |first, out| {
        let (mut row, mut column, mut out) = (first / width, first % width, out);
        while !out.is_empty() {
            let mut start = 0;
            for (values, columns) in matrices {
                let end = start + columns;
                if (start..end).contains(&column) {
                    let count = (end - column).min(out.len());
                    let (part, rest) = out.split_at_mut(count);
                    part.write_copy_of_slice(&values[row * columns + column - start..][..count]);
                    (column, out) = (column + count, rest);
                }
                start = end;
            }
            if column == width {
                (row, column) = (row + 1, 0);
            }
        }
    })
}

/// Rows of a matrix whose neighbours in a row lie apart, by squares that stay in the nearest cache.
fn turned<T: Copy>(
    x: &[T],
    [rows, columns]: [usize; 2],
    [row_step, column_step]: [usize; 2],
    out: &mut [MaybeUninit<T>],
) {
    for top in (0..rows).step_by(SQUARE) {
        let bottom = (top + SQUARE).min(rows);
        for left in (0..columns).step_by(SQUARE) {
            let right = (left + SQUARE).min(columns);
            for row in top..bottom {
                let from = &x[row * row_step + left * column_step..];
                let to = &mut out[row * columns + left..row * columns + right];
                if column_step == 0 {
                    to.fill(MaybeUninit::new(from[0]));
                    continue;
                }
                for (to, from) in to.iter_mut().zip(from.iter().step_by(column_step)) {
                    to.write(*from);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_stand_side_by_side() {
        assert_eq!(joined(&[(&[1, 2, 5, 6][..], 2), (&[], 0), (&[3, 7], 1)]), [1, 2, 3, 5, 6, 7]);
        assert!(joined::<u8>(&[(&[], 0), (&[], 0)]).is_empty());
        // Longer than a task, and rows that a task's end cuts.
        let (a, b): (Vec<usize>, Vec<usize>) = ((0..30_000).collect(), (0..20_000).collect());
        let joined = joined(&[(&a, 3), (&b, 2)]);
        for (row, line) in joined.chunks(5).enumerate() {
            assert_eq!(line, [&a[row * 3..][..3], &b[row * 2..][..2]].concat());
        }
    }

    /// The same, index by index.
    fn plainly(x: &[i64], at: usize, dims: &[usize], strides: &[usize]) -> Vec<i64> {
        let n: usize = dims.iter().product();
        (0..n)
            .map(|mut i| {
                let mut place = at;
                for (length, stride) in dims.iter().zip(strides).rev() {
                    place += i % length * stride;
                    i /= length;
                }
                x[place]
            })
            .collect()
    }

    #[test]
    fn any_order_is_written_row_by_row() {
        let x: Vec<i64> = (0..200_000).collect();
        for (at, dims, strides) in [
            (0, vec![5, 33, 40, 3], vec![3960, 40, 1, 1320]), // [5, 3, 33, 40] with channels last
            (7, vec![40, 33], vec![1, 40]),
            (3, vec![2, 3, 4], vec![1, 8, 2]),
            (0, vec![3, 70, 1, 20], vec![20, 60, 5, 1]),
            (5, vec![4, 1000], vec![0, 1]),
            (5, vec![1000, 17], vec![1, 0]),
            (5, vec![3, 4, 5], vec![0, 0, 0]),
            (1, vec![1, 1], vec![9, 9]),
            (0, vec![90, 80, 20], vec![20, 1800, 1]),
            (0, vec![0, 4], vec![4, 1]),
        ] {
            assert_eq!(ordered(&x, at, &dims, &strides), plainly(&x, at, &dims, &strides), "{dims:?} {strides:?}");
        }
    }
}
