//! How good generated images are.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, FnPtr, Map, NativeCallContext};

use super::gan::{Gan, Samples};
use super::nn::Network;
use crate::data::{Dataset, Images, Labelled};
use crate::error::Error;
use crate::gan::{self, Sampler};
use crate::metric::{
    self, Asked, Cache, EXTRACTORS, EvaluateOptions, Fakes, Features, JudgeOptions, METRICS, Need, Scores, Sight,
    SqueezeNet,
};
use crate::nn::{Generative, OwnGenerator};
use crate::options::Value;
use crate::progress::Stop;
use crate::script::display;
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args, shared};
use crate::table::Row;
use crate::tensor::{DType, Tensor};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Scores>(engine);
    display::know::<Judge>(engine);
    engine.register_static_module("metric", rhai::exported_module!(scoring).into());
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    let own = |name, expected, doc: &str| Setting { name, expected, doc: doc.into(), default: Value::Unit };
    let mut evaluate = vec![
        own(
            "judge",
            "what `metric::judge` gave",
            "A classifier of the data set, for the metrics that ask what images show.",
        ),
        own(
            "other",
            "a data set",
            "Other real images, for the floor: what real images score in place of generated ones.",
        ),
        own(
            "train",
            "a data set",
            "The real images that the generator learned from, for `nearest`, `cas` and `discriminator_accuracy`; a GAN's own if `()`.",
        ),
        own("n", "a whole number from 1", "How many images to generate; as many as there are real ones if `()`."),
        own("title", "a string", "What was scored, for the report."),
    ];
    evaluate.extend(settings_of::<EvaluateOptions>().1);
    vec![("metric::evaluate", evaluate), settings_of::<JudgeOptions>()]
}

/// A classifier trained on every real label, as a script holds it.
#[derive(Clone)]
pub struct Judge(pub(in crate::script) Arc<metric::Judge>);

#[export_module]
mod scoring {
    /// Scores generated images against real ones that no method saw; `metric::names()` lists the metrics.
    ///
    /// `fake` is a GAN, its samples, images `[n, channels, height, width]` from 0 to 1, a generator of `nn::build`, or a
    /// function of latents (with the option `z_dim`; of latents and labels if it takes two). Each score comes with its
    /// interval, what real images score in its place, and its protocol; all of it goes into the run.
    ///
    /// Of features, by each extractor: `fd`, `fid` (needs the file `inception`), `kid`, `cmmd` (needs the file `clip`), `prdc`,
    /// `precision_recall`, `prd`, `fd_per_class`, `nearest`. Of what a classifier predicts: `is`, `accuracy` (needs a `judge`). Of images: `ms_ssim`,
    /// `fractal_dimension`, `cas`. Of networks: `gilbo`, `generator_conditioning`, `discriminator_accuracy`.
    /// `metric::about("fd")` says what one of them is.
    ///
    /// ```rhai
    /// let test = data::load("fashion-mnist-10k").test.take(40);
    /// metric::evaluate(test.images, test, ["fd"])["fd"] < 0.001 // => true
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn evaluate(ctx: NativeCallContext, fake: Dynamic, real: Dataset, names: Array) -> Fallible<Scores> {
        super::evaluate(&ctx, &fake, &real, &names, Map::new())
    }

    /// Scores generated images, with options: a `judge` for accuracy, `other` real images for the floor.
    ///
    /// ```rhai
    /// let test = data::load("fashion-mnist-10k").test.take(40);
    /// metric::evaluate(test.images, test, ["kid"], #{ intervals: false, floor: false }).rows[0] // => "kid"
    /// ```
    #[rhai_fn(name = "evaluate", return_raw, volatile)]
    pub fn evaluate_with(
        ctx: NativeCallContext,
        fake: Dynamic,
        real: Dataset,
        names: Array,
        options: Map,
    ) -> Fallible<Scores> {
        super::evaluate(&ctx, &fake, &real, &names, options)
    }

    /// Trains a classifier on a data set and all its labels, to judge what generated images show.
    ///
    /// It sees labels that no method may see, and reaches no training. One that an earlier run trained is taken from the
    /// cache.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train.take(64);
    /// metric::judge(train, #{ network: "resnet-tiny", epochs: 1, batch: 32 }) // => classifier of fashion-mnist-10k/train, 10 classes
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn judge(ctx: NativeCallContext, data: Dataset, options: Map) -> Fallible<Judge> {
        let options = args::options::<JudgeOptions>(&ctx, options)?;
        let host = shared(&ctx)?;
        let judge =
            metric::Judge::train(&data, &options, &host.device().at(&ctx)?, &Cache::of_user(), &host.job()).at(&ctx)?;
        Ok(Judge(Arc::new(judge)))
    }

    /// Trains a classifier on a data set and all its labels, with all options as they are.
    #[rhai_fn(name = "judge", return_raw, volatile)]
    pub fn judge_plainly(ctx: NativeCallContext, data: Dataset) -> Fallible<Judge> {
        judge(ctx, data, Map::new())
    }

    /// The names of the metrics that `metric::evaluate` knows.
    ///
    /// ```rhai
    /// metric::names()[0] // => "fd"
    /// ```
    pub fn names() -> Array {
        super::super::names_of(METRICS)
    }

    /// What a metric is, or an extractor: its formula, which way is better, what it needs, the paper.
    ///
    /// ```rhai
    /// metric::about("prd").contains("arXiv:1806.00035") // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn about(ctx: NativeCallContext, name: &str) -> Fallible<String> {
        let extractor = EXTRACTORS.iter().find(|row| row.name() == name).map(Row::doc);
        let doc = extractor.map_or_else(|| crate::table::find(METRICS, name).map(Row::doc), Ok);
        Ok(doc.at(&ctx)?.to_string())
    }

    /// The names of the extractors that `metric::evaluate` knows: by whose eyes images are compared.
    ///
    /// ```rhai
    /// metric::extractors()[0] // => "squeezenet"
    /// ```
    pub fn extractors() -> Array {
        super::super::names_of(EXTRACTORS)
    }

    /// What the network inside the program sees in images: 512 features of SqueezeNet 1.1 for each.
    ///
    /// ```rhai
    /// metric::features(tensor::zeros([2, 1, 28, 28])).shape // => [2, 512]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn features(ctx: NativeCallContext, images: Tensor) -> Fallible<Tensor> {
        let host = shared(&ctx)?;
        let eyes = SqueezeNet::new(&host.device().at(&ctx)?).at(&ctx)?;
        let images = Images::from_tensor(&images).at(&ctx)?;
        let seen = metric::see(&eyes, &images, |_| host.stop().check()).at(&ctx)?.features;
        Tensor::from_f64s(seen.data().to_vec(), &[seen.rows(), seen.dim()], &host.device().at(&ctx)?)
            .at(&ctx)?
            .to_dtype(DType::F32)
            .at(&ctx)
    }

    /// The Fréchet distance between two sets of features, `[n, d]` each.
    ///
    /// Heusel et al. 2017, arXiv:1706.08500. Unbiased covariances, double precision.
    ///
    /// ```rhai
    /// let real = tensor::from([[0, 0], [2, 0], [0, 2], [2, 2]]);
    /// (metric::frechet_distance(real, real + 3) - 18.0).abs() < 1e-6 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn frechet_distance(ctx: NativeCallContext, real: Tensor, fake: Tensor) -> Fallible<f64> {
        metric::frechet_distance(&super::features_of(&ctx, &real)?, &super::features_of(&ctx, &fake)?).at(&ctx)
    }

    /// The kernel distance between two sets of features, `[n, d]` each, over all pairs.
    ///
    /// Bińkowski et al. 2018, arXiv:1801.01401: unbiased, so slightly negative for equal distributions.
    ///
    /// ```rhai
    /// let real = tensor::from([[1, 0], [0, 1]]);
    /// metric::kernel_distance(real, real) < 0.0 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn kernel_distance(ctx: NativeCallContext, real: Tensor, fake: Tensor) -> Fallible<f64> {
        metric::kid(&super::features_of(&ctx, &real)?, &super::features_of(&ctx, &fake)?).at(&ctx)
    }

    /// Precision, recall, density and coverage of fake features beside real ones, `[n, d]` each, with 5 neighbours: a map.
    ///
    /// Naeem et al. 2020, arXiv:2002.09797.
    ///
    /// ```rhai
    /// let real = normal([50, 4]);
    /// metric::prdc(real, real).coverage // => 1.0
    /// ```
    #[rhai_fn(return_raw)]
    pub fn prdc(ctx: NativeCallContext, real: Tensor, fake: Tensor) -> Fallible<Map> {
        let shares =
            metric::prdc(&super::features_of(&ctx, &real)?, &super::features_of(&ctx, &fake)?, super::NEIGHBOURS)
                .at(&ctx)?;
        let named = [
            ("precision", shares.precision),
            ("recall", shares.recall),
            ("density", shares.density),
            ("coverage", shares.coverage),
        ];
        Ok(named.into_iter().map(|(name, share)| (name.into(), share.into())).collect())
    }

    /// The Inception score of logits `[n, classes]`, over all of them at once.
    ///
    /// Salimans et al. 2016, arXiv:1606.03498: exp of the mean divergence of an image's classes from those of all.
    ///
    /// ```rhai
    /// let sure = tensor::from([[50, 0], [0, 50]]);
    /// (metric::inception_score(sure) - 2.0).abs() < 1e-6 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn inception_score(ctx: NativeCallContext, logits: Tensor) -> Fallible<f64> {
        Ok(metric::inception_score(&super::features_of(&ctx, &logits)?, 1, None).at(&ctx)?.0)
    }
}

/// What the `prdc` package takes by default.
const NEIGHBOURS: usize = 5;

#[export_module]
mod using {
    /// A score by the name of its metric.
    ///
    /// ```rhai
    /// let test = data::load("fashion-mnist-10k").test.take(40);
    /// metric::evaluate(test.images, test, ["fd"])["fd"] < 0.001 // => true
    /// ```
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn score(ctx: NativeCallContext, scores: &mut Scores, metric: &str) -> Fallible<f64> {
        let names = || scores.rows.iter().map(|row| row.metric.as_str());
        scores.get(metric).map(|row| row.value).ok_or_else(|| crate::table::unknown("score", metric, names())).at(&ctx)
    }

    /// The names of the scores.
    #[rhai_fn(get = "rows", pure)]
    pub fn score_names(scores: &mut Scores) -> Array {
        scores.rows.iter().map(|row| Dynamic::from(row.metric.clone())).collect()
    }
}

fn features_of(ctx: &NativeCallContext, tensor: &Tensor) -> Fallible<Features> {
    let [rows, dim] = tensor.dims2().at(ctx)?;
    Features::new(tensor.to_f64s().at(ctx)?, rows, dim).at(ctx)
}

/// What a GAN makes, as much of it as was asked for.
pub(super) fn fakes_of(gan: &gan::Gan, data: &Labelled, asked: &Asked, stop: &Stop) -> crate::Result<Fakes> {
    let samples = gan.sample_evenly(asked.n, asked.options.seed, stop)?;
    let mut fakes = Fakes { labels: labels_of(&samples, asked), ..Fakes::of(samples.images) };
    if !asked.options.quantize {
        fakes.unrounded = Some(metric::unrounded(&gan.sampling(stop)?, &samples.z, &samples.labels, stop)?);
    }
    if asked.needs.contains(&Need::Generator) {
        fakes.generator = Some(Box::new(gan.sampling(stop)?));
    }
    if asked.needs.contains(&Need::Discriminator) {
        fakes.discriminator = Some(Box::new(gan.judging()?));
    }
    if asked.needs.contains(&Need::Training) {
        fakes.train = Some(metric::learned_from(data, gan.conditional())?);
    }
    Ok(fakes)
}

/// The labels of samples, unless they are of other classes than the data's: clusters, or none.
fn labels_of(samples: &gan::Samples, asked: &Asked) -> Option<Vec<u32>> {
    let same = !samples.classes.is_empty() && samples.classes == asked.real.classes();
    same.then(|| samples.labels.clone())
}

fn fakes(ctx: &NativeCallContext, fake: &Dynamic, asked: &Asked) -> Fallible<Fakes> {
    let host = shared(ctx)?;
    if let Some(gan) = fake.read_lock::<Gan>() {
        let held = gan.held().at(ctx)?;
        return fakes_of(&held, &gan.data, asked, host.stop()).at(ctx);
    }
    if let Some(samples) = fake.read_lock::<Samples>() {
        if !asked.options.quantize {
            return Err(Error::new("`quantize: false` was asked for, and samples are of 8 bits already")
                .help("give the GAN itself, or its images as a tensor"))
            .at(ctx);
        }
        return Ok(Fakes { labels: labels_of(&samples.0, asked), ..Fakes::of(samples.0.images.clone()) });
    }
    if let Some(images) = fake.read_lock::<Tensor>() {
        let unrounded = if asked.options.quantize { None } else { Some(images.clamp(0., 1.).at(ctx)?) };
        return Ok(Fakes { unrounded, ..Fakes::of(Images::from_tensor(&images).at(ctx)?) });
    }
    let expected = "a GAN, its samples, images, a generator, or a function of latents";
    let generator: Box<dyn Generative> = if let Some(network) = fake.read_lock::<Network>() {
        let generator = network.as_generator().ok_or_else(|| args::wrong(ctx, "fake", expected, fake))?;
        Box::new(Sampler::new(generator, asked.options.z))
    } else if let Some(function) = fake.read_lock::<FnPtr>() {
        Box::new(own_generator(ctx, function.clone(), &asked.real, &asked.options)?)
    } else {
        return Err(args::wrong(ctx, "fake", expected, fake));
    };
    let EvaluateOptions { seed, quantize, .. } = asked.options;
    let made = metric::sampled(generator.as_ref(), asked.n, seed, quantize, host.stop()).at(ctx)?;
    let labels = (generator.classes() > 0).then_some(made.labels);
    Ok(Fakes { labels, unrounded: made.unrounded, generator: Some(generator), ..Fakes::of(made.images) })
}

/// A script's function of latents, or of latents and labels, as a generator.
fn own_generator(
    ctx: &NativeCallContext,
    function: FnPtr,
    real: &Dataset,
    options: &EvaluateOptions,
) -> Fallible<OwnGenerator> {
    if options.z_dim == 0 {
        return Err(Error::new("`metric::evaluate` was given a function of latents and no `z_dim`")
            .help("say how many numbers a latent has: `z_dim: 64`"))
        .at(ctx);
    }
    let classes = if args::arity(ctx, &function) == Some(2) { real.classes().len() } else { 0 };
    let device = shared(ctx)?.device().at(ctx)?;
    let function = args::callback(ctx, "metric::evaluate", function)?;
    Ok(OwnGenerator { function, z_dim: options.z_dim, prior: options.z, classes, device })
}

/// What is asked of an evaluation by the names of metrics and by options.
pub(super) fn asked(
    ctx: &NativeCallContext,
    real: &Dataset,
    metrics: Vec<String>,
    mut options: Map,
) -> Fallible<Asked> {
    let host = shared(ctx)?;
    let judge = args::take::<Judge>(ctx, &mut options, "judge", "what `metric::judge` gave")?;
    let other = args::take::<Dataset>(ctx, &mut options, "other", "a data set")?;
    let train = args::take::<Dataset>(ctx, &mut options, "train", "a data set")?;
    let n = match args::take::<i64>(ctx, &mut options, "n", "a whole number from 1")? {
        Some(n) => args::count(ctx, "n", n)?,
        None => real.n(),
    };
    let options = args::options::<EvaluateOptions>(ctx, options)?;
    let rows =
        metrics.iter().map(|name| crate::table::find(METRICS, name)).collect::<crate::Result<Vec<_>>>().at(ctx)?;
    let needs: Vec<Need> = rows.iter().flat_map(|row| row.needs).copied().collect();
    let (device, cache) = (host.device().at(ctx)?, Cache::of_user());
    let sight = Sight { options: &options, judge: judge.map(|judge| judge.0), device: &device, cache: &cache };
    let names: Vec<&str> = metrics.iter().map(String::as_str).collect();
    let extractors = sight.extractors(&names).at(ctx)?;
    Ok(Asked { real: real.clone(), other, train, metrics, needs, n, options, extractors, cache })
}

fn evaluate(
    ctx: &NativeCallContext,
    fake: &Dynamic,
    real: &Dataset,
    names: &Array,
    mut options: Map,
) -> Fallible<Scores> {
    let host = shared(ctx)?;
    let title = options.remove("title").and_then(|title| title.into_string().ok());
    let asked = asked(ctx, real, args::names(ctx, "names", names)?, options)?;
    let scores = asked.of(&fakes(ctx, fake, &asked)?, &host.job()).at(ctx)?;
    let mut record = serde_json::to_value(&scores)
        .map_err(|error| Error::new(format!("the scores cannot be kept: {error}")))
        .at(ctx)?;
    record["title"] = title.unwrap_or_default().into();
    host.front().record("scores", &record).at(ctx)?;
    for shot in &scores.pictures {
        host.front().picture(&shot.metric, &shot.picture).at(ctx)?;
    }
    Ok(scores)
}
