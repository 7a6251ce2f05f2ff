//! Clusters of rows by k-means: nothing is learnt but `k` centres.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::progress::Stop;
use crate::tensor::Rng;

/// Rows that one thread takes at a time. Sums are taken within blocks and then over them in order, so that they are the same
/// for any number of threads.
const BLOCK: usize = 256;

/// A number that rows are made of.
pub trait Real: Copy + Into<f64> + Send + Sync {}
impl Real for f32 {}
impl Real for f64 {}

/// How clusters are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansOptions {
    /// How many clusters.
    pub k: usize,
    /// How many starts are tried; the one with the smallest inertia counts.
    pub n_init: usize,
    /// Passes over the rows at most.
    pub max_passes: usize,
    /// The search is over when the centres move by less than this share of the rows' mean variance, all squares together.
    pub tolerance: f64,
    /// Rows in a mini-batch; all rows at once if none.
    pub batch: Option<usize>,
    /// What the starts are drawn from.
    pub seed: u64,
}

impl Default for KMeansOptions {
    fn default() -> Self {
        Self { k: 8, n_init: 10, max_passes: 300, tolerance: 1e-4, batch: None, seed: 1 }
    }
}

/// Clusters of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// The centres `[k, dim]`, row by row.
    pub centres: Vec<f64>,
    /// Numbers in a row.
    pub dim: usize,
    /// The cluster of each row: the nearest centre, the first one at a tie.
    pub labels: Vec<u32>,
    /// The sum over the rows of the squared distance to the nearest centre.
    pub inertia: f64,
}

/// Finds clusters of `rows` (`dim` numbers each).
///
/// A start is drawn by k-means++ (Arthur and Vassilvitskii 2007), of 2 + ln k candidates for each centre the best one; then
/// come Lloyd's passes or, with a `batch`, those of Sculley 2010. A cluster that loses its last row takes the row that is
/// farthest from its own centre. The same seed gives the same clusters for any number of threads.
///
/// # Errors
/// `k` is 0 or above the number of rows; the rows do not divide by `dim`; a number is not finite; a person asked to stop.
pub fn k_means<T: Real>(rows: &[T], dim: usize, options: &KMeansOptions, stop: &Stop) -> Result<KMeans> {
    let rows = Rows::new(rows, dim)?;
    let n = rows.n();
    if options.k == 0 || options.k > n {
        return Err(Error::new(format!("{} clusters cannot be made of {n} rows", options.k))
            .help(format!("`k` must lie between 1 and {n}")));
    }
    for (name, value) in [("n_init", options.n_init), ("max_passes", options.max_passes)] {
        if value == 0 {
            return Err(Error::new(format!("`{name}` of k-means is 0")).help("it must be at least 1"));
        }
    }
    if options.batch == Some(0) {
        return Err(Error::new("the `batch` of k-means is 0").help("it must be at least 1"));
    }
    let rng = Rng::new(options.seed).stream("k_means");
    let mut best: Option<KMeans> = None;
    for start in 0..options.n_init as u64 {
        let rng = rng.at(start);
        let centres = plus_plus(&rows, options.k, &mut rng.stream("start"), stop)?;
        let found = match options.batch {
            None => lloyd(&rows, centres, options, stop)?,
            Some(size) => mini_batch(&rows, centres, size.min(n), options, &rng, stop)?,
        };
        if best.as_ref().is_none_or(|best| found.inertia < best.inertia) {
            best = Some(found);
        }
    }
    best.ok_or_else(|| Error::bug("k-means made no start"))
}

/// Lloyd's passes from `centres` (`[k, dim]`) instead of a drawn start; only `max_passes` and `tolerance` of the options count.
///
/// # Errors
/// As [`k_means`]; the centres do not divide by `dim`.
pub fn k_means_from<T: Real>(
    rows: &[T],
    dim: usize,
    centres: Vec<f64>,
    options: &KMeansOptions,
    stop: &Stop,
) -> Result<KMeans> {
    let rows = Rows::new(rows, dim)?;
    if centres.is_empty() || !centres.len().is_multiple_of(dim) || centres.len() / dim > rows.n() {
        return Err(Error::new(format!(
            "there are {} numbers in the centres and {} rows of {dim}",
            centres.len(),
            rows.n()
        ))
        .help("give between one centre and as many as there are rows"));
    }
    lloyd(&rows, centres, options, stop)
}

impl KMeans {
    /// How many clusters there are.
    pub fn k(&self) -> usize {
        self.centres.len() / self.dim
    }

    /// The nearest centre of each of other `rows`.
    ///
    /// # Errors
    /// The rows do not divide by `dim`; a number is not finite.
    pub fn assign<T: Real>(&self, rows: &[T]) -> Result<Vec<u32>> {
        Ok(nearest(&Rows::new(rows, self.dim)?, &self.centres).into_iter().map(|(label, _)| label).collect())
    }
}

struct Rows<'a, T> {
    data: &'a [T],
    dim: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    fn new(data: &'a [T], dim: usize) -> Result<Self> {
        if dim == 0 || data.is_empty() || !data.len().is_multiple_of(dim) {
            return Err(Error::new(format!("{} numbers are not whole rows of {dim}", data.len())));
        }
        if let Some(place) = data.iter().position(|value| !(*value).into().is_finite()) {
            return Err(Error::new(format!("row {} of the features is not finite", place / dim)));
        }
        Ok(Self { data, dim })
    }

    fn n(&self) -> usize {
        self.data.len() / self.dim
    }

    fn row(&self, index: usize) -> &'a [T] {
        &self.data[index * self.dim..][..self.dim]
    }

    fn centre(&self, index: usize) -> impl Iterator<Item = f64> + 'a {
        self.row(index).iter().map(|value| (*value).into())
    }

    /// What `of` makes of each row, in order.
    fn map<R: Send>(&self, of: impl Fn(usize, &'a [T]) -> R + Sync) -> Vec<R> {
        (0..self.n()).into_par_iter().with_min_len(BLOCK).map(|index| of(index, self.row(index))).collect()
    }

    /// The mean over the columns of their variance.
    fn variance(&self) -> f64 {
        let n = self.n() as f64;
        let mut sums = vec![0.0; self.dim];
        for row in self.data.chunks_exact(self.dim) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += (*value).into());
        }
        let squares = self
            .data
            .chunks_exact(self.dim)
            .map(|row| row.iter().zip(&sums).map(|(value, sum)| ((*value).into() - sum / n).powi(2)).sum::<f64>());
        squares.sum::<f64>() / n / self.dim as f64
    }
}

fn squared_distance<T: Real>(row: &[T], centre: &[f64]) -> f64 {
    // Eight sums side by side: the compiler may not reorder one.
    let mut lanes = [0.0; 8];
    let (rows, centres) = (row.chunks_exact(8), centre.chunks_exact(8));
    let rest = rows.remainder().iter().zip(centres.remainder());
    let tail: f64 = rest.map(|(a, b)| ((*a).into() - b).powi(2)).sum();
    for (a, b) in rows.zip(centres) {
        for lane in 0..8 {
            let d = a[lane].into() - b[lane];
            lanes[lane] += d * d;
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// The nearest centre of each row, the first one at a tie, and the squared distance to it.
fn nearest<T: Real>(rows: &Rows<'_, T>, centres: &[f64]) -> Vec<(u32, f64)> {
    rows.map(|_, row| closest(row, centres))
}

fn closest<T: Real>(row: &[T], centres: &[f64]) -> (u32, f64) {
    let mut best = (0, f64::INFINITY);
    for (label, centre) in centres.chunks_exact(row.len()).enumerate() {
        let distance = squared_distance(row, centre);
        if distance < best.1 {
            best = (label as u32, distance);
        }
    }
    best
}

/// A start: rows far from one another are likelier to be centres.
fn plus_plus<T: Real>(rows: &Rows<'_, T>, k: usize, rng: &mut Rng, stop: &Stop) -> Result<Vec<f64>> {
    let n = rows.n();
    let trials = 2 + (k as f64).ln() as usize;
    let first = rng.below(n);
    let mut centres: Vec<f64> = rows.centre(first).collect();
    let to = |index: usize| {
        let centre: Vec<f64> = rows.centre(index).collect();
        rows.map(|_, row| squared_distance(row, &centre))
    };
    let mut distances = to(first);
    while centres.len() < k * rows.dim {
        stop.check()?;
        let total: f64 = distances.iter().sum();
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..trials {
            let index = drawn(&distances, total, rng);
            let now: Vec<f64> = to(index).iter().zip(&distances).map(|(a, b)| a.min(*b)).collect();
            let sum: f64 = now.iter().sum();
            if best.as_ref().is_none_or(|(least, ..)| sum < *least) {
                best = Some((sum, index, now));
            }
        }
        let (_, index, now) = best.ok_or_else(|| Error::bug("k-means++ drew no candidate"))?;
        centres.extend(rows.centre(index));
        distances = now;
    }
    Ok(centres)
}

/// A place, each as likely as its weight; any place if all weigh nothing.
fn drawn(weights: &[f64], total: f64, rng: &mut Rng) -> usize {
    if total <= 0.0 {
        return rng.below(weights.len());
    }
    let mut left = rng.uniform_f64() * total;
    let mut last = 0;
    for (place, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        last = place;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// The sum and number of the rows of each cluster.
fn sums<T: Real>(rows: &Rows<'_, T>, near: &[(u32, f64)], k: usize) -> (Vec<f64>, Vec<f64>) {
    let dim = rows.dim;
    let blocks: Vec<(Vec<f64>, Vec<f64>)> = near
        .par_chunks(8 * BLOCK)
        .enumerate()
        .map(|(block, near)| {
            let (mut sums, mut counts) = (vec![0.0; k * dim], vec![0.0; k]);
            for (place, (label, _)) in near.iter().enumerate() {
                let label = *label as usize;
                counts[label] += 1.0;
                let sum = &mut sums[label * dim..][..dim];
                sum.iter_mut().zip(rows.centre(block * 8 * BLOCK + place)).for_each(|(sum, value)| *sum += value);
            }
            (sums, counts)
        })
        .collect();
    blocks.into_iter().fold((vec![0.0; k * dim], vec![0.0; k]), |mut all, block| {
        all.0.iter_mut().zip(block.0).for_each(|(sum, value)| *sum += value);
        all.1.iter_mut().zip(block.1).for_each(|(sum, value)| *sum += value);
        all
    })
}

/// Gives each cluster without a row the row that is farthest from its centre, and is not the last of its own cluster.
fn refill(near: &mut [(u32, f64)], k: usize) {
    let mut counts = vec![0usize; k];
    near.iter().for_each(|(label, _)| counts[*label as usize] += 1);
    for empty in (0..k).filter(|label| counts[*label] == 0).collect::<Vec<_>>() {
        let mut far: Option<usize> = None;
        for (index, (label, distance)) in near.iter().enumerate() {
            if counts[*label as usize] > 1 && far.is_none_or(|far| *distance > near[far].1) {
                far = Some(index);
            }
        }
        if let Some(far) = far {
            counts[near[far].0 as usize] -= 1;
            counts[empty] = 1;
            near[far] = (empty as u32, 0.0);
        }
    }
}

fn finished<T: Real>(rows: &Rows<'_, T>, centres: Vec<f64>) -> KMeans {
    let near = nearest(rows, &centres);
    KMeans {
        dim: rows.dim,
        inertia: near.iter().map(|(_, distance)| distance).sum(),
        labels: near.into_iter().map(|(label, _)| label).collect(),
        centres,
    }
}

fn lloyd<T: Real>(rows: &Rows<'_, T>, mut centres: Vec<f64>, options: &KMeansOptions, stop: &Stop) -> Result<KMeans> {
    let (dim, k) = (rows.dim, centres.len() / rows.dim);
    let enough = options.tolerance * rows.variance();
    let mut before: Vec<u32> = Vec::new();
    for _ in 0..options.max_passes {
        stop.check()?;
        let mut near = nearest(rows, &centres);
        refill(&mut near, k);
        let (sums, counts) = sums(rows, &near, k);
        let mut moved = 0.0;
        for ((centre, sum), count) in centres.chunks_exact_mut(dim).zip(sums.chunks_exact(dim)).zip(&counts) {
            for (value, sum) in centre.iter_mut().zip(sum) {
                let mean = sum / count;
                moved += (mean - *value).powi(2);
                *value = mean;
            }
        }
        let labels: Vec<u32> = near.into_iter().map(|(label, _)| label).collect();
        if labels == before || moved <= enough {
            break;
        }
        before = labels;
    }
    Ok(finished(rows, centres))
}

fn mini_batch<T: Real>(
    rows: &Rows<'_, T>,
    mut centres: Vec<f64>,
    size: usize,
    options: &KMeansOptions,
    rng: &Rng,
    stop: &Stop,
) -> Result<KMeans> {
    let (dim, k, n) = (rows.dim, centres.len() / rows.dim, rows.n());
    let enough = options.tolerance * rows.variance();
    let mut counts = vec![0.0; k];
    for pass in 0..options.max_passes as u64 {
        let order = rng.stream("order").at(pass).permutation(n);
        let before = centres.clone();
        let mut taken = vec![false; k];
        for batch in order.chunks(size) {
            stop.check()?;
            let near: Vec<u32> =
                batch.par_iter().with_min_len(BLOCK).map(|index| closest(rows.row(*index), &centres).0).collect();
            for (index, label) in batch.iter().zip(near) {
                let label = label as usize;
                taken[label] = true;
                counts[label] += 1.0;
                // A centre is the mean of all the rows it was ever given.
                let centre = &mut centres[label * dim..][..dim];
                centre.iter_mut().zip(rows.centre(*index)).for_each(|(c, v)| *c += (v - *c) / counts[label]);
            }
        }
        let mut draw = rng.stream("empty").at(pass);
        for label in (0..k).filter(|label| !taken[*label]) {
            // No row of the whole pass was nearest to it: it begins again elsewhere.
            let place = draw.below(n);
            centres[label * dim..][..dim].iter_mut().zip(rows.centre(place)).for_each(|(c, v)| *c = v);
            counts[label] = 0.0;
        }
        let moved: f64 = centres.iter().zip(&before).map(|(a, b)| (a - b).powi(2)).sum();
        if moved <= enough {
            break;
        }
    }
    Ok(finished(rows, centres))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clouds of `n` points around (0, 0), (10, 0) and (0, 10), the last one a third of the size.
    fn clouds(n: usize) -> Vec<f32> {
        let mut rng = Rng::new(5);
        let mut rows = Vec::new();
        for (x, y, n) in [(0.0, 0.0, n), (10.0, 0.0, n), (0.0, 10.0, n / 3)] {
            (0..n).for_each(|_| rows.extend([x + rng.normal(), y + rng.normal()]));
        }
        rows
    }

    fn find(rows: &[f32], k: usize, batch: Option<usize>) -> KMeans {
        k_means(rows, 2, &KMeansOptions { k, batch, ..KMeansOptions::default() }, &Stop::default()).unwrap()
    }

    #[test]
    fn clouds_are_found_with_all_rows_and_in_batches() {
        let rows = clouds(90);
        let whole = find(&rows, 3, None);
        for found in [&whole, &find(&rows, 3, Some(32))] {
            let of = |range: std::ops::Range<usize>| {
                let labels = &found.labels[range];
                assert!(labels.iter().all(|label| *label == labels[0]), "{labels:?}");
                labels[0]
            };
            let mut labels = [of(0..90), of(90..180), of(180..210)];
            labels.sort_unstable();
            assert_eq!(labels, [0, 1, 2]);
            assert!(found.inertia < 1.02 * whole.inertia, "{} beside {}", found.inertia, whole.inertia);
            assert_eq!(found.assign(&rows).unwrap(), found.labels);
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let rows = clouds(900);
        let with = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| find(&rows, 7, None))
        };
        assert_eq!(with(1), with(2));
    }

    #[test]
    fn a_cluster_without_rows_takes_the_farthest_one() {
        // The second centre is nearest to nothing; the row 9 is farthest from the first.
        let rows = [0.0, 1.0, 9.0];
        let found = k_means_from(&rows, 1, vec![2.0, 100.0], &KMeansOptions::default(), &Stop::default()).unwrap();
        assert_eq!((found.labels, found.centres, found.inertia), (vec![0, 0, 1], vec![0.5, 9.0], 0.5));
        // As many clusters as different rows, then more: nothing is left over, and nothing goes wrong.
        let same = [1.0f32, 1.0, 1.0, 1.0, 2.0, 2.0];
        for (k, batch) in [(2, None), (3, None), (3, Some(2))] {
            assert_eq!(find(&same, k, batch).inertia, 0.0);
        }
    }

    #[test]
    fn what_cannot_be_clustered_is_refused() {
        let message = |rows: &[f32], dim, k| {
            k_means(rows, dim, &KMeansOptions { k, ..KMeansOptions::default() }, &Stop::default()).unwrap_err().message
        };
        assert_eq!(message(&[1.0; 6], 2, 4), "4 clusters cannot be made of 3 rows");
        assert_eq!(message(&[1.0; 5], 2, 1), "5 numbers are not whole rows of 2");
        assert_eq!(message(&[1.0, 1.0, f32::NAN], 1, 1), "row 2 of the features is not finite");
    }

    #[test]
    fn a_start_is_drawn_far_from_those_before_it() {
        // Of a thousand rows one lies apart: it is all but sure to be the second centre.
        let mut rows: Vec<f64> = (0..999).map(|i| f64::from(i % 10) / 10.0).collect();
        rows.push(1e4);
        let rows = Rows::new(&rows, 1).unwrap();
        for seed in 0..10 {
            let centres = plus_plus(&rows, 2, &mut Rng::new(seed), &Stop::default()).unwrap();
            assert!(centres.contains(&1e4), "{centres:?}");
        }
    }

    #[test]
    fn larger_numbers_are_clustered_in_the_same_passes() {
        let rows: Vec<f64> = Rng::new(3).uniforms(800).into_iter().map(f64::from).collect();
        let found = |scale: f64| {
            let rows: Vec<f64> = rows.iter().map(|value| value * scale).collect();
            let options = KMeansOptions { tolerance: 1e-2, ..KMeansOptions::default() };
            k_means_from(&rows, 2, rows[..10].to_vec(), &options, &Stop::default()).unwrap()
        };
        let (small, large) = (found(1.0), found(1024.0));
        assert_eq!(large.centres, small.centres.iter().map(|value| value * 1024.0).collect::<Vec<_>>());
    }

    #[test]
    fn a_centre_of_mini_batches_is_the_mean_of_all_the_rows_it_was_given() {
        let rows = [0.0, 1.0, 9.0, 10.0];
        let options = KMeansOptions { max_passes: 2, ..KMeansOptions::default() };
        let rows = Rows::new(&rows, 1).unwrap();
        let found = mini_batch(&rows, vec![0.0, 1.0], 4, &options, &Rng::new(1), &Stop::default()).unwrap();
        // First 0, and 1 9 10; then 0 1, and 9 10.
        let expected = [1.0 / 3.0, 39.0 / 5.0];
        assert!(found.centres.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", found.centres);
    }
}
