//! Looking at what a GAN knows: ways between images, walks, directions, the discriminator's view, features in a plane.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};

use super::animation::Moving;
use super::embed;
use super::figure::Shown;
use super::gan::{Gan, Samples};
use super::tensor::labels_of;
use crate::data::{Dataset, Images};
use crate::error::Error;
use crate::figure::Animation;
use crate::gan::{self, Along, Directions, Draw, Interpolation, Judged, Walk};
use crate::metric::{self, SqueezeNet};
use crate::nn::TsneOptions;
use crate::script::display;
use crate::script::manual::{Setting, settings_of};
use crate::script::show::grid;
use crate::script::{At, Fallible, args, shared};
use crate::tensor::{Rng, Tensor};

crate::options! {
    /// Options of `interpolate`.
    pub struct InterpolateOptions("interpolate") {
        /// How many ways, one below the other.
        pub rows: usize = 5,
        /// Images on each way, both ends among them.
        pub columns: usize = 8,
        /// The class of all images, by name; a class for each row if `()`.
        pub class: Option<String> = None,
        /// The class that each way leads to; it stays if `()`.
        pub to_class: Option<String> = None,
        /// The latent stays, and only the class moves.
        pub same_z: bool = false,
        /// What the latents are drawn from.
        pub seed: u64 = 1,
        /// Numbers of a latent that are larger in size are drawn again; none if `()`.
        pub truncation: Option<f64> = None,
    }
}

crate::options! {
    /// Options of `walk`.
    pub struct WalkOptions("walk") {
        /// Pictures in the loop.
        pub frames: usize = 40,
        /// How long the loop takes.
        pub seconds: f64 = 4.0,
        /// Latents that it leads through; with 1 the latent stays, and `through` says what moves.
        pub stops: usize = 4,
        /// Rows of images.
        pub rows: usize = 1,
        /// Images across; 0 for one of each class, at most ten, or six.
        pub columns: usize = 0,
        /// The class of all images, by name; a class for each column if `()`.
        pub class: Option<String> = None,
        /// Names of classes that all images go through.
        pub through: Vec<String> = Vec::new(),
        /// What the latents are drawn from.
        pub seed: u64 = 1,
        /// Numbers of a latent that are larger in size are drawn again; none if `()`.
        pub truncation: Option<f64> = None,
    }
}

crate::options! {
    /// Options of `along` and `directions`.
    pub struct AlongOptions("along") {
        /// How many images are moved, one below the other.
        pub rows: usize = 3,
        /// Steps, from one end to the other.
        pub columns: usize = 7,
        /// How far each end is from the middle.
        pub reach: f64 = 4.0,
        /// The class of all images, by name; a class for each row if `()`.
        pub class: Option<String> = None,
        /// What the latents are drawn from.
        pub seed: u64 = 1,
        /// Numbers of a latent that are larger in size are drawn again; none if `()`.
        pub truncation: Option<f64> = None,
    }
}

crate::options! {
    /// Options of `embedding`.
    pub struct EmbeddingOptions("embedding") {
        /// Real images, and generated ones.
        pub n: usize = 300,
        /// `pca`, or `tsne`, which takes longer and shows neighbourhoods.
        pub method: String = "pca".into(),
        /// `source` colours real and generated images apart; `class` colours classes, and draws generated images as rings.
        pub colour: String = "source".into(),
        /// About how many neighbours each image has, for t-SNE.
        pub perplexity: f64 = 30.0,
        /// What images are drawn from.
        pub seed: u64 = 1,
    }
}

pub(super) fn register(engine: &mut Engine) {
    display::know::<Judged>(engine);
    display::know::<Found>(engine);
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    let along = settings_of::<AlongOptions>();
    let directions = along.1.iter().filter(|option| option.name != "rows").cloned().collect();
    vec![
        settings_of::<InterpolateOptions>(),
        settings_of::<WalkOptions>(),
        along,
        ("directions", directions),
        settings_of::<EmbeddingOptions>(),
    ]
}

/// Directions as a script holds them, with a picture of each.
#[derive(Clone)]
pub struct Found {
    /// The directions.
    pub(in crate::script) directions: Arc<Directions>,
    /// A row of steps along each.
    pub(in crate::script) picture: Shown,
}

#[export_module]
mod using {
    /// A picture of generated images that change into one another step by step.
    ///
    /// The latent goes from A to B over `((1 - t) A + t B) / sqrt(t² + (1 - t)²)`, as in the demonstration of Compare GAN;
    /// uniform latents go straight. With `to_class` the class goes along, over shares of both.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// let way = gan.interpolate(#{ rows: 2, columns: 5, class: "Bag", to_class: "Coat" });
    /// way.width > 5 * 56 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn interpolate(ctx: NativeCallContext, gan: Gan, options: Map) -> Fallible<Shown> {
        let options = args::options::<InterpolateOptions>(&ctx, options)?;
        let host = shared(&ctx)?;
        let held = gan.held().at(&ctx)?;
        let how = Interpolation {
            rows: options.rows,
            columns: options.columns,
            class: super::class_of(&held, options.class).at(&ctx)?,
            to_class: super::class_of(&held, options.to_class).at(&ctx)?,
            same_z: options.same_z,
            draw: Draw { seed: options.seed, truncation: options.truncation },
        };
        Ok(Shown::new("interpolation", held.interpolate(&how, host.stop()).at(&ctx)?))
    }

    /// A picture of generated images that change into one another, with all options as they are.
    #[rhai_fn(name = "interpolate", return_raw)]
    pub fn interpolate_plainly(ctx: NativeCallContext, gan: Gan) -> Fallible<Shown> {
        interpolate(ctx, gan, Map::new())
    }

    /// An animation of generated images that change without end: a walk through latents, and through classes.
    ///
    /// A class for each column, all on the same way; or images of one `class`; or `through` several.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.walk(#{ frames: 4, stops: 1, through: ["Bag", "Coat"], columns: 2, seconds: 1 }).seconds // => 1.0
    /// ```
    #[rhai_fn(return_raw)]
    pub fn walk(ctx: NativeCallContext, gan: Gan, options: Map) -> Fallible<Moving> {
        let options = args::options::<WalkOptions>(&ctx, options)?;
        let host = shared(&ctx)?;
        let held = gan.held().at(&ctx)?;
        let through = options.through.iter().map(|name| held.class(name)).collect::<crate::Result<_>>().at(&ctx)?;
        let how = Walk {
            frames: options.frames,
            stops: options.stops,
            rows: options.rows,
            columns: options.columns,
            class: super::class_of(&held, options.class).at(&ctx)?,
            through,
            draw: Draw { seed: options.seed, truncation: options.truncation },
        };
        let frames = held.walk(&how, host.stop()).at(&ctx)?;
        Ok(Moving { name: "walk", animation: Arc::new(Animation::new(frames, options.seconds).at(&ctx)?) })
    }

    /// An animation of generated images that change without end, with all options as they are.
    #[rhai_fn(name = "walk", return_raw)]
    pub fn walk_plainly(ctx: NativeCallContext, gan: Gan) -> Fallible<Moving> {
        walk(ctx, gan, Map::new())
    }

    /// Directions among latents in which images change most, read off the generator's weights: SeFa.
    ///
    /// The eigenvectors of AᵀA, where A is the weight by which the first layer takes the latent; shown as a row of steps along
    /// each. Shen and Zhou 2021, arXiv:2007.06600.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.directions(3, #{ columns: 2, class: "Bag" }).vectors.shape // => [3, 128]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn directions(ctx: NativeCallContext, gan: Gan, count: i64, options: Map) -> Fallible<Found> {
        let count = args::count(&ctx, "count", count)?;
        if options.contains_key("rows") {
            let error = Error::new("`directions` has no option `rows`").help("it shows a row for each direction");
            return Err(error).at(&ctx);
        }
        let how = args::options::<AlongOptions>(&ctx, options)?;
        let host = shared(&ctx)?;
        let held = gan.held().at(&ctx)?;
        let how = super::along_of(&held, how).at(&ctx)?;
        let directions = held.directions(count).at(&ctx)?;
        let picture = held.along_each(&directions, &how, host.stop()).at(&ctx)?;
        Ok(Found { directions: Arc::new(directions), picture: Shown::new("directions", picture) })
    }

    /// Directions among latents in which images change most, with all options as they are.
    #[rhai_fn(name = "directions", return_raw)]
    pub fn directions_plainly(ctx: NativeCallContext, gan: Gan, count: i64) -> Fallible<Found> {
        directions(ctx, gan, count, Map::new())
    }

    /// A picture of generated images moved along a direction, a tensor of as many numbers as a latent has.
    ///
    /// The direction is taken at length 1; the middle column is not moved.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.along(normal([128]), #{ rows: 1, columns: 3 }).height > 56 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn along(ctx: NativeCallContext, gan: Gan, direction: Tensor, options: Map) -> Fallible<Shown> {
        let how = args::options::<AlongOptions>(&ctx, options)?;
        let host = shared(&ctx)?;
        let held = gan.held().at(&ctx)?;
        let how = super::along_of(&held, how).at(&ctx)?;
        let picture = held.along(&direction.to_f32s().at(&ctx)?, &how, host.stop()).at(&ctx)?;
        Ok(Shown::new("along", picture))
    }

    /// A picture of generated images moved along a direction, with all options as they are.
    #[rhai_fn(name = "along", return_raw)]
    pub fn along_plainly(ctx: NativeCallContext, gan: Gan, direction: Tensor) -> Fallible<Shown> {
        along(ctx, gan, direction, Map::new())
    }

    /// Directions as rows `[k, z_dim]`, each of length 1, what changes most first.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let found = gan::train(small, options).directions(2, #{ columns: 2 });
    /// (found.vectors[0] ** 2).sum().value - 1.0 < 1e-5 // => true
    /// ```
    #[rhai_fn(get = "vectors", return_raw, pure)]
    pub fn vectors(ctx: NativeCallContext, found: &mut Found) -> Fallible<Tensor> {
        let vectors = &found.directions.vectors;
        let width = vectors.first().map_or(0, Vec::len);
        Tensor::from_vec(vectors.concat(), &[vectors.len(), width], &shared(&ctx)?.device().at(&ctx)?).at(&ctx)
    }

    /// How much the first layer's output changes along each direction, squared: the eigenvalues.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let found = gan::train(small, options).directions(2, #{ columns: 2 });
    /// found.eigenvalues[0] >= found.eigenvalues[1] // => true
    /// ```
    #[rhai_fn(get = "eigenvalues", pure)]
    pub fn eigenvalues(found: &mut Found) -> Array {
        found.directions.values.iter().map(|value| Dynamic::from_float(*value)).collect()
    }

    /// What the discriminator thinks of images: a logit each, larger for what looks real.
    ///
    /// `images` are samples, a data set, or a tensor `[n, channels, height, width]` from 0 to 1. Samples and data sets are
    /// judged as what their labels say they are; without labels a projection head is left out.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.scores(small).logits.shape // => [64]
    /// ```
    #[rhai_fn(name = "scores", return_raw)]
    pub fn scores(ctx: NativeCallContext, gan: Gan, images: Dynamic) -> Fallible<Judged> {
        let held = gan.held().at(&ctx)?;
        let (images, labels) = super::images_of(&ctx, &held, &images)?;
        held.judge(&images, labels.as_deref(), shared(&ctx)?.stop()).at(&ctx)
    }

    /// How likely a GAN finds each class for images, `[n, classes]`: those of `triple_gan` by their classifier, averaged if the
    /// generator is; those of `s2gan_co`, `s3gan_co` and `ossgan` by the discriminator's predictor.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(known, gan::method("triple_gan") + options + #{ classifier: "resnet-tiny" });
    /// gan.classify(gan.sample(3)).shape // => [3, 10]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn classify(ctx: NativeCallContext, gan: Gan, images: Dynamic) -> Fallible<Tensor> {
        let held = gan.held().at(&ctx)?;
        let (images, _) = super::images_of(&ctx, &held, &images)?;
        held.classify(&images, shared(&ctx)?.stop()).at(&ctx)
    }

    /// The share of held-out images whose class a GAN finds likeliest, of those that `classify` can ask.
    ///
    /// ```rhai
    /// let data = data::load("fashion-mnist-10k");
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// let gan = gan::train(data.train.take(64).keep_labels(0.5), gan::method("s2gan_co") + options);
    /// gan.accuracy(data.test.take(50)) <= 1.0 // => true
    /// ```
    #[rhai_fn(name = "accuracy", return_raw)]
    pub fn gan_accuracy(ctx: NativeCallContext, gan: Gan, data: Dataset) -> Fallible<f64> {
        let truth = data.truth().at(&ctx)?;
        gan.held().at(&ctx)?.accuracy(data.images(), truth.labels(), shared(&ctx)?.stop()).at(&ctx)
    }

    /// What the discriminator thinks of images of the classes in `labels`.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.scores(small.images[0..2], [8, 8]).probs.shape // => [2]
    /// ```
    #[rhai_fn(name = "scores", return_raw)]
    pub fn scores_as(ctx: NativeCallContext, gan: Gan, images: Dynamic, labels: Dynamic) -> Fallible<Judged> {
        let held = gan.held().at(&ctx)?;
        let (images, _) = super::images_of(&ctx, &held, &images)?;
        let labels = labels_of(&ctx, "labels", &labels)?.to_u32s().at(&ctx)?;
        held.judge(&images, Some(&labels), shared(&ctx)?.stop()).at(&ctx)
    }

    /// The discriminator's logit of each image, `[n]`.
    #[rhai_fn(get = "logits", return_raw, pure)]
    pub fn judged_logits(ctx: NativeCallContext, judged: &mut Judged) -> Fallible<Tensor> {
        super::logits(&ctx, judged)
    }

    /// The chance that the discriminator gives each image of being real, `[n]`: the logistic function of its logit.
    ///
    /// It is a chance where the loss makes it one, as `non_saturating` does; under `hinge` it only keeps the order.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.scores(gan.sample(3)).probs.shape // => [3]
    /// ```
    #[rhai_fn(get = "probs", return_raw, pure)]
    pub fn judged_probs(ctx: NativeCallContext, judged: &mut Judged) -> Fallible<Tensor> {
        super::logits(&ctx, judged)?.sigmoid().at(&ctx)
    }

    /// The places of images, what looks most real to the discriminator first.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.scores(small).ranking.len() // => 64
    /// ```
    #[rhai_fn(get = "ranking", pure)]
    pub fn ranking(judged: &mut Judged) -> Array {
        judged.ranking().into_iter().map(|place| Dynamic::from_int(i64::from(place))).collect()
    }

    /// A picture of the images that look most real to the discriminator, the first of them first.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.scores(small).best(8).width > 56 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn best(ctx: NativeCallContext, judged: Judged, count: i64) -> Fallible<Shown> {
        super::extremes(&ctx, "best", &judged, count, false)
    }

    /// A picture of the images that look least real to the discriminator, the worst first.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.scores(small).worst(8).width > 56 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn worst(ctx: NativeCallContext, judged: Judged, count: i64) -> Fallible<Shown> {
        super::extremes(&ctx, "worst", &judged, count, true)
    }

    /// A picture of real and generated images as points in a plane, by what the network inside the program sees in them.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// gan.embedding(small, #{ n: 8, colour: "class" }).width // => 1120
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn embedding(ctx: NativeCallContext, gan: Gan, data: Dataset, options: Map) -> Fallible<Shown> {
        let options = args::options::<EmbeddingOptions>(&ctx, options)?;
        super::embedding(&ctx, &gan, &data, &options)
    }

    /// A picture of real and generated images as points in a plane, with all options as they are.
    #[rhai_fn(name = "embedding", return_raw, volatile)]
    pub fn embedding_plainly(ctx: NativeCallContext, gan: Gan, data: Dataset) -> Fallible<Shown> {
        embedding(ctx, gan, data, Map::new())
    }
}

/// A class by its name, if one was named.
pub(super) fn class_of(gan: &gan::Gan, name: Option<String>) -> crate::Result<Option<u32>> {
    name.map(|name| gan.class(&name)).transpose()
}

fn along_of(gan: &gan::Gan, options: AlongOptions) -> crate::Result<Along> {
    Ok(Along {
        rows: options.rows,
        columns: options.columns,
        reach: options.reach,
        class: class_of(gan, options.class)?,
        draw: Draw { seed: options.seed, truncation: options.truncation },
    })
}

/// Images to be judged, and what they are said to be.
fn images_of(ctx: &NativeCallContext, gan: &gan::Gan, images: &Dynamic) -> Fallible<(Images, Option<Vec<u32>>)> {
    if let Some(samples) = images.read_lock::<Samples>() {
        let labels = (samples.0.classes == gan.classes()).then(|| samples.0.labels.clone());
        return Ok((samples.0.images.clone(), labels));
    }
    if let Some(data) = images.read_lock::<Dataset>() {
        // Classes of another set would be other classes under the same numbers.
        let labels = if data.classes() == gan.classes() { data.truth().ok() } else { None };
        return Ok((data.images().clone(), labels.map(|truth| truth.labels().to_vec())));
    }
    match images.read_lock::<Tensor>() {
        Some(images) => Ok((Images::from_tensor(&images).at(ctx)?, None)),
        None => Err(args::wrong(ctx, "images", "samples, a data set, or a tensor of images", images)),
    }
}

fn logits(ctx: &NativeCallContext, judged: &Judged) -> Fallible<Tensor> {
    Tensor::from_vec(judged.logits.clone(), &[judged.logits.len()], &shared(ctx)?.device().at(ctx)?).at(ctx)
}

fn extremes(ctx: &NativeCallContext, name: &'static str, judged: &Judged, count: i64, worst: bool) -> Fallible<Shown> {
    let count = args::count(ctx, "count", count)?;
    let images = judged.extremes(count, worst).at(ctx)?;
    Ok(Shown::new(name, grid(&images, 0).at(ctx)?))
}

fn embedding(ctx: &NativeCallContext, gan: &Gan, data: &Dataset, options: &EmbeddingOptions) -> Fallible<Shown> {
    let by_class = match options.colour.as_str() {
        "source" => false,
        "class" => true,
        other => {
            return Err(Error::new(format!("`colour` is `{other}`")).help("it is `source` or `class`")).at(ctx);
        }
    };
    let host = shared(ctx)?;
    let held = gan.held().at(ctx)?;
    if by_class && (!held.conditional() || data.classes() != held.classes()) {
        let error = Error::new("the GAN and the data do not have the same classes");
        return Err(error.help("use `colour: \"source\"`")).at(ctx);
    }
    let order = Rng::new(options.seed).stream("embedding").permutation(data.n());
    let places: Vec<u32> = order.into_iter().take(options.n).map(|place| place as u32).collect();
    let real = data.images().select(&places).at(ctx)?;
    let fake = held.sample_evenly(options.n, options.seed, host.stop()).at(ctx)?;
    let eyes = SqueezeNet::new(&host.device().at(ctx)?).at(ctx)?;
    let see = |images: &Images| metric::see(&eyes, images, |_| host.stop().check()).map(|seen| seen.features);
    let (seen, imagined) = (see(&real).at(ctx)?, see(&fake.images).at(ctx)?);
    let rows = [seen.data(), imagined.data()].concat();
    let points = match options.method.as_str() {
        "pca" => embed::principal(&rows, seen.dim()),
        "tsne" => {
            let options = TsneOptions { perplexity: options.perplexity, ..TsneOptions::default() };
            embed::neighbours(&rows, seen.dim(), &options, &host.job())
        }
        other => Err(Error::new(format!("`method` is `{other}`")).help("it is `pca` or `tsne`")),
    };
    let points = points.at(ctx)?;
    let fakes: Vec<bool> = [vec![false; real.n()], vec![true; fake.images.n()]].concat();
    let figure = if by_class {
        let truth = data.truth().at(ctx)?.labels();
        let labels = places.iter().map(|place| truth[*place as usize]).chain(fake.labels.iter().copied());
        let title = "real images are dots, generated ones rings";
        points.plot(&labels.collect::<Vec<_>>(), data.classes(), &fakes, title)
    } else {
        let labels: Vec<u32> = fakes.iter().map(|fake| u32::from(*fake)).collect();
        points.plot(&labels, &["real".into(), "generated".into()], &[], "")
    };
    figure.and_then(|figure| Shown::of("embedding", &figure)).at(ctx)
}
