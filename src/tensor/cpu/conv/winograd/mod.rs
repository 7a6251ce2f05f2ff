//! Convolution by Winograd's minimal filtering (Lavin & Gray 2015, arXiv:1509.09308): with 3 x 3 kernels and a stride of 1, 4 x 4
//! outputs from 36 products where the direct way takes 144. Kernels of up to 6 x 6 with a stride of 2 are [taken apart](shape)
//! into four of 3 x 3, or of 2 x 2, for which 4 x 4 outputs take 25 products in place of 64.
//!
//! Tiles of 6 x 6 (or 5 x 5) inputs are transformed, for each of as many places a matrix of `[tile][channel]` is multiplied with one
//! of weights, and what comes is transformed into 4 x 4 outputs. Where tiles are many, those of a task stay in the second-level
//! cache while all weights go by; where they are few, a part of the weights does while all tiles go by. Errors are about twice
//! those of the direct way: `tests.rs` states and holds them.
#![allow(unsafe_code)] // Tasks write to one output; the plans below give each its own part.

mod band;
mod kernel;
mod line;
mod shape;
mod task;
mod tiles;
mod weight;
mod weights;

#[cfg(test)]
mod tests;

use rayon::prelude::*;

pub use kernel::{Transforms, Winograd};
pub use shape::{Shape, Sought};
pub use weight::gradient;

use super::kernel::Kernels;
use crate::tensor::cpu::buffer::{Aligned, SharedMut, with_scratch};
use crate::tensor::cpu::conv::place::Place;
use crate::tensor::cpu::real::Real;
use task::{Rows, Source, Tasks};
use tiles::Cut;
use weights::{Maker, Part, Weights};

/// Bytes of transformed tiles of one task: what the second-level cache holds beside weights.
const BUDGET: usize = 900 * 1024;

/// What is done with the sums of each channel.
pub struct Finish<'a, T> {
    /// What is added, whole vectors of channels.
    pub bias: &'a [T],
    /// What smaller sums become.
    pub least: T,
}

/// Correlates `x`, `[n, ci, input]`, with `w`, `[co][ci][taps]` (`[ci][co][taps]` for the gradient of a convolution's input), and
/// finishes the sums, giving `[n, co, output]` at `place`.
pub fn run<T: Real>(
    x: &[T],
    w: &[T],
    finish: Finish<'_, T>,
    s: &Shape,
    kernels: &Kernels<T>,
    transforms: &Transforms<T>,
    place: &Place<T>,
) {
    let maker = Maker::new(w, s, kernels, transforms);
    let tasks = Tasks::new(s, kernels, transforms, finish, place);
    if s.is_wide(kernels.lanes, transforms) { by_channels(x, &maker, &tasks) } else { by_tiles(x, &maker, &tasks) }
}

/// Tasks of some tiles each, and all outputs: few weights, which all of them use.
fn by_tiles<T: Real>(x: &[T], maker: &Maker<'_, T>, tasks: &Tasks<'_, T>) {
    let (s, lanes, places) = (tasks.s, tasks.kernels.lanes, tasks.transforms.places());
    let weights = Source::Made(&Weights::new(maker));
    let most = BUDGET / (places * (tasks.pitch + 2 * lanes) * size_of::<T>());
    let cut = Cut::new(s, most.max(tasks.kernels.rows), 2 * rayon::current_num_threads());
    // Each task writes every output of its images and rows, and tasks cover them all.
    (0..cut.count(s)).into_par_iter().for_each(|task| {
        let (images, rows) = cut.part(s, task);
        let of = Rows { images, rows, columns: cut.columns };
        // Places whose distance is a power of two would all fall on the same lines of the first-level cache.
        let plane = of.tiles() * tasks.pitch + lanes;
        let rest = tasks.inputs_len(&of).max(tasks.outputs_len(&of, &weights).iter().sum());
        with_scratch::<T, _>(places * plane + rest, |scratch| {
            let (v, rest) = scratch.split_at_mut(places * plane);
            // SAFETY: there is room for the tiles of this task.
            unsafe { tasks.inputs(x, &of, v.as_mut_ptr(), plane, rest) };
            for first in (0..s.co).step_by(2 * lanes) {
                tasks.outputs(&weights, first, &of, (v, plane), rest);
            }
        });
    });
}

/// All tiles first, and then tasks of a block of outputs each, which make their own weights: these are many, and would go to memory
/// and back.
fn by_channels<T: Real>(x: &[T], maker: &Maker<'_, T>, tasks: &Tasks<'_, T>) {
    let (s, lanes, places) = (tasks.s, tasks.kernels.lanes, tasks.transforms.places());
    let [rows, columns] = s.tiles();
    let of = Rows { images: 0..s.n, rows: 0..rows, columns };
    let plane = of.tiles() * tasks.pitch + lanes;
    // SAFETY: every tile is written below; what lies between planes is not read.
    let mut v = unsafe { Aligned::<T>::uninit(places * plane) };
    let shared = SharedMut::new(&mut v);
    (0..s.n).into_par_iter().for_each(|image| {
        let of = Rows { images: image..image + 1, ..of.clone() };
        with_scratch::<T, _>(tasks.inputs_len(&of), |scratch| {
            // SAFETY: the tiles of this image belong to this task alone.
            unsafe { tasks.inputs(x, &of, shared.get().add(image * of.tiles() * tasks.pitch), plane, scratch) };
        });
    });
    let weights = Source::Own(Part::new(maker));
    let lengths = tasks.outputs_len(&of, &weights);
    // Each task writes every output of its channels, and tasks cover them all.
    (0..s.co.div_ceil(2 * lanes)).into_par_iter().for_each(|block| {
        with_scratch::<T, _>(lengths.iter().sum(), |scratch| {
            tasks.outputs(&weights, block * 2 * lanes, &of, (&v, plane), scratch);
        });
    });
}
