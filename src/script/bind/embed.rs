//! Features as points in a plane.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};

use super::figure::Shown;
use super::tensor::labels_of;
use crate::error::Error;
use crate::nn::{self, TsneOptions};
use crate::script::display;
use crate::script::embedded::Embedded;
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args, shared};
use crate::tensor::Tensor;

crate::options! {
    /// Options of `plot`.
    pub struct PlotOptions("plot") {
        /// Above the figure.
        pub title: String = String::new(),
        /// What the labels are called, from label 0 on.
        pub names: Vec<String> = Vec::new(),
    }
}

pub(super) fn register(engine: &mut Engine) {
    display::know::<Embedded>(engine);
    engine.register_static_module("embed", rhai::exported_module!(laying).into());
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    vec![settings_of::<TsneOptions>(), settings_of::<PlotOptions>()]
}

#[export_module]
mod laying {
    /// Points along the two principal components of rows: what differs most between them.
    ///
    /// `rows` is `[n, ..]`: features, or images, whose pixels are taken as they are. The number of largest size in each
    /// component is positive.
    ///
    /// ```rhai
    /// embed::pca(tensor::from([[0, 0], [3, 4], [6, 8]])).points[0][0].value // => -5.0
    /// ```
    #[rhai_fn(return_raw)]
    pub fn pca(ctx: NativeCallContext, rows: Tensor) -> Fallible<Embedded> {
        let (numbers, dim) = super::rows_of(&ctx, &rows)?;
        super::principal(&numbers, dim).at(&ctx)
    }

    /// Points in a plane whose neighbours are the neighbours of the rows: t-SNE.
    ///
    /// `rows` is `[n, ..]`, at most 5000. Every pair is looked at. Distances between groups say little: read neighbourhoods.
    /// Van der Maaten and Hinton 2008.
    ///
    /// ```rhai
    /// let rows = tensor::from([[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9]]);
    /// embed::tsne(rows, #{ perplexity: 2, steps: 50 }).points.shape // => [6, 2]
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn tsne(ctx: NativeCallContext, rows: Tensor, options: Map) -> Fallible<Embedded> {
        let options = args::options::<TsneOptions>(&ctx, options)?;
        let (numbers, dim) = super::rows_of(&ctx, &rows)?;
        super::neighbours(&numbers, dim, &options, &shared(&ctx)?.job()).at(&ctx)
    }

    /// Points in a plane whose neighbours are the neighbours of the rows, with all options as they are.
    #[rhai_fn(name = "tsne", return_raw, volatile)]
    pub fn tsne_plainly(ctx: NativeCallContext, rows: Tensor) -> Fallible<Embedded> {
        tsne(ctx, rows, Map::new())
    }
}

#[export_module]
mod using {
    /// Draws points in the colours of their labels: whole numbers from 0, a list or a tensor of them.
    ///
    /// ```rhai
    /// let points = embed::pca(tensor::from([[0, 0], [3, 4], [6, 8]]));
    /// points.plot([0, 1, 1], #{ names: ["bag", "coat"] }).width // => 1120
    /// ```
    #[rhai_fn(return_raw)]
    pub fn plot(ctx: NativeCallContext, points: Embedded, labels: Dynamic, options: Map) -> Fallible<Shown> {
        let options = args::options::<PlotOptions>(&ctx, options)?;
        let labels = labels_of(&ctx, "labels", &labels)?.to_u32s().at(&ctx)?;
        let figure = points.plot(&labels, &options.names, &[], &options.title);
        figure.and_then(|figure| Shown::of("embedding", &figure)).at(&ctx)
    }

    /// Draws points in the colours of their labels, with all options as they are.
    #[rhai_fn(name = "plot", return_raw)]
    pub fn plot_plainly(ctx: NativeCallContext, points: Embedded, labels: Dynamic) -> Fallible<Shown> {
        plot(ctx, points, labels, Map::new())
    }

    /// Where the rows lie in the plane, `[n, 2]`.
    ///
    /// ```rhai
    /// embed::pca(tensor::from([[0, 0], [3, 4], [6, 8]])).points.shape // => [3, 2]
    /// ```
    #[rhai_fn(get = "points", return_raw, pure)]
    pub fn points(ctx: NativeCallContext, points: &mut Embedded) -> Fallible<Tensor> {
        let numbers: Vec<f32> = points.points.iter().flat_map(|(x, y)| [*x as f32, *y as f32]).collect();
        Tensor::from_vec(numbers, &[points.points.len(), 2], &shared(&ctx)?.device().at(&ctx)?).at(&ctx)
    }

    /// The share of the variance that each principal component holds.
    ///
    /// ```rhai
    /// embed::pca(tensor::from([[0, 0], [3, 4], [6, 8]])).shares[0] > 0.999 // => true
    /// ```
    #[rhai_fn(get = "shares", pure)]
    pub fn shares(points: &mut Embedded) -> Array {
        points.shares.iter().map(|share| Dynamic::from_float(*share)).collect()
    }

    /// How far the neighbourhoods in the plane are from those of the rows: the Kullback-Leibler divergence of t-SNE.
    ///
    /// ```rhai
    /// let rows = tensor::from([[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9]]);
    /// embed::tsne(rows, #{ perplexity: 2, steps: 50 }).divergence >= 0.0 // => true
    /// ```
    #[rhai_fn(get = "divergence", return_raw, pure)]
    pub fn divergence(ctx: NativeCallContext, points: &mut Embedded) -> Fallible<f64> {
        let none = || Error::new(format!("points of {} have no divergence", points.method)).help("t-SNE has one");
        points.divergence.ok_or_else(none).at(&ctx)
    }
}

/// The principal components of rows of `dim` numbers.
pub(super) fn principal(rows: &[f64], dim: usize) -> crate::Result<Embedded> {
    let found = nn::pca(rows, dim, dim.min(2))?;
    Ok(Embedded { shares: found.shares, ..Embedded::new("PCA", &found.points, found.k) })
}

/// The t-SNE of rows of `dim` numbers.
pub(super) fn neighbours(
    rows: &[f64],
    dim: usize,
    options: &TsneOptions,
    job: &crate::progress::Job,
) -> crate::Result<Embedded> {
    let found = nn::tsne(rows, dim, options, job)?;
    Ok(Embedded { divergence: Some(found.divergence), ..Embedded::new("t-SNE", &found.points, 2) })
}

/// A tensor as rows of numbers.
fn rows_of(ctx: &NativeCallContext, rows: &Tensor) -> Fallible<(Vec<f64>, usize)> {
    match rows.dims() {
        [_, rest @ ..] if !rest.is_empty() => Ok((rows.to_f64s().at(ctx)?, rest.iter().product())),
        dims => {
            Err(Error::new(format!("`rows` is {dims:?}")).help("it must be `[n, ..]`: a row for each thing")).at(ctx)
        }
    }
}
