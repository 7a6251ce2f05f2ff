//! Pictures: curves, bars, heat maps, scatter, grids of images.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};

use crate::data::{Dataset, Images};
use crate::error::Error;
use crate::figure::{self, Bar, Bars, Cloud, Curves, Figure, Heatmap, Scatter, Series};
use crate::progress::Picture;
use crate::script::display;
use crate::script::manual::{Setting, settings_of};
use crate::script::show::grid as grid_of;
use crate::script::{At, Fallible, args};
use crate::tensor::Tensor;

crate::options! {
    /// Options of `figure::curves`.
    pub struct CurveOptions("figure::curves") {
        /// Above the figure.
        pub title: String = String::new(),
        /// What runs across.
        pub x_label: String = "step".into(),
        /// What runs up.
        pub y_label: String = String::new(),
        /// Powers of ten up the side.
        pub log_y: bool = false,
        /// The share of a line that one of its points is smoothed over.
        pub smooth: f64 = 0.02,
    }
}

crate::options! {
    /// Options of `figure::bars`, `figure::heatmap` and `figure::scatter`.
    pub struct ChartOptions("figure::bars") {
        /// Above the figure.
        pub title: String = String::new(),
        /// What runs across.
        pub x_label: String = String::new(),
        /// What runs up.
        pub y_label: String = String::new(),
        /// Names of the rows of a heat map.
        pub rows: Vec<String> = Vec::new(),
        /// Names of the columns of a heat map.
        pub columns: Vec<String> = Vec::new(),
    }
}

pub(super) fn register(engine: &mut Engine) {
    display::know::<Shown>(engine);
    engine.register_static_module("figure", rhai::exported_module!(drawing).into());
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    let chart = settings_of::<ChartOptions>().1;
    let only = |names: &[&str]| chart.iter().filter(|option| names.contains(&option.name)).cloned().collect::<Vec<_>>();
    vec![
        settings_of::<CurveOptions>(),
        ("figure::bars", only(&["title", "x_label"])),
        ("figure::heatmap", only(&["title", "x_label", "y_label", "rows", "columns"])),
        ("figure::scatter", only(&["title", "x_label", "y_label"])),
    ]
}

/// A picture as a script holds it.
#[derive(Clone)]
pub struct Shown {
    /// What its file is called.
    pub(in crate::script) name: &'static str,
    /// Its pixels.
    pub(in crate::script) picture: Arc<Picture>,
    /// The chart in lines, if it is one.
    pub(in crate::script) svg: Option<Arc<str>>,
}

impl Shown {
    /// A picture with a name for its file.
    pub fn new(name: &'static str, picture: Picture) -> Self {
        Self { name, picture: Arc::new(picture), svg: None }
    }

    /// A chart with a name for its file.
    pub fn of(name: &'static str, figure: &Figure) -> crate::Result<Self> {
        Ok(Self { svg: Some(figure.svg().into()), ..Self::new(name, figure.picture(2.0)?) })
    }
}

#[export_module]
mod drawing {
    /// Draws named lines over steps: a map from names to lists of numbers, or of `[x, y]` pairs.
    ///
    /// ```rhai
    /// figure::curves(#{ d: [1.0, 0.7, 0.6], g: [2.0, 1.5, 1.4] }, #{ title: "losses" }).width // => 1280
    /// ```
    #[rhai_fn(return_raw)]
    pub fn curves(ctx: NativeCallContext, series: Map, options: Map) -> Fallible<Shown> {
        let options = args::options::<CurveOptions>(&ctx, options)?;
        let series = super::series_of(&ctx, &series)?;
        let look = Curves {
            title: options.title,
            x_label: options.x_label,
            y_label: options.y_label,
            log_y: options.log_y,
            smooth: options.smooth,
            ..Curves::default()
        };
        figure::curves(&series, &look).and_then(|figure| Shown::of("curves", &figure)).at(&ctx)
    }

    /// Draws named amounts as bars.
    ///
    /// ```rhai
    /// figure::bars(#{ s3gan: 61.2, biggan: 59.8 }, #{ title: "FD" }).width // => 1280
    /// ```
    #[rhai_fn(return_raw)]
    pub fn bars(ctx: NativeCallContext, amounts: Map, options: Map) -> Fallible<Shown> {
        let options = args::options::<ChartOptions>(&ctx, options)?;
        let bars: Vec<Bar> = amounts
            .iter()
            .map(|(name, value)| {
                Ok(Bar { name: name.to_string(), value: args::number(&ctx, name, value)?, ..Bar::default() })
            })
            .collect::<Fallible<_>>()?;
        let look = Bars { title: options.title, x_label: options.x_label, ..Bars::default() };
        figure::bars(&bars, &look).and_then(|figure| Shown::of("bars", &figure)).at(&ctx)
    }

    /// Draws a table of numbers from 0 as shades: rows of numbers, such as a confusion matrix.
    ///
    /// ```rhai
    /// figure::heatmap([[9, 1], [2, 8]], #{ rows: ["bag", "coat"], columns: ["bag", "coat"] }).height > 100 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn heatmap(ctx: NativeCallContext, values: Array, options: Map) -> Fallible<Shown> {
        let options = args::options::<ChartOptions>(&ctx, options)?;
        let rows: Vec<Vec<f64>> = values
            .iter()
            .map(|row| match row.read_lock::<Array>() {
                Some(row) => row.iter().map(|value| args::number(&ctx, "values", value)).collect(),
                None => Err(args::wrong(&ctx, "values", "a list of rows of numbers", row)),
            })
            .collect::<Fallible<_>>()?;
        let look = Heatmap {
            title: options.title,
            rows: options.rows,
            columns: options.columns,
            row_label: options.y_label,
            column_label: options.x_label,
            by_row: true,
        };
        figure::heatmap(&rows, &look).and_then(|figure| Shown::of("heatmap", &figure)).at(&ctx)
    }

    /// Draws named groups of points: a map from names to lists of `[x, y]` pairs.
    ///
    /// ```rhai
    /// figure::scatter(#{ seeds: [[1, 60.1], [2, 61.5]] }, #{ y_label: "FD" }).width // => 960
    /// ```
    #[rhai_fn(return_raw)]
    pub fn scatter(ctx: NativeCallContext, groups: Map, options: Map) -> Fallible<Shown> {
        let options = args::options::<ChartOptions>(&ctx, options)?;
        let groups = super::series_of(&ctx, &groups)?.into_iter().enumerate();
        let groups =
            groups.map(|(colour, group)| Cloud { name: group.name, points: group.points, colour, rings: false });
        let groups: Vec<Cloud> = groups.collect();
        let look =
            Scatter { title: options.title, x_label: options.x_label, y_label: options.y_label, ..Scatter::default() };
        figure::scatter(&groups, &look).and_then(|figure| Shown::of("scatter", &figure)).at(&ctx)
    }

    /// Draws named lines over steps, with all options as they are.
    #[rhai_fn(name = "curves", return_raw)]
    pub fn curves_plainly(ctx: NativeCallContext, series: Map) -> Fallible<Shown> {
        curves(ctx, series, Map::new())
    }

    /// Draws named amounts as bars, with all options as they are.
    #[rhai_fn(name = "bars", return_raw)]
    pub fn bars_plainly(ctx: NativeCallContext, amounts: Map) -> Fallible<Shown> {
        bars(ctx, amounts, Map::new())
    }

    /// Draws a table of numbers as shades, with all options as they are.
    #[rhai_fn(name = "heatmap", return_raw)]
    pub fn heatmap_plainly(ctx: NativeCallContext, values: Array) -> Fallible<Shown> {
        heatmap(ctx, values, Map::new())
    }

    /// Draws named groups of points, with all options as they are.
    #[rhai_fn(name = "scatter", return_raw)]
    pub fn scatter_plainly(ctx: NativeCallContext, groups: Map) -> Fallible<Shown> {
        scatter(ctx, groups, Map::new())
    }

    /// Lays images side by side: a tensor `[n, channels, height, width]` with values from 0 to 1.
    ///
    /// ```rhai
    /// figure::grid(data::load("fashion-mnist-10k").test.images[0..20]).width > 200 // => true
    /// ```
    #[rhai_fn(name = "grid", return_raw)]
    pub fn grid(ctx: NativeCallContext, images: Tensor) -> Fallible<Shown> {
        super::grid_of_tensor(&ctx, &images, 0)
    }

    /// Lays images side by side, so many in a row.
    ///
    /// ```rhai
    /// figure::grid(tensor::zeros([6, 1, 8, 8]), 3).width > figure::grid(tensor::zeros([6, 1, 8, 8]), 2).width // => true
    /// ```
    #[rhai_fn(name = "grid", return_raw)]
    pub fn grid_across(ctx: NativeCallContext, images: Tensor, columns: i64) -> Fallible<Shown> {
        super::grid_of_tensor(&ctx, &images, args::count(&ctx, "columns", columns)?)
    }
}

#[export_module]
mod using {
    /// How many pixels a picture is wide.
    ///
    /// ```rhai
    /// figure::grid(tensor::zeros([1, 1, 8, 8])).width > 8 // => true
    /// ```
    #[rhai_fn(get = "width", pure)]
    pub fn width(picture: &mut Shown) -> i64 {
        picture.picture.width as i64
    }

    /// How many pixels a picture is high.
    ///
    /// ```rhai
    /// figure::grid(tensor::zeros([1, 1, 8, 8])).height > 8 // => true
    /// ```
    #[rhai_fn(get = "height", pure)]
    pub fn height(picture: &mut Shown) -> i64 {
        picture.picture.height as i64
    }

    /// Writes a picture to a PNG file, or a chart to an SVG file if that is how the path ends.
    ///
    /// ```rhai
    /// figure::grid(tensor::zeros([1, 1, 8, 8])).save("target/grid.png") // => ()
    /// figure::curves(#{ loss: [2.0, 1.0] }).save("target/loss.svg")     // => ()
    /// ```
    #[rhai_fn(name = "save", return_raw)]
    pub fn save_picture(ctx: NativeCallContext, picture: Shown, path: &str) -> Fallible {
        let path = std::path::Path::new(path);
        let file = match (&picture.svg, path.extension().is_some_and(|ending| ending == "svg")) {
            (Some(svg), true) => svg.as_bytes().to_vec(),
            (None, true) => {
                let error = Error::new("this picture is made of pixels and cannot be written as SVG");
                return Err(error.help("give a path that ends in .png")).at(&ctx);
            }
            (_, false) => figure::png(&picture.picture).at(&ctx)?,
        };
        std::fs::write(path, file).map_err(|error| crate::error::file(path, "write", error)).at(&ctx)
    }

    /// Lays the first images of a set side by side.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").test.grid(20).width > 200 // => true
    /// ```
    #[rhai_fn(name = "grid", return_raw)]
    pub fn dataset_grid(ctx: NativeCallContext, data: Dataset, count: i64) -> Fallible<Shown> {
        let count = args::count(&ctx, "count", count)?.min(data.n());
        let indices: Vec<u32> = (0..count as u32).collect();
        let images = data.images().select(&indices).at(&ctx)?;
        Ok(Shown::new("grid", super::grid_of(&images, 0).at(&ctx)?))
    }
}

fn grid_of_tensor(ctx: &NativeCallContext, images: &Tensor, columns: usize) -> Fallible<Shown> {
    let images = Images::from_tensor(images).at(ctx)?;
    Ok(Shown::new("grid", grid_of(&images, columns).at(ctx)?))
}

/// Lines out of a map from names to numbers, or to pairs of them.
fn series_of(ctx: &NativeCallContext, series: &Map) -> Fallible<Vec<Series>> {
    series
        .iter()
        .map(|(name, points)| {
            let Some(points) = points.read_lock::<Array>() else {
                return Err(args::wrong(ctx, name, "a list of numbers, or of `[x, y]` pairs", points));
            };
            let points: Vec<(f64, f64)> =
                points.iter().enumerate().map(|(i, point)| point_of(ctx, name, i, point)).collect::<Fallible<_>>()?;
            Ok(Series::new(name.to_string(), points))
        })
        .collect()
}

fn point_of(ctx: &NativeCallContext, name: &str, place: usize, point: &Dynamic) -> Fallible<(f64, f64)> {
    match point.read_lock::<Array>() {
        Some(pair) if pair.len() == 2 => Ok((args::number(ctx, name, &pair[0])?, args::number(ctx, name, &pair[1])?)),
        Some(_) => Err(args::wrong(ctx, name, "a list of numbers, or of `[x, y]` pairs", point)),
        None => Ok((place as f64, args::number(ctx, name, point)?)),
    }
}
