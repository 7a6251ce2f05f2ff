//! t-SNE: rows as points in a plane, neighbours beside one another (van der Maaten & Hinton 2008).

use faer::MatRef;
use rayon::prelude::*;

use super::pca::{pca, rows_of, times};
use crate::error::{Error, Result};
use crate::progress::{Job, Step};
use crate::tensor::Rng;

crate::options! {
    /// Options of t-SNE.
    pub struct TsneOptions("embed::tsne") {
        /// About how many neighbours each row has.
        pub perplexity: f64 = 30.0,
        /// Steps of the descent; neighbours attract one another twelve times as strongly in the first quarter.
        pub steps: usize = 1000,
        /// `pca` begins with the first two principal components, `random` with points drawn from `seed`.
        pub init: String = "pca".into(),
        /// What a random beginning is drawn from.
        pub seed: u64 = 1,
    }
}

/// Rows in a plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Tsne {
    /// Where each row lies, `[n, 2]`.
    pub points: Vec<f64>,
    /// The Kullback-Leibler divergence of the neighbourhoods in the plane from those of the rows: what the descent lessens.
    pub divergence: f64,
}

/// More rows take minutes, and gigabytes.
const MOST: usize = 5000;
/// How strongly neighbours attract one another at first.
const EXAGGERATION: f64 = 12.0;
/// The spread of the beginning.
const SPREAD: f64 = 1e-4;

/// Lays out `rows` (`dim` numbers each) in a plane. All pairs are looked at: no approximation, and the time grows with the
/// square of the rows.
///
/// # Errors
/// An option is out of range; there are too many rows; a number is not finite; a person asked to stop.
pub fn tsne(rows: &[f64], dim: usize, options: &TsneOptions, job: &Job) -> Result<Tsne> {
    let n = rows_of(rows, dim)?;
    let start = match options.init.as_str() {
        "pca" => {
            let found = pca(rows, dim, dim.min(n).min(2))?;
            let deviation = (found.points.iter().step_by(found.k).map(|x| x * x).sum::<f64>() / n as f64).sqrt();
            let scale = if deviation > 0.0 { SPREAD / deviation } else { 0.0 };
            // Of one number a row there is one component: the points begin on a line.
            found
                .points
                .chunks_exact(found.k)
                .flat_map(|p| [p[0] * scale, p.get(1).map_or(0.0, |y| y * scale)])
                .collect()
        }
        "random" => {
            let mut rng = Rng::new(options.seed).stream("tsne");
            rng.normals(2 * n).into_iter().map(|value| f64::from(value) * SPREAD).collect()
        }
        other => return Err(Error::new(format!("`init` is `{other}`")).help("it is `pca` or `random`")),
    };
    tsne_from(rows, dim, start, options, job)
}

/// The same from `points` (`[n, 2]`) instead of a beginning of its own.
///
/// # Errors
/// As [`tsne`]; there are not two numbers to a row in `points`.
pub fn tsne_from(rows: &[f64], dim: usize, points: Vec<f64>, options: &TsneOptions, job: &Job) -> Result<Tsne> {
    let n = rows_of(rows, dim)?;
    if n > MOST {
        return Err(Error::new(format!("t-SNE was given {n} rows, and takes at most {MOST}"))
            .help("give it a part of them, or use `embed::pca`"));
    }
    if !(1.0..n as f64).contains(&options.perplexity) {
        return Err(Error::new(format!("`perplexity` is {} for {n} rows", options.perplexity))
            .help("it must be at least 1 and below the number of rows"));
    }
    if points.len() != 2 * n {
        return Err(Error::new(format!("{} numbers are no beginning for {n} points in a plane", points.len())));
    }
    let attraction = joint(&squared_distances(rows, n, dim), n, options.perplexity);
    job.stop.check()?;
    let early = options.steps / 4;
    let mut state = Descent::from(points);
    // Belkina et al. 2019, as in scikit-learn.
    let rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
    job.observer.begin("tsne", 0, options.steps as u64);
    for step in 0..options.steps {
        job.stop.check()?;
        if step == early {
            // The slopes change at once, so what was learnt of them is forgotten.
            state = Descent::from(state.points);
        }
        let (exaggeration, momentum) = if step < early { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let (gradient, reached) = gradient(&state.points, &attraction, exaggeration);
        state.step(&gradient, momentum, rate);
        let step =
            Step { stage: "tsne", step: step as u64 + 1, of: options.steps as u64, values: &[("divergence", reached)] };
        job.observer.step(&step);
    }
    let divergence = gradient(&state.points, &attraction, 1.0).1;
    job.observer.end("tsne", &format!("{} steps", options.steps));
    if !state.points.iter().all(|value| value.is_finite()) || !divergence.is_finite() {
        return Err(Error::new("t-SNE went astray: a point is no longer finite").help("try another `perplexity`"));
    }
    Ok(Tsne { points: state.points, divergence })
}

/// `[n, n]`.
fn squared_distances(rows: &[f64], n: usize, dim: usize) -> Vec<f64> {
    let x = MatRef::from_row_major_slice(rows, n, dim);
    let products = times(x, x.transpose());
    let mut distances = vec![0.0; n * n];
    distances.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
        for (j, distance) in row.iter_mut().enumerate() {
            *distance =
                if i == j { 0.0 } else { (products[(i, i)] + products[(j, j)] - 2.0 * products[(i, j)]).max(0.0) };
        }
    });
    distances
}

/// How near each two rows are, `[n, n]`, summing to 1: Gaussian neighbourhoods, each as wide as its perplexity asks.
fn joint(distances: &[f64], n: usize, perplexity: f64) -> Vec<f64> {
    let wanted = perplexity.ln();
    let mut near = vec![0.0; n * n];
    near.par_chunks_mut(n).zip(distances.par_chunks(n)).enumerate().for_each(|(i, (near, distances))| {
        // The precision whose entropy is the logarithm of the perplexity, by halving.
        let (mut low, mut high, mut precision) = (0.0f64, f64::INFINITY, 1.0f64);
        let nearest =
            distances.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, d)| *d).fold(f64::INFINITY, f64::min);
        for _ in 0..200 {
            let (mut sum, mut weighted) = (0.0, 0.0);
            for (j, (near, distance)) in near.iter_mut().zip(distances).enumerate() {
                // Less the nearest: the share is the same, and the sum is never zero.
                let beyond = distance - nearest;
                *near = if i == j { 0.0 } else { (-beyond * precision).exp() };
                sum += *near;
                weighted += *near * beyond;
            }
            near.iter_mut().for_each(|near| *near /= sum);
            let entropy = sum.ln() + precision * weighted / sum;
            if (entropy - wanted).abs() < 1e-10 {
                break;
            }
            if entropy > wanted {
                low = precision;
                precision = if high.is_infinite() { precision * 2.0 } else { (precision + high) / 2.0 };
            } else {
                high = precision;
                precision = (precision + low) / 2.0;
            }
        }
    });
    let mut both = vec![0.0; n * n];
    both.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
        for (j, value) in row.iter_mut().enumerate() {
            *value = (near[i * n + j] + near[j * n + i]) / (2.0 * n as f64);
        }
    });
    both
}

/// The gradient `[n, 2]` of the divergence with `attraction` times `exaggeration`, and the divergence without.
fn gradient(points: &[f64], attraction: &[f64], exaggeration: f64) -> (Vec<f64>, f64) {
    let n = points.len() / 2;
    let weight = |i: usize, j: usize| {
        let (x, y) = (points[2 * i] - points[2 * j], points[2 * i + 1] - points[2 * j + 1]);
        1.0 / (1.0 + x * x + y * y)
    };
    // Of each row: the sum of weights, then the attracting and the repelling part of the gradient, which the sum of all
    // weights joins. One pass over the pairs, summed in a fixed order.
    let rows: Vec<[f64; 6]> = (0..n)
        .into_par_iter()
        .map(|i| {
            let mut row = [0.0; 6];
            for j in (0..n).filter(|j| *j != i) {
                let (weight, near) = (weight(i, j), attraction[i * n + j]);
                let (x, y) = (points[2 * i] - points[2 * j], points[2 * i + 1] - points[2 * j + 1]);
                row[0] += weight;
                row[1] += near * weight * x;
                row[2] += near * weight * y;
                row[3] += weight * weight * x;
                row[4] += weight * weight * y;
                if near > 0.0 {
                    row[5] += near * (near / weight).ln();
                }
            }
            row
        })
        .collect();
    let total: f64 = rows.iter().map(|row| row[0]).sum();
    let gradient = rows
        .iter()
        .flat_map(|row| {
            [4.0 * (exaggeration * row[1] - row[3] / total), 4.0 * (exaggeration * row[2] - row[4] / total)]
        })
        .collect();
    let nearness: f64 = attraction.iter().sum();
    (gradient, rows.iter().map(|row| row[5]).sum::<f64>() + nearness * total.ln())
}

/// Points on their way down.
struct Descent {
    points: Vec<f64>,
    velocity: Vec<f64>,
    gains: Vec<f64>,
}

impl Descent {
    fn from(points: Vec<f64>) -> Self {
        Self { velocity: vec![0.0; points.len()], gains: vec![1.0; points.len()], points }
    }

    /// Momentum with a gain for each number, larger while it keeps its direction (Jacobs 1988).
    fn step(&mut self, gradient: &[f64], momentum: f64, rate: f64) {
        for (i, slope) in gradient.iter().enumerate() {
            let turned = self.velocity[i] * slope < 0.0;
            self.gains[i] = if turned { self.gains[i] + 0.2 } else { self.gains[i] * 0.8 }.max(0.01);
            self.velocity[i] = momentum * self.velocity[i] - rate * self.gains[i] * slope;
            self.points[i] += self.velocity[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, dim: usize) -> Vec<f64> {
        Rng::new(3).uniforms(n * dim).into_iter().map(f64::from).collect()
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_divergence() {
        let rows = rows(12, 3);
        let attraction = joint(&squared_distances(&rows, 12, 3), 12, 4.0);
        assert!((attraction.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let points: Vec<f64> = Rng::new(4).normals(24).into_iter().map(f64::from).collect();
        let (slopes, _) = gradient(&points, &attraction, 1.0);
        for i in [0, 7, 23] {
            let at = |by: f64| {
                let mut moved = points.clone();
                moved[i] += by;
                gradient(&moved, &attraction, 1.0).1
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - slopes[i]).abs() < 1e-8, "{slope} {}", slopes[i]);
        }
    }

    #[test]
    fn each_neighbourhood_has_the_perplexity_asked_for() {
        let rows = rows(20, 4);
        let distances = squared_distances(&rows, 20, 4);
        // Before the two directions are joined each row is a distribution; of 20 equal rows joined it is uniform.
        let even = joint(&vec![1.0; 400], 20, 5.0);
        assert!(even.iter().enumerate().all(|(at, p)| at % 21 == 0 || (p - 1.0 / 380.0).abs() < 1e-12));
        let narrow = joint(&distances, 20, 2.0);
        let wide = joint(&distances, 20, 15.0);
        let largest = |near: &[f64]| near.iter().copied().fold(0.0, f64::max);
        assert!(largest(&narrow) > 2.0 * largest(&wide));
    }

    #[test]
    fn what_cannot_be_laid_out_says_why() {
        let options = TsneOptions::default();
        let message = tsne(&rows(10, 2), 2, &options, &Job::silent()).unwrap_err().message;
        assert_eq!(message, "`perplexity` is 30 for 10 rows");
        let stopped = Job::silent();
        stopped.stop.raise();
        assert!(tsne(&rows(40, 2), 2, &options, &stopped).unwrap_err().is_interrupt());
        let other = TsneOptions { init: "spiral".into(), ..options };
        assert_eq!(tsne(&rows(40, 2), 2, &other, &Job::silent()).unwrap_err().message, "`init` is `spiral`");
    }
}
