//! The shape of a convolution, and its phases: what a stride takes apart.
//!
//! With a stride of 2 every second row and column of a kernel meets every second pixel: four convolutions with a stride of 1, whose
//! kernels have half as many rows and columns, and whose sum is the output. The gradient of the input is four as well, each of
//! which gives every second pixel of every second row.

use super::kernel::{TILE, Transforms};

/// Bytes that no cache holds.
const LARGE: usize = 24 * 1024 * 1024;
/// Tiles times places that are few: their sums for a block of outputs stay in the second-level cache while weights are made.
const FEW: usize = 6000;

/// What is computed of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    Output,
    InputGradient,
    WeightGradient,
}

/// The shape of a correlation.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub n: usize,
    pub ci: usize,
    pub co: usize,
    /// Height and width of the input, and of the output.
    pub input: [usize; 2],
    pub output: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: usize,
    pub stride: usize,
    /// Zeros above and left of the convolution's input.
    pub pad: [usize; 2],
    /// Whether this is the gradient of the convolution's input: `ci`, `co`, `input` and `output` are those of the correlation that
    /// gives it, while `kernel`, `stride` and `pad` are the convolution's.
    pub turned: bool,
}

/// A correlation with a stride of 1 that is a part of one: with every so many-th pixel of the input, or for every so many-th of the
/// output.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Rows and columns from the first pixel that any of them reads to the first that this one does.
    pub offset: [usize; 2],
    /// For each tap, where it is found in a kernel of the convolution; none where the kernel has no such row or column.
    pub taps: Vec<Option<usize>>,
}

impl Shape {
    /// Rows and columns of a phase's kernel.
    pub fn taps(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    /// Pixels of the input from one that a phase reads to the next.
    pub fn input_step(&self) -> usize {
        if self.turned { 1 } else { self.stride }
    }

    /// Pixels of the output from one that a phase gives to the next.
    pub fn output_step(&self) -> usize {
        if self.turned { self.stride } else { 1 }
    }

    /// Rows and columns of the output that a tile gives.
    pub fn tile(&self) -> usize {
        TILE * self.output_step()
    }

    /// Rows and columns of tiles of an image.
    pub fn tiles(&self) -> [usize; 2] {
        self.output.map(|size| size.div_ceil(self.tile()))
    }

    /// How many phases the input has, and the output: one of both is 1.
    pub fn phase_counts(&self) -> [usize; 2] {
        let count = self.stride * self.stride;
        if self.turned { [1, count] } else { [count, 1] }
    }

    /// Along one axis: rows that the first window stands above the input, and for each phase the rows from there to its own and the
    /// kernel's row of each tap, which may be past the last.
    fn along(&self, axis: usize) -> (isize, Vec<(usize, Vec<usize>)>) {
        let (stride, taps, pad) = (self.stride, self.taps(), self.pad[axis]);
        if !self.turned {
            let rows = |phase| (0..taps).map(|tap| tap * stride + phase).collect();
            return (pad as isize, (0..stride).map(|phase| (phase, rows(phase))).collect());
        }
        // Output row `p * stride + phase` meets row `i` of the kernel where input row `p + (phase + pad - i) / stride` does.
        let first = pad / stride;
        let phases = (0..stride).map(|phase| {
            let (rows, down) = ((phase + pad) % stride, (phase + pad) / stride);
            (down - first, (0..taps).map(|tap| rows + (taps - 1 - tap) * stride).collect())
        });
        (taps as isize - 1 - first as isize, phases.collect())
    }

    /// Rows and columns that the first window of any phase stands above and left of the input, and the phases, those of a row one
    /// after the other.
    pub fn phases(&self) -> ([isize; 2], Vec<Phase>) {
        let [(above, rows), (left, columns)] = [0, 1].map(|axis| self.along(axis));
        let mut phases = Vec::with_capacity(rows.len() * columns.len());
        for (y, row_taps) in &rows {
            for (x, column_taps) in &columns {
                let mut taps = Vec::with_capacity(row_taps.len() * column_taps.len());
                for &i in row_taps {
                    taps.extend(column_taps.iter().map(|&j| (i.max(j) < self.kernel).then_some(i * self.kernel + j)));
                }
                phases.push(Phase { offset: [*y, *x], taps });
            }
        }
        ([above, left], phases)
    }

    /// Rows (or columns) of the input that so many tiles, one below the other, read.
    pub fn reach<T>(&self, tiles: usize, transforms: &Transforms<T>) -> usize {
        let of_phase = tiles * TILE + transforms.reach - TILE;
        // Phases of the output start at most a row apart.
        self.input_step() * of_phase + usize::from(self.output_step() > 1)
    }

    /// Elements of transformed weights.
    fn weights<T>(&self, lanes: usize, transforms: &Transforms<T>) -> usize {
        let [inputs, outputs] = self.phase_counts();
        transforms.places() * inputs * outputs * self.ci * self.co.next_multiple_of(lanes)
    }

    /// Whether tiles are few, and all of them stay in a cache: then each task makes the weights that it uses. The number of threads
    /// has no say, for sums are cut otherwise.
    pub fn is_wide<T>(&self, lanes: usize, transforms: &Transforms<T>) -> bool {
        let ([rows, columns], [inputs, outputs]) = (self.tiles(), self.phase_counts());
        let tiles = self.n * rows * columns;
        let transformed = tiles * transforms.places() * inputs * outputs * self.ci * size_of::<T>();
        // A task for each block of outputs.
        let blocks = self.co.div_ceil(2 * lanes);
        transformed <= LARGE
            && tiles * outputs * transforms.places() <= FEW / outputs.min(2)
            && blocks >= if tiles <= 32 { 2 } else { 4 }
    }

    /// Whether this way is expected to be the faster one: channels that fill vectors, tiles that are mostly used, and enough of
    /// them for the weights that are made.
    pub fn suits<T>(&self, lanes: usize, transforms: &Transforms<T>, sought: Sought) -> bool {
        let [rows, columns] = self.tiles();
        let [inputs, outputs] = self.phase_counts();
        if self.n == 0 || self.ci < lanes || self.co < lanes || (inputs > 1 && !self.ci.is_multiple_of(lanes)) {
            return false;
        }
        let wide = |channels: usize| channels.next_multiple_of(lanes) as f64;
        let (ci, co) = (wide(self.ci), wide(self.co));
        let (tiles, places) = ((self.n * rows * columns) as f64, transforms.places() as f64);
        let (inputs, outputs) = (inputs as f64, outputs as f64);
        // All in the time of a product: those of a tile, the transforms of its inputs and outputs, and making a weight, which
        // goes to memory and back unless it is used where it is made. The direct way brings weights in order first, or their
        // gradients in the end.
        let weights = self.weights(lanes, transforms) as f64;
        let of_tiles = tiles * (weights + 4.0 * places * (inputs * outputs * ci + outputs * co));
        let taps = (self.kernel * self.kernel) as f64 * self.ci as f64 * co;
        let direct = 1.1 * (self.n * self.output[0] * self.output[1]) as f64 * taps / outputs;
        let of_weight = match sought {
            Sought::WeightGradient => return 1.55 * of_tiles + 15.0 * weights < direct + 100.0 * taps,
            _ if self.is_wide(lanes, transforms) => 12.0,
            _ if weights * size_of::<T>() as f64 > LARGE as f64 => 60.0,
            _ => 35.0,
        };
        of_tiles + of_weight * weights < direct + 70.0 * taps
    }
}
