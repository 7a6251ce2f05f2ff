//! Training GANs and sampling from them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, FnPtr, Map, NativeCallContext};

use super::data::labelled_of;
use super::evaluating;
use super::nn::Network;
use crate::config::{Config, Origin};
use crate::data::Labelled;
use crate::error::Error;
use crate::gan::{self, ARCHITECTURES, COMPATS, Draw, LOSSES, METHODS, PENALTIES, PRESETS, TrainOptions};
use crate::options::{Callback, Choice, Setting as _, Settings, Value};
use crate::script::display;
use crate::script::history::History;
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args, shared};
use crate::tensor::Tensor;

crate::options! {
    /// Options of `sample`.
    pub struct SampleOptions("sample") {
        /// What the latents are drawn from.
        pub seed: u64 = 1,
        /// The class of all images, by name; all classes in turn if `()`.
        pub class: Option<String> = None,
        /// Numbers of a latent that are larger in size are drawn again; none if `()`.
        pub truncation: Option<f64> = None,
    }
}

pub(super) fn register(engine: &mut Engine) {
    display::know::<Gan>(engine);
    display::know::<Samples>(engine);
    engine.register_static_module("gan", rhai::exported_module!(training).into());
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    let z = Setting {
        name: "z",
        expected: "a tensor",
        doc: "The latents themselves, `[count, z_dim]`, in place of drawn ones.".into(),
        default: Value::Unit,
    };
    let (name, mut sample) = settings_of::<SampleOptions>();
    sample.push(z);
    let evaluate = Setting {
        name: "evaluate",
        expected: "a map",
        doc: "What scores the GAN every `evaluate_every` steps: `on`, the real images; `metrics`, names of `metric::names()`, \
              `[\"fd\"]` if left out; `n`, how many images to generate; and options of `metric::evaluate`, without intervals \
              and floor if they do not ask for them."
            .into(),
        default: Value::Unit,
    };
    let (training, mut train) = settings_of::<TrainOptions>();
    train.push(evaluate);
    vec![(training, train), (name, sample)]
}

/// A GAN as a script holds it, with the data it learns from. Copies in variables are the same GAN; `clone` makes another.
#[derive(Clone)]
pub struct Gan {
    gan: Arc<Mutex<gan::Gan>>,
    /// What it learns from.
    pub(in crate::script) data: Arc<Labelled>,
    /// What its training measured.
    pub(in crate::script) history: History,
    config: Config,
}

impl Gan {
    fn new(gan: gan::Gan, data: Arc<Labelled>, history: History, config: Config) -> Self {
        Self { gan: Arc::new(Mutex::new(gan)), data, history, config }
    }

    /// Its options with where each came from, those changed since included.
    fn config(&self) -> crate::Result<Config> {
        let held = self.held()?;
        let mut config = self.config.clone();
        for entry in &mut config.entries {
            if let Some(change) = held.changes.iter().rev().find(|change| change.name == entry.name) {
                (entry.value, entry.from) = (change.value.clone(), Origin::Set(change.step));
            }
        }
        Ok(config)
    }

    /// The GAN, unless it is in training: its own `on_step` may ask.
    pub(in crate::script) fn held(&self) -> crate::Result<MutexGuard<'_, gan::Gan>> {
        match self.gan.try_lock() {
            Ok(gan) => Ok(gan),
            Err(TryLockError::Poisoned(gan)) => Ok(PoisonError::into_inner(gan)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new("the GAN is in training").help("`on_step` is given the generator and the discriminator"))
            }
        }
    }
}

/// Generated images with the labels they were asked to be of.
#[derive(Clone)]
pub struct Samples(pub(in crate::script) Arc<crate::gan::Samples>);

#[export_module]
mod training {
    /// The options of a method of the paper: a map to add one's own to.
    ///
    /// `gan::methods()` lists them. What the map leaves out is as in `help("gan::train")`.
    ///
    /// ```rhai
    /// gan::method("s3gan") + #{ steps: 5000 } // => #{method: "s3gan", self_supervision: "rotation", steps: 5000}
    /// ```
    #[rhai_fn(return_raw)]
    pub fn method(ctx: NativeCallContext, name: &str) -> Fallible<Map> {
        Ok(super::changed(&gan::method(name).at(&ctx)?, "method"))
    }

    /// The options of a published setting, or of one measured here, whole: a map to change at will.
    ///
    /// `gan::presets()` lists them, `help("biggan_imagenet128")` says what one is, `gan::results` what it reached.
    ///
    /// ```rhai
    /// let options = gan::preset("biggan_imagenet128") + #{ batch: 256, accumulate: 8 };
    /// [options.d_lr, options.z_dim, options.batch] // => [0.0005, 120, 256]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn preset(ctx: NativeCallContext, name: &str) -> Fallible<Map> {
        Ok(super::changed(&gan::preset(name).at(&ctx)?, "preset"))
    }

    /// What a preset reached, published or measured here: a list of maps with `metric`, `value`, `of` and `source`.
    ///
    /// ```rhai
    /// gan::results("biggan_imagenet128")[0].value // => 8.4
    /// ```
    #[rhai_fn(return_raw)]
    pub fn results(ctx: NativeCallContext, name: &str) -> Fallible<Array> {
        let row = crate::table::find(PRESETS, name).at(&ctx)?;
        let entry = |reached: &gan::Reached| {
            let texts = [("metric", reached.metric), ("of", reached.of), ("source", reached.source)];
            let mut map: Map = texts.into_iter().map(|(key, text)| (key.into(), text.into())).collect();
            map.insert("value".into(), reached.value.into());
            Dynamic::from_map(map)
        };
        Ok(row.results.iter().map(entry).collect())
    }

    /// Trains a GAN on a labelled set.
    ///
    /// The data are a labeller's labels, a set with some labels kept, or all of `data.train`. A function can stand where a
    /// name can: `loss: |real, fake| ..` of logits, `penalty: |real, fake| ..` or `penalty: |d, real, fake| ..` of images.
    /// `on_step: |t| ..` is called after each step with `t.step`, `t.generator` and `t.discriminator`.
    ///
    /// With `evaluate: #{ on: data.test, metrics: ["fd", "kid"], n: 1000 }` the GAN is scored before the first step, every
    /// `evaluate_every` steps and after the last, in the history, the figure and the run; `gan.best()` is its best state. No
    /// step changes for it. A training whose numbers are no longer finite or whose `guards` find that it leads nowhere is
    /// stopped, with its last good state put back; in a notebook the GAN is given all the same.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// gan::train(small, options).step // => 1
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn train(ctx: NativeCallContext, data: Dynamic, options: Map) -> Fallible<Gan> {
        super::train(&ctx, &data, options)
    }

    /// Trains a GAN on a labelled set, with all options as they are.
    #[rhai_fn(name = "train", return_raw, volatile)]
    pub fn train_plainly(ctx: NativeCallContext, data: Dynamic) -> Fallible<Gan> {
        super::train(&ctx, &data, Map::new())
    }

    /// What `gan::train` would do with a map of options: every option, and where its value comes from.
    ///
    /// ```rhai
    /// gan::config(gan::method("s3gan") + #{ steps: 10 }).origins.self_supervision // => "method s3gan"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn config(ctx: NativeCallContext, options: Map) -> Fallible<Config> {
        args::resolved::<TrainOptions>(&ctx, options, &super::bases).map(|(_, config)| config)
    }

    /// The names of the methods.
    ///
    /// ```rhai
    /// gan::methods()[0] // => "biggan"
    /// ```
    pub fn methods() -> Array {
        super::super::names_of(METHODS)
    }

    /// The names of the presets.
    ///
    /// ```rhai
    /// gan::presets()[0] // => "dcgan_celeba64"
    /// ```
    pub fn presets() -> Array {
        super::super::names_of(PRESETS)
    }

    /// The names of the adversarial losses.
    ///
    /// ```rhai
    /// gan::losses()[0] // => "hinge"
    /// ```
    pub fn losses() -> Array {
        super::super::names_of(LOSSES)
    }

    /// The names of the penalties on the discriminator.
    ///
    /// ```rhai
    /// gan::penalties()[0] // => "none"
    /// ```
    pub fn penalties() -> Array {
        super::super::names_of(PENALTIES)
    }

    /// The names of the architectures.
    ///
    /// ```rhai
    /// gan::architectures()[0] // => "resnet_cifar"
    /// ```
    pub fn architectures() -> Array {
        super::super::names_of(ARCHITECTURES)
    }

    /// The ways of Compare GAN that the option `compat` switches on, for numbers that depend on them.
    ///
    /// ```rhai
    /// gan::compats() // => ["gain_without_one", "no_identity_skip", "spectral_always", "spectral_gaps", "standing_within"]
    /// ```
    pub fn compats() -> Array {
        super::super::names_of(COMPATS)
    }
}

#[export_module]
mod using {
    /// Trains a GAN on, with options changed on the way: `gan.train(#{ steps: 1000 })`.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// let gan = gan::train(small, options);
    /// gan.train(#{ steps: 1, d_lr: 1e-4 });
    /// gan.step // => 2
    /// ```
    #[rhai_fn(name = "train", return_raw)]
    pub fn train_on(ctx: NativeCallContext, gan: Gan, options: Map) -> Fallible {
        super::train_on(&ctx, &gan, options)
    }

    /// Changes options between trainings; the change is part of the record.
    ///
    /// What the networks were built from cannot change.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// gan::train(small, options).set(#{ d_lr: 1e-4 }) // => ()
    /// ```
    #[rhai_fn(name = "set", return_raw)]
    pub fn set_options(ctx: NativeCallContext, gan: Gan, options: Map) -> Fallible {
        let mut held = gan.held().at(&ctx)?;
        for (name, value) in options {
            let value = args::value_of(&ctx, &name, value)?;
            held.set(&name, value).at(&ctx)?;
        }
        Ok(())
    }

    /// Another GAN in the same state, which trains on its own.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// let gan = gan::train(small, options);
    /// let other = gan.clone();
    /// other.train(#{ steps: 1 });
    /// [gan.step, other.step] // => [1, 2]
    /// ```
    #[rhai_fn(name = "clone", return_raw)]
    pub fn clone_gan(ctx: NativeCallContext, gan: Gan) -> Fallible<Gan> {
        let copy = gan.held().at(&ctx)?.copy().at(&ctx)?;
        Ok(Gan {
            gan: Arc::new(Mutex::new(copy)),
            data: Arc::clone(&gan.data),
            history: gan.history.fork(),
            config: gan.config.clone(),
        })
    }

    /// The GAN in the state that scored best while it trained with `evaluate`: another GAN, which trains on its own.
    ///
    /// The option `best_by` says by which score. The state lies in the run's folder, or in memory without one.
    ///
    /// ```rhai
    /// let data = data::load("fashion-mnist-10k");
    /// let options = #{ steps: 2, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1,
    ///     evaluate_every: 1, evaluate: #{ on: data.test.take(20), n: 20 } };
    /// let gan = gan::train(data.train.take(64), options);
    /// gan.best().step == gan.best_step // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn best(ctx: NativeCallContext, gan: Gan) -> Fallible<Gan> {
        let best = gan.held().at(&ctx)?.best().at(&ctx)?;
        let history = gan.history.until(best.step());
        Ok(Gan { gan: Arc::new(Mutex::new(best)), data: Arc::clone(&gan.data), history, config: gan.config.clone() })
    }

    /// The step at which a GAN scored best while it trained; `()` if it was not evaluated.
    ///
    /// ```rhai
    /// let data = data::load("fashion-mnist-10k");
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1,
    ///     evaluate: #{ on: data.test.take(20), n: 20 } };
    /// let gan = gan::train(data.train.take(64), options);
    /// gan.best_step in [0, 1] // => true
    /// ```
    #[rhai_fn(get = "best_step", return_raw, pure)]
    pub fn best_step(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<Dynamic> {
        let held = gan.held().at(&ctx)?;
        Ok(held.best_score().map_or(Dynamic::UNIT, |best| Dynamic::from_int(best.step as i64)))
    }

    /// The best score of a GAN while it trained; `()` if it was not evaluated.
    ///
    /// ```rhai
    /// let data = data::load("fashion-mnist-10k");
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1,
    ///     evaluate: #{ on: data.test.take(20), n: 20 } };
    /// let gan = gan::train(data.train.take(64), options);
    /// gan.best_score <= gan.history["fd"][0][1] // => true
    /// ```
    #[rhai_fn(get = "best_score", return_raw, pure)]
    pub fn best_score(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<Dynamic> {
        let held = gan.held().at(&ctx)?;
        Ok(held.best_score().map_or(Dynamic::UNIT, |best| Dynamic::from_float(best.value)))
    }

    /// Generated images, the classes in turn.
    ///
    /// Batch norms use statistics taken over batches of the generator's own images.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// gan::train(small, options).sample(12).images.shape // => [12, 1, 28, 28]
    /// ```
    #[rhai_fn(name = "sample", return_raw)]
    pub fn sample(ctx: NativeCallContext, gan: Gan, count: i64) -> Fallible<Samples> {
        super::sample(&ctx, &gan, count, &SampleOptions::default(), None)
    }

    /// Generated images, with a seed, of all classes or of one, of drawn latents or of given ones.
    ///
    /// With `truncation` numbers of a latent beyond it are drawn again (Brock et al. 2018, arXiv:1809.11096): images become more
    /// typical and fewer in kind. It is below 1 for uniform latents, which lie between -1 and 1.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// gan::train(small, options).sample(2, #{ class: "Bag" }).labels // => [8, 8]
    /// ```
    #[rhai_fn(name = "sample", return_raw)]
    pub fn sample_with(ctx: NativeCallContext, gan: Gan, count: i64, options: Map) -> Fallible<Samples> {
        let mut options = options;
        let z = args::take::<Tensor>(&ctx, &mut options, "z", "a tensor of latents")?;
        let options = args::options::<SampleOptions>(&ctx, options)?;
        super::sample(&ctx, &gan, count, &options, z)
    }

    /// A picture of samples: `rows` images down of each of `columns` classes across, the same latents at every call.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// gan::train(small, options).grid(2, 10).width > 100 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn grid(ctx: NativeCallContext, gan: Gan, rows: i64, columns: i64) -> Fallible<super::super::figure::Shown> {
        let (rows, columns) = (args::count(&ctx, "rows", rows)?, args::count(&ctx, "columns", columns)?);
        let picture = gan.held().at(&ctx)?.grid(rows, columns, shared(&ctx)?.stop()).at(&ctx)?;
        Ok(super::super::figure::Shown::new("grid", picture))
    }

    /// Writes networks, optimisers and averages to a file in safetensors.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// gan::train(small, options).save("target/gan.safetensors") // => ()
    /// ```
    #[rhai_fn(name = "save", return_raw)]
    pub fn save_gan(ctx: NativeCallContext, gan: Gan, path: &str) -> Fallible {
        gan.held().at(&ctx)?.save(path.as_ref()).at(&ctx)
    }

    /// Reads what `save` wrote; a file of other networks changes nothing.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// let gan = gan::train(small, options);
    /// gan.save("target/gan_again.safetensors");
    /// gan.load("target/gan_again.safetensors");
    /// gan.step // => 1
    /// ```
    #[rhai_fn(name = "load", return_raw)]
    pub fn load_gan(ctx: NativeCallContext, gan: Gan, path: &str) -> Fallible {
        gan.held().at(&ctx)?.load(path.as_ref()).at(&ctx)
    }

    /// How many steps a GAN was trained.
    #[rhai_fn(get = "step", return_raw, pure)]
    pub fn step(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<i64> {
        Ok(gan.held().at(&ctx)?.step() as i64)
    }

    /// What training measured at each step: a history, which shows its curves.
    ///
    /// `gan.history["d_loss"]` is a list of `[step, value]`, as `figure::curves` takes them; `gan.history["fd"]` those of an
    /// evaluation. A copy made by `clone` has the same past.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 2, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// gan::train(small, options).history["d_loss"].len() // => 2
    /// ```
    #[rhai_fn(get = "history", pure)]
    pub fn gan_history(gan: &mut Gan) -> History {
        gan.history.clone()
    }

    /// What the classes of a GAN are called.
    #[rhai_fn(get = "classes", return_raw, pure)]
    pub fn classes(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<Array> {
        Ok(gan.held().at(&ctx)?.classes().iter().cloned().map(Dynamic::from).collect())
    }

    /// The generator in training.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, z_dim: 8 };
    /// gan::train(small, options).generator.forward(normal([2, 8]), [0, 1]).rows // => 2
    /// ```
    #[rhai_fn(get = "generator", return_raw, pure)]
    pub fn generator(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<Network> {
        Ok(Network::generator(Arc::clone(gan.held().at(&ctx)?.generator())))
    }

    /// The discriminator in training.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// gan::train(small, options).discriminator.logits(uniform([2, 1, 28, 28])).rows // => 2
    /// ```
    #[rhai_fn(get = "discriminator", return_raw, pure)]
    pub fn discriminator(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<Network> {
        Ok(Network::discriminator(Arc::clone(gan.held().at(&ctx)?.discriminator())))
    }

    /// The options a GAN was trained with.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// gan::train(small, options).options.batch // => 8
    /// ```
    #[rhai_fn(get = "options", return_raw, pure)]
    pub fn train_options(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<Map> {
        let held = gan.held().at(&ctx)?;
        let values = TrainOptions::fields()
            .iter()
            .filter_map(|field| Some((field.name.into(), args::dynamic_of(&held.options.get(field.name)?))));
        Ok(values.collect())
    }

    /// Every option a GAN was trained with, and where each came from: a configuration.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// let gan = gan::train(small, options);
    /// gan.set(#{ d_lr: 1e-4 });
    /// let from = gan.config.origins;
    /// [from.batch, from.loss, from.d_lr] // => ["script", "default", "set after step 1"]
    /// ```
    #[rhai_fn(get = "config", return_raw, pure)]
    pub fn gan_config(ctx: NativeCallContext, gan: &mut Gan) -> Fallible<Config> {
        gan.config().at(&ctx)
    }

    /// Generated images, `[n, channels, height, width]`, from 0 (black) to 1.
    #[rhai_fn(get = "images", return_raw, pure)]
    pub fn sample_images(ctx: NativeCallContext, samples: &mut Samples) -> Fallible<Tensor> {
        samples.0.images.tensor(&shared(&ctx)?.device().at(&ctx)?).at(&ctx)
    }

    /// The latents that images were generated from, `[n, z_dim]`.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// let gan = gan::train(small, options);
    /// let samples = gan.sample(2);
    /// (gan.sample(2, #{ z: samples.z }).images - samples.images).square().sum().value // => 0.0
    /// ```
    #[rhai_fn(get = "z", pure)]
    pub fn sample_latents(samples: &mut Samples) -> Tensor {
        samples.0.z.clone()
    }

    /// The classes that generated images were asked to be of.
    #[rhai_fn(get = "labels", pure)]
    pub fn sample_labels(samples: &mut Samples) -> Array {
        samples.0.labels.iter().map(|label| Dynamic::from_int(i64::from(*label))).collect()
    }
}

/// A function taken out of the options.
fn function(options: &mut Map, name: &str) -> Option<FnPtr> {
    let function = options.get(name).and_then(|value| value.clone().try_cast::<FnPtr>())?;
    options.remove(name);
    Some(function)
}

fn train(ctx: &NativeCallContext, data: &Dynamic, mut options: Map) -> Fallible<Gan> {
    let host = shared(ctx)?;
    let data = Arc::new(labelled_of(ctx, data)?);
    let on_step = function(&mut options, "on_step");
    let evaluator = evaluating::taken(ctx, &mut options, &data)?;
    let penalty = function(&mut options, "penalty");
    let (options, mut config) = args::resolved::<TrainOptions>(ctx, options, &bases)?;
    let steps = options.steps;
    let mut gan = gan::Gan::new(&data, options, &host.device().at(ctx)?).at(ctx)?;
    gan.evaluator = evaluator;
    let chosen = config.entries.iter_mut().find(|entry| entry.name == "penalty");
    if let (Some(penalty), Some(entry)) = (penalty, chosen.filter(|entry| !from_outside(&entry.from))) {
        gan.options.penalty = Choice::Own(penalty_of(ctx, &gan, penalty)?);
        (entry.value, entry.from) = (gan.options.penalty.to_value(), Origin::Script);
    }
    host.configured(&config).at(ctx)?;
    let history = History::default();
    run(ctx, &mut gan, &data, steps, on_step, &history)?;
    Ok(Gan::new(gan, data, history, config))
}

/// Whether an option was given from outside the script, above what the script says.
fn from_outside(origin: &Origin) -> bool {
    matches!(origin, Origin::CommandLine | Origin::File(_))
}

/// The options that are not as usual, and the one called `always`.
fn changed(options: &TrainOptions, always: &str) -> Map {
    let defaults = TrainOptions::default();
    let changed = TrainOptions::fields().iter().filter_map(|field| {
        let value = options.get(field.name)?;
        (field.name == always || defaults.get(field.name).as_ref() != Some(&value))
            .then(|| (field.name.into(), args::dynamic_of(&value)))
    });
    changed.collect()
}

/// What the options of a map begin with: the method and the preset that it names, the one to begin with last.
fn bases(options: &Map) -> crate::Result<Vec<args::Base<TrainOptions>>> {
    let named = |key: &str| options.get(key).and_then(|name| name.clone().into_string().ok());
    let mut bases = Vec::new();
    if let Some(name) = named("method") {
        bases.push((Origin::Method(name.clone()), gan::method(&name)?));
    }
    if let Some(name) = named("preset").filter(|name| name != "none") {
        bases.push((Origin::Preset(name.clone()), gan::preset(&name)?));
    }
    Ok(bases)
}

fn train_on(ctx: &NativeCallContext, gan: &Gan, mut options: Map) -> Fallible {
    let on_step = function(&mut options, "on_step");
    let evaluator = evaluating::taken(ctx, &mut options, &gan.data)?;
    let mut held = gan.held().at(ctx)?;
    if let Some(evaluator) = evaluator {
        held.evaluate_by(evaluator);
    }
    for (name, value) in options {
        let value = args::value_of(ctx, &name, value)?;
        held.set(&name, value).at(ctx)?;
    }
    let steps = held.options.steps;
    run(ctx, &mut held, &gan.data, steps, on_step, &gan.history)
}

fn run(
    ctx: &NativeCallContext,
    gan: &mut gan::Gan,
    data: &Labelled,
    steps: usize,
    on_step: Option<FnPtr>,
    history: &History,
) -> Fallible {
    let job = history.watching(&shared(ctx)?.job());
    match on_step {
        None => gan.train(data, steps as u64, &job, None).at(ctx),
        Some(function) => {
            let call = args::caller(ctx, function)?;
            let mut hook = |gan: &gan::Gan, step: u64| {
                let mut now = Map::new();
                now.insert("step".into(), Dynamic::from_int(step as i64));
                now.insert("generator".into(), Dynamic::from(Network::generator(Arc::clone(gan.generator()))));
                now.insert(
                    "discriminator".into(),
                    Dynamic::from(Network::discriminator(Arc::clone(gan.discriminator()))),
                );
                call(vec![Dynamic::from_map(now)]).map(drop)
            };
            gan.train(data, steps as u64, &job, Some(&mut hook)).at(ctx)
        }
    }
}

/// A script's penalty of `(real, fake)`, or of `(d, real, fake)` with the discriminator of `gan`.
fn penalty_of(ctx: &NativeCallContext, gan: &gan::Gan, function: FnPtr) -> Fallible<Callback> {
    let lead = match args::arity(ctx, &function) {
        Some(3) => vec![Dynamic::from(Network::discriminator(Arc::clone(gan.discriminator())))],
        _ => Vec::new(),
    };
    args::callback_with(ctx, "penalty", function, lead)
}

fn sample(
    ctx: &NativeCallContext,
    gan: &Gan,
    count: i64,
    options: &SampleOptions,
    z: Option<Tensor>,
) -> Fallible<Samples> {
    let count = args::count(ctx, "count", count)?;
    let host = shared(ctx)?;
    let held = gan.held().at(ctx)?;
    let labels = match &options.class {
        None => held.in_turn(count),
        Some(name) => vec![held.class(name).at(ctx)?; count],
    };
    let latents = match z {
        None => held.latents(count, Draw { seed: options.seed, truncation: options.truncation }).at(ctx)?,
        Some(z) => {
            let width = held.options.z_dim;
            if z.dims() != [count, width] {
                let error = Error::new(format!("`z` is {:?}", z.dims()));
                return Err(error.help(format!("it must be [{count}, {width}]: a latent for each image"))).at(ctx);
            }
            if options.truncation.is_some() {
                let error = Error::new("`truncation` is for latents that are drawn, and `z` gives them");
                return Err(error.help("leave one of them out")).at(ctx);
            }
            z.to_f32s().at(ctx)?
        }
    };
    Ok(Samples(Arc::new(held.sample_from(latents, &labels, options.truncation, host.stop()).at(ctx)?)))
}
