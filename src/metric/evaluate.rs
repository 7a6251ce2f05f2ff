//! One pass over one set of generated images, for every metric.

use super::cache::Cache;
use super::extractor::{Extractor, Role, Seen, see, see_again, see_unrounded};
use super::floor::Floor;
use super::interval::Groups;
use super::scores::{EIGHT_BITS, Protocol, Score, Scores, Shot, short};
use super::table::{Comparison, METRICS, Measure, Measured, Metric, Need, Side, Whole};
use crate::data::{Dataset, Images};
use crate::error::{Error, Result};
use crate::nn::{Discriminative, Generative, Prior};
use crate::progress::{Job, Step};
use crate::table::{self, Row};
use crate::tensor::Tensor;

crate::options! {
    /// Options of `metric::evaluate`.
    pub struct EvaluateOptions("metric::evaluate") {
        /// Whose features are compared: names of `metric::extractors()`. None named: `squeezenet`, the `judge` if one is given,
        /// `inception` if its file is named or `fid` is asked for, `dinov2` if its file is named, `clip` if its file is named or
        /// `cmmd` is asked for.
        pub extractor: Vec<String> = Vec::new(),
        /// The file with the weights of the Inception network, from torch-fidelity or pytorch-fid, or as safetensors.
        pub inception: Option<String> = None,
        /// The file with the weights of DINOv2's small, base or large network.
        pub dinov2: Option<String> = None,
        /// The file with the weights of a CLIP model, as Hugging Face keeps them.
        pub clip: Option<String> = None,
        /// What latents are drawn from, for a generator that is not a GAN: `normal` or `uniform`.
        pub z: Prior = Prior::Normal,
        /// Numbers in a latent, for a function.
        pub z_dim: usize = 0,
        /// Whether generated images are rounded to 8 bits before anybody looks at them, as files of images are. Published
        /// numbers of Compare GAN and of other TensorFlow code are of images that were not: `false`. It needs `inception` or a
        /// `judge`, keeps four bytes a value, and leaves metrics of the pixels themselves at 8 bits.
        pub quantize: bool = true,
        /// Neighbours that set the radius of a ball in precision, recall, density and coverage.
        pub neighbours: usize = 5,
        /// Random subsets that the kernel distance is averaged over.
        pub kid_subsets: usize = 100,
        /// Images of each side in such a subset; all images where there are fewer.
        pub kid_subset_size: usize = 1000,
        /// Parts that the Inception-style score is averaged over.
        pub splits: usize = 10,
        /// Whether the logits of the Inception network contain its classifier's bias, which published Inception scores leave out.
        pub logit_bias: bool = false,
        /// The network that `cas` trains: a row of `nn::encoders`.
        pub cas_network: String = "resnet-small".into(),
        /// Passes over the images in `cas`.
        pub cas_epochs: usize = 5,
        /// Batches of 64 that the regressor of `gilbo` learns from.
        pub gilbo_steps: usize = 1000,
        /// Its learning rate at the start; it falls to zero along a cosine.
        pub gilbo_lr: f64 = 4e-4,
        /// Fresh images that `gilbo` is taken over.
        pub gilbo_images: usize = 1024,
        /// Latents at which `generator_conditioning` takes the Jacobian.
        pub conditioning_latents: usize = 20,
        /// Whether to find a 95% interval for each score.
        pub intervals: bool = true,
        /// Whether to score real images in place of the generated ones, too.
        pub floor: bool = true,
        /// The seed of the groups behind the intervals and of the real images behind the floor.
        pub seed: u64 = 1,
    }
}

/// What is compared, and by whose eyes.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// The real images, held out from training.
    pub real: &'a Dataset,
    /// Other real images, which take the place of the generated ones for the floor. Without them the real images are
    /// cut into halves.
    pub other: Option<&'a Dataset>,
    /// The real images that the generator learned from.
    pub train: Option<&'a Dataset>,
    /// The generated images.
    pub fake: &'a Images,
    /// The same before they were rounded to 8 bits, `[n, channels, height, width]` from 0 to 1, where `quantize: false` asks
    /// for it.
    pub unrounded: Option<&'a Tensor>,
    /// The class that each was asked to show.
    pub fake_labels: Option<&'a [u32]>,
    /// What they came from.
    pub generator: Option<&'a dyn Generative>,
    /// What it learned against.
    pub discriminator: Option<&'a dyn Discriminative>,
    /// Whose features and predictions are compared.
    pub extractors: &'a [&'a dyn Extractor],
    /// Where what is seen in real images is kept.
    pub cache: &'a Cache,
}

/// A set of images as an extractor sees it.
struct Sighted {
    seen: Seen,
    labels: Option<Vec<u32>>,
}

impl Sighted {
    fn side(&self) -> Side<'_> {
        Side { features: &self.seen.features, logits: self.seen.logits.as_ref(), labels: self.labels.as_deref() }
    }

    fn select(&self, rows: &[usize]) -> Self {
        let seen = Seen {
            features: self.seen.features.select(rows),
            logits: self.seen.logits.as_ref().map(|x| x.select(rows)),
        };
        Self { seen, labels: self.labels.as_ref().map(|labels| rows.iter().map(|&row| labels[row]).collect()) }
    }
}

/// What one extractor sees of everything that is compared.
struct Sights {
    real: Sighted,
    fake: Sighted,
    train: Option<Sighted>,
    /// A half of the real images to compare with, if they are cut into halves; what stands in; and what it is called.
    floor: Option<(Option<Sighted>, Sighted, String)>,
}

/// Rows for each metric, in the order in which the metrics were asked for.
type Rows = Vec<Vec<(Score, Measured)>>;

impl Evaluation<'_> {
    /// Scores the generated images by the `metrics` of these names: by each extractor that sees what a metric asks for, or
    /// by none where it looks at images and networks themselves.
    pub fn run(&self, metrics: &[&str], options: &EvaluateOptions, job: &Job) -> Result<Scores> {
        let metrics = metrics.iter().map(|name| table::find(METRICS, name)).collect::<Result<Vec<_>>>()?;
        self.check(&metrics)?;
        let floor = options.floor.then(|| self.floor(options.seed)).transpose()?;
        let mut rows: Rows = metrics.iter().map(|_| Vec::new()).collect();
        self.by_extractors(&metrics, floor.as_ref(), options, job, &mut rows)?;
        self.by_nobody(&metrics, floor.as_ref(), options, job, &mut rows)?;
        let mut scores = Scores::default();
        for (score, measured) in rows.into_iter().flatten() {
            scores.curves.extend(measured.curve);
            if let Some(picture) = measured.picture {
                scores.pictures.push(Shot { metric: score.metric.clone(), label: score.label.clone(), picture });
            }
            scores.rows.push(score);
        }
        let first = scores.rows.first().map(|row| format!("{} {}", row.label, short(row.value))).unwrap_or_default();
        job.observer.end(STAGE, &first);
        Ok(scores)
    }

    fn by_extractors(
        &self,
        metrics: &[&Metric],
        floor: Option<&Floor>,
        options: &EvaluateOptions,
        job: &Job,
        rows: &mut Rows,
    ) -> Result<()> {
        let eyes = |metric: &&&Metric| !matches!(metric.measure, Measure::Whole(_));
        let asked: Vec<&Metric> = metrics.iter().filter(eyes).copied().collect();
        let extractors: Vec<&dyn Extractor> =
            self.extractors.iter().copied().filter(|by| asked.iter().any(|metric| seen_by(metric, *by))).collect();
        let train = self.train.filter(|_| asked.iter().any(|metric| metric.needs(Need::Training)));
        let stand_ins = if let Some(Floor::Other(other)) = floor { other.n() } else { 0 };
        let images = (self.real.n() + self.fake.n() + stand_ins + train.map_or(0, Dataset::n)) * extractors.len();
        let mut progress = Progress { job, done: 0, of: images };
        job.observer.begin(STAGE, 0, images as u64);
        for extractor in extractors {
            let sights = self.sights(extractor, floor, train, &mut progress)?;
            for (metric, rows) in metrics.iter().zip(&mut *rows).filter(|(metric, _)| seen_by(metric, extractor)) {
                job.stop.check()?;
                self.compare(metric, extractor, &sights, options, job, rows)?;
            }
        }
        Ok(())
    }

    fn sights(
        &self,
        extractor: &dyn Extractor,
        floor: Option<&Floor>,
        train: Option<&Dataset>,
        progress: &mut Progress<'_>,
    ) -> Result<Sights> {
        let real = self.sight(extractor, self.real, progress)?;
        let fake = Sighted {
            seen: progress.during(self.fake.n(), |watch| match self.unrounded {
                Some(images) => see_unrounded(extractor, images, watch),
                None => see(extractor, self.fake, watch),
            })?,
            labels: self.fake_labels.map(<[u32]>::to_vec),
        };
        let train = train.map(|train| self.sight(extractor, train, progress)).transpose()?;
        let floor = match floor {
            None => None,
            Some(floor @ Floor::Other(other)) => {
                Some((None, self.sight(extractor, other, progress)?, floor.name(self.real)))
            }
            Some(floor @ Floor::Halves([a, b])) => Some((Some(real.select(a)), real.select(b), floor.name(self.real))),
        };
        Ok(Sights { real, fake, train, floor })
    }

    fn sight(&self, extractor: &dyn Extractor, data: &Dataset, progress: &mut Progress<'_>) -> Result<Sighted> {
        let seen = progress.during(data.n(), |watch| see_again(extractor, data.images(), self.cache, watch))?;
        Ok(Sighted { seen, labels: data.truth().ok().map(|truth| truth.labels().to_vec()) })
    }

    /// One metric by one extractor.
    fn compare(
        &self,
        metric: &Metric,
        extractor: &dyn Extractor,
        sights: &Sights,
        options: &EvaluateOptions,
        job: &Job,
        rows: &mut Vec<(Score, Measured)>,
    ) -> Result<()> {
        let (Measure::Features(measure)
        | Measure::Inception(measure)
        | Measure::Clip(measure)
        | Measure::Predictions(measure)
        | Measure::Classes(measure)) = metric.measure
        else {
            return Ok(());
        };
        let train = sights.train.as_ref().filter(|_| metric.needs(Need::Training));
        let compare = |real: Side<'_>, fake: Side<'_>, is_floor: bool| {
            measure(&Comparison {
                real,
                fake,
                train: train.map(Sighted::side),
                pictures: self.train.filter(|_| !is_floor).map(|train| (self.fake, train.images())),
                classes: self.real.classes(),
                extractor: extractor.name(),
                role: extractor.role(),
                options,
                intervals: options.intervals && !is_floor,
                job,
            })
        };
        let Sights { real, fake, floor, .. } = sights;
        let mut measured = compare(real.side(), fake.side(), false)?;
        let (floors, floor_name) = match floor {
            None => (Vec::new(), "not asked for".into()),
            // Predictions and neighbours are judged one image at a time, on images that nobody learned from.
            Some(_) if metric.predicts() || train.is_some() => {
                (compare(real.side(), real.side(), true)?, format!("{} of {}", self.real.n(), self.real.name()))
            }
            Some((half, stand_in, name)) => {
                match compare(half.as_ref().unwrap_or(real).side(), stand_in.side(), true) {
                    Ok(floors) => (floors, name.clone()),
                    Err(error) if error.is_interrupt() => return Err(error),
                    // The score itself stands; the protocol says why it has no floor.
                    Err(error) => (Vec::new(), format!("none ({})", error.message)),
                }
            }
        };
        let mut floors = floors.into_iter();
        for mut measured in measured.drain(..) {
            let floor = floors.next();
            if let (Some(curve), Some(floor)) =
                (&mut measured.curve, floor.as_ref().and_then(|floor| floor.curve.as_ref()))
            {
                curve.floor.clone_from(&floor.points);
            }
            let floor = floor.map(|floor| floor.value);
            rows.push((self.score(Some(extractor), &measured, floor, &floor_name, options), measured));
        }
        Ok(())
    }

    /// The metrics that no extractor sees.
    fn by_nobody(
        &self,
        metrics: &[&Metric],
        floor: Option<&Floor>,
        options: &EvaluateOptions,
        job: &Job,
        rows: &mut Rows,
    ) -> Result<()> {
        // Pixels have no other side: what stands in is any set of real images.
        let stand_in = match floor {
            None => None,
            Some(Floor::Other(other)) => Some((other.images(), format!("{} of {}", other.n(), other.name()))),
            Some(Floor::Halves(_)) => Some((self.real.images(), format!("{} of {}", self.real.n(), self.real.name()))),
        };
        for (metric, rows) in metrics.iter().zip(rows) {
            let Measure::Whole(measure) = metric.measure else { continue };
            job.stop.check()?;
            let measured = measure(&Whole {
                real: self.real,
                fake: self.fake,
                fake_labels: self.fake_labels,
                stand_in: stand_in.as_ref().map(|(images, name)| (*images, name.as_str())),
                train: self.train,
                generator: self.generator,
                discriminator: self.discriminator,
                options,
                job,
            })?;
            for measured in measured {
                let (floor, name) = match &measured.floor {
                    Some((floor, name)) if options.floor => (Some(*floor), name.clone()),
                    _ => (None, "none".into()),
                };
                rows.push((self.score(None, &measured, floor, &name, options), measured));
            }
        }
        Ok(())
    }

    fn score(
        &self,
        by: Option<&dyn Extractor>,
        measured: &Measured,
        floor: Option<f64>,
        floor_name: &str,
        options: &EvaluateOptions,
    ) -> Score {
        let interval = match measured.interval {
            Some(_) => format!("95%, from leaving out each of {} groups of samples", Groups::COUNT),
            None => "none".into(),
        };
        let of = |by: Option<&str>| by.unwrap_or_default().to_string();
        Score {
            metric: measured.metric.clone(),
            label: measured.label.clone(),
            value: measured.value,
            lo: measured.interval.map(|interval| interval.low),
            hi: measured.interval.map(|interval| interval.high),
            floor,
            better: measured.better,
            protocol: Protocol {
                split: self.real.name().into(),
                n_real: self.real.n(),
                n_fake: self.fake.n(),
                floor: floor_name.into(),
                extractor: of(by.map(Extractor::name)),
                extractor_hash: of(by.map(Extractor::hash)).chars().take(16).collect(),
                resize: of(by.map(Extractor::preparation)),
                quantisation: match (self.unrounded, by) {
                    (Some(_), Some(_)) => "generated images not rounded, real ones of 8 bits",
                    _ => EIGHT_BITS,
                }
                .into(),
                settings: measured.settings.clone(),
                interval,
                seed: options.seed,
            },
        }
    }

    fn check(&self, metrics: &[&Metric]) -> Result<()> {
        if metrics.is_empty() {
            let names: Vec<&str> = METRICS.iter().map(Row::name).collect();
            return Err(Error::new("no metric was asked for").help(format!("the choices are `{}`", names.join("`, `"))));
        }
        if self.extractors.is_empty() {
            return Err(Error::new("no extractor was given, at least one is needed"));
        }
        if let Some(train) = self.train
            && train.shape() != self.real.shape()
        {
            return Err(Error::new(format!(
                "training images are {}, real images are {}; both must be alike",
                train.shape(),
                self.real.shape()
            )));
        }
        if self.fake.shape() != self.real.shape() {
            return Err(Error::new(format!(
                "generated images are {}, real images are {}; both must be alike",
                self.fake.shape(),
                self.real.shape()
            )));
        }
        for metric in metrics {
            let name = metric.name();
            let seen_by = |by: &dyn Fn(&dyn Extractor) -> bool| self.extractors.iter().any(|extractor| by(*extractor));
            match metric.measure {
                Measure::Predictions(_) if !seen_by(&|by| by.classes().is_some()) => {
                    return Err(Error::new(format!("`{name}` needs a classifier among the extractors"))
                        .help("give a `judge`, or the weights of the Inception network"));
                }
                Measure::Classes(_) if !seen_by(&|by| by.role() == Role::Judge) => {
                    return Err(Error::new(format!(
                        "`{name}` needs a classifier of the data set among the extractors"
                    ))
                    .help("train one on the real images and their labels, or leave the metric out"));
                }
                Measure::Inception(_) if !seen_by(&|by| by.role() == Role::Inception) => {
                    return Err(Error::new(format!("`{name}` needs the Inception network among the extractors"))
                        .help("`fd` is the same distance by the network inside the program"));
                }
                Measure::Clip(_) if !seen_by(&|by| by.role() == Role::Clip) => {
                    return Err(Error::new(format!("`{name}` needs CLIP among the extractors"))
                        .help("`kid` is a like distance by the network inside the program"));
                }
                _ => {}
            }
            let absent =
                |what: &str, help: &str| Err(Error::new(format!("`{name}` needs {what}")).help(help.to_string()));
            if metric.needs(Need::Training) && self.train.is_none() {
                return absent("the images that the generator learned from", "give them with `train: data.train`");
            }
            if metric.needs(Need::Generator) && self.generator.is_none() {
                return absent("the generator itself", "give the GAN, or a function of latents with its `z_dim`");
            }
            if metric.needs(Need::Discriminator) && self.discriminator.is_none() {
                return absent("the discriminator that the generator learned against", "give the GAN itself");
            }
            if !metric.needs(Need::Labels) {
                continue;
            }
            if let Some(train) = self.train.filter(|_| metric.needs(Need::Training)) {
                train.truth()?;
            }
            if self.fake_labels.is_none() {
                return Err(Error::new(format!(
                    "`{name}` needs the class that each generated image was asked to show"
                ))
                .help("a generator without labels is not asked for classes; leave the metric out"));
            }
            self.real.truth()?;
        }
        if let Some(labels) = self.fake_labels {
            let classes = self.real.classes().len();
            if labels.len() != self.fake.n() {
                return Err(Error::new(format!(
                    "{} labels were given for {} generated images; there is one label an image",
                    labels.len(),
                    self.fake.n()
                )));
            }
            if let Some(label) = labels.iter().find(|&&label| classes > 0 && label as usize >= classes) {
                return Err(Error::new(format!(
                    "label {label} of a generated image is out of range; {} has {classes} classes, from 0",
                    self.real.name()
                )));
            }
        }
        Ok(())
    }
}

/// Whether a metric is taken by this extractor.
fn seen_by(metric: &Metric, extractor: &dyn Extractor) -> bool {
    match metric.measure {
        Measure::Features(_) => true,
        Measure::Inception(_) => extractor.role() == Role::Inception,
        Measure::Clip(_) => extractor.role() == Role::Clip,
        Measure::Predictions(_) => extractor.classes().is_some(),
        Measure::Classes(_) => extractor.role() == Role::Judge,
        Measure::Whole(_) => false,
    }
}

const STAGE: &str = "score";

/// Images seen so far, of all that will be.
struct Progress<'a> {
    job: &'a Job,
    done: usize,
    of: usize,
}

impl Progress<'_> {
    /// Lets `work` look at `images` images; the function it is given takes how many it has seen.
    fn during<T>(&mut self, images: usize, work: impl FnOnce(&dyn Fn(usize) -> Result<()>) -> Result<T>) -> Result<T> {
        let watch = |seen: usize| {
            self.job.stop.check()?;
            self.job.observer.step(&Step {
                stage: STAGE,
                step: (self.done + seen) as u64,
                of: self.of as u64,
                values: &[],
            });
            Ok(())
        };
        let result = work(&watch)?;
        watch(images)?;
        self.done += images;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bright, Own};
    use super::*;
    use crate::data::{Shape, Truth};
    use crate::metric::{self, Better, Gilbo, GilboOptions, Shown};
    use crate::progress::Stop;
    use crate::tensor::Device;

    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Sees three pixels as three features, and the brightest of the first two as the class.
    struct Pixels {
        shown: AtomicUsize,
        role: Role,
    }

    impl Pixels {
        fn new() -> Self {
            Self { shown: AtomicUsize::new(0), role: Role::Judge }
        }
    }

    impl Extractor for Pixels {
        fn name(&self) -> &str {
            "pixels"
        }
        fn hash(&self) -> &str {
            "0123456789abcdef0123"
        }
        fn preparation(&self) -> &str {
            "none"
        }
        fn dim(&self) -> usize {
            3
        }
        fn classes(&self) -> Option<usize> {
            Some(2)
        }
        fn role(&self) -> Role {
            self.role
        }
        fn batch(&self) -> usize {
            7
        }
        fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
            self.extract_unrounded(&images.tensor(&Device::Cpu)?)
        }
        fn extract_unrounded(&self, images: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
            self.shown.fetch_add(images.dims()[0], Ordering::Relaxed);
            let features = images.flatten(1)?;
            let logits = features.narrow(1, 0, 2)?;
            Ok((features, Some(logits)))
        }
    }

    fn images(n: usize, offset: u8) -> (Images, Vec<u32>) {
        let labels: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        let pixels = labels.iter().enumerate().flat_map(|(i, &label)| {
            let noise = (i * i % 50) as u8;
            let lit = |class| if label == class { 120 + offset } else { 10 } + noise;
            [lit(0), lit(1), (i * 37 % 97) as u8]
        });
        (Images::new(Shape { channels: 1, height: 1, width: 3 }, pixels.collect()).unwrap(), labels)
    }

    fn set(name: &str, n: usize, offset: u8) -> Dataset {
        let (images, labels) = images(n, offset);
        let truth = Truth::new(labels, vec!["left".into(), "right".into()]).unwrap();
        Dataset::new(name, images, Some(truth), "a test").unwrap()
    }

    const ALL: [&str; 6] = ["fd", "kid", "prdc", "is", "accuracy", "fd_per_class"];

    #[test]
    fn one_pass_feeds_every_metric_and_each_number_carries_its_protocol() {
        let (real, other) = (set("pairs/test", 100, 0), set("pairs/train", 300, 0));
        let (fake, labels) = images(80, 40);
        let eyes = Pixels::new();
        let evaluation = Evaluation {
            real: &real,
            other: Some(&other),
            train: None,
            fake: &fake,
            unrounded: None,
            fake_labels: Some(&labels),
            generator: None,
            discriminator: None,
            extractors: &[&eyes],
            cache: &Cache::none(),
        };
        let scores = evaluation.run(&ALL, &EvaluateOptions::default(), &Job::silent()).unwrap();
        // 100 real, 80 fake, 80 others for the floor: each is looked at once.
        assert_eq!(eyes.shown.load(Ordering::Relaxed), 260);
        let names: Vec<&str> = scores.rows.iter().map(|row| row.metric.as_str()).collect();
        let expected = [
            "fd",
            "kid",
            "kid_subsets",
            "precision",
            "recall",
            "density",
            "coverage",
            "is",
            "accuracy",
            "fd_per_class",
            "fd_per_class/left",
            "fd_per_class/right",
        ];
        assert_eq!(names, expected);
        let fd = scores.get("fd").unwrap();
        assert_eq!(fd.label, "FD (pixels)");
        assert!(fd.lo.unwrap() < fd.value && fd.value < fd.hi.unwrap());
        assert!(fd.floor.unwrap() < 0.2 * fd.value, "{fd:?}");
        assert_eq!((fd.protocol.n_real, fd.protocol.n_fake), (100, 80));
        assert_eq!(fd.protocol.floor, "80 of pairs/train against 100 of pairs/test");
        assert_eq!(fd.protocol.extractor_hash, "0123456789abcdef");
        let accuracy = scores.get("accuracy").unwrap();
        assert_eq!((accuracy.value, accuracy.floor), (1., Some(1.)));
        assert_eq!(accuracy.protocol.floor, "100 of pairs/test");
    }

    /// Fails unless each named score is this number.
    fn agree<const N: usize>(scores: &Scores, expected: [(&str, f64); N]) {
        assert_eq!(scores.rows.iter().map(|row| row.metric.as_str()).collect::<Vec<_>>(), expected.map(|row| row.0));
        for (metric, value) in expected {
            let row = scores.get(metric).unwrap();
            assert!((row.value - value).abs() <= 1e-12 * (1. + value.abs()), "{metric}: {} is not {value}", row.value);
        }
    }

    #[test]
    fn each_score_is_its_formula_on_the_images_of_its_side() {
        let (real, train) = (set("pairs/test", 100, 0), set("pairs/train", 120, 9));
        let (fake, labels) = images(110, 40);
        let eyes = [Role::Judge, Role::Inception, Role::Clip].map(|role| Pixels { role, ..Pixels::new() });
        let score = |by: &Pixels, metrics: &[&str]| {
            let evaluation = Evaluation {
                real: &real,
                other: None,
                train: Some(&train),
                fake: &fake,
                unrounded: None,
                fake_labels: Some(&labels),
                generator: None,
                discriminator: None,
                extractors: &[by],
                cache: &Cache::none(),
            };
            let options = EvaluateOptions { neighbours: 3, ..EvaluateOptions::default() };
            let scores = evaluation.run(metrics, &options, &Job::silent()).unwrap();
            let bare =
                evaluation.run(metrics, &EvaluateOptions { intervals: false, ..options }, &Job::silent()).unwrap();
            for (row, bare) in scores.rows.iter().zip(&bare.rows) {
                assert!((row.value - bare.value).abs() <= 1e-9 * (1. + row.value.abs()), "{row:?} {bare:?}");
            }
            scores
        };
        let seen = |images: &Images| see(&eyes[0], images, |_| Ok(())).unwrap();
        let (r, f, t) = (seen(real.images()).features, seen(&fake), seen(train.images()).features);
        let logits = f.logits.unwrap();
        let f = f.features;

        let fd = metric::frechet_distance(&r, &f).unwrap();
        agree(&score(&eyes[0], &["fd"]), [("fd", fd)]);
        agree(&score(&eyes[1], &["fid"]), [("fid", fd)]);
        let kid = metric::kid(&r, &f).unwrap();
        let (subsets, _) = metric::kid_subsets(&r, &f, 100, 100, 2020).unwrap();
        agree(&score(&eyes[0], &["kid"]), [("kid", kid), ("kid_subsets", subsets)]);
        agree(&score(&eyes[2], &["cmmd"]), [("cmmd", metric::cmmd(&r, &f, 1).unwrap().0)]);
        let p = metric::prdc(&r, &f, 3).unwrap();
        let expected =
            [("precision", p.precision), ("recall", p.recall), ("density", p.density), ("coverage", p.coverage)];
        agree(&score(&eyes[0], &["prdc"]), expected);
        let [precision, recall] = metric::precision_recall(&r, &f, 3).unwrap();
        let both = metric::f_beta(precision, recall, 1.).unwrap();
        let expected = [("precision_3", precision), ("recall_3", recall), ("f_score_3", both)];
        agree(&score(&eyes[0], &["precision_recall"]), expected);
        let prd = metric::prd(&r, &f, true, 1, &Stop::default()).unwrap();
        agree(&score(&eyes[0], &["prd"]), [("prd_f8", prd.f8.0), ("prd_f1_8", prd.f1_8.0)]);
        let (is, _) = metric::inception_score(&logits, 10, Some(2020)).unwrap();
        agree(&score(&eyes[0], &["is"]), [("is", is)]);
        agree(&score(&eyes[0], &["accuracy"]), [("accuracy", metric::accuracy(&labels, &logits).unwrap())]);
        let of = |features, labels| metric::Labelled { features, labels };
        let truth = real.truth().unwrap().labels();
        let by = metric::frechet_per_class(of(&r, truth), of(&f, &labels), real.classes(), None).unwrap();
        let [left, right] = [by.classes[0].0, by.classes[1].0];
        let expected =
            [("fd_per_class", (left + right) / 2.), ("fd_per_class/left", left), ("fd_per_class/right", right)];
        agree(&score(&eyes[0], &["fd_per_class"]), expected);
        let nearest = metric::nearest(&t, &f, false, 1).unwrap();
        let expected = [("nearest", nearest.distance.0), ("authentic", nearest.authentic.0)];
        agree(&score(&eyes[0], &["nearest"]), expected);
        let (ssim, _) = metric::ms_ssim(&fake, 1, &Stop::default()).unwrap();
        agree(&score(&eyes[0], &["ms_ssim"]), [("ms_ssim", ssim)]);
        let (dimension, _) = metric::fractal_dimension_of_images(&fake, 1).unwrap();
        agree(&score(&eyes[0], &["fractal_dimension"]), [("fractal_dimension", dimension)]);
    }

    #[test]
    fn each_score_of_the_networks_is_its_formula() {
        let (real, train) = (set("pairs/test", 100, 0), set("pairs/train", 60, 9));
        let (fake, labels) = images(80, 40);
        // Its three directions are stretched by 1, 1/2 and 1/4.
        let generator = Own::new(3, Prior::Uniform, |z| {
            let stretch = Tensor::from_vec(vec![0.5, 0.25, 0.125], &[1, 3], z.device())?;
            z.mul(&stretch)?.add_scalar(0.5)?.reshape(&[z.dims()[0], 1, 1, 3])
        });
        let discriminator = Bright { conditional: false };
        let eyes = Pixels::new();
        let evaluation = Evaluation {
            real: &real,
            other: None,
            train: Some(&train),
            fake: &fake,
            unrounded: None,
            fake_labels: Some(&labels),
            generator: Some(&generator),
            discriminator: Some(&discriminator),
            extractors: &[&eyes],
            cache: &Cache::none(),
        };
        let options = EvaluateOptions {
            gilbo_steps: 3,
            gilbo_images: 64,
            cas_network: "resnet-tiny".into(),
            cas_epochs: 1,
            ..EvaluateOptions::default()
        };
        let job = Job::silent();
        let score = |metric: &str| evaluation.run(&[metric], &options, &job).unwrap();
        let scores = score("generator_conditioning");
        let [value, deviation] = [0, 1].map(|i| scores.rows[i].value);
        assert!((value - 16_f64.ln()).abs() < 1e-4 && deviation < 1e-4, "{value} {deviation}");
        let found = metric::overfitting(
            &discriminator,
            Shown::of(&train),
            Shown::of(&real),
            Shown { images: &fake, labels: Some(&labels) },
            None,
            &job.stop,
        )
        .unwrap();
        let scores = score("discriminator_accuracy");
        let expected = [
            ("d_accuracy_train", found.train_accuracy),
            ("d_accuracy_test", found.test_accuracy),
            ("d_accuracy_fake", found.fake_accuracy),
            ("d_loss_train", found.train_loss),
            ("d_loss_test", found.test_loss),
            ("d_overfitting", found.gap),
        ];
        for (row, (metric, (value, _))) in scores.rows.iter().zip(expected) {
            assert!(row.metric == metric && (row.value - value).abs() < 1e-6, "{row:?} is not {metric} {value}");
        }
        let own = GilboOptions { steps: 3, lr: options.gilbo_lr, images: 64, seed: 1 };
        let gilbo = Gilbo::train(&generator, own, &job).unwrap();
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let (own, own_labels) = gilbo.own_images(320).unwrap();
        let test = real.images().tensor(&Device::Cpu).unwrap();
        let expected = [
            ("gilbo", mean(gilbo.bound(&job).unwrap())),
            ("gilbo_consistency", mean(gilbo.consistency(&own, &own_labels, &job).unwrap())),
            ("gilbo_consistency_test", mean(gilbo.consistency(&test, &vec![0; 100], &job).unwrap())),
        ];
        agree(&score("gilbo"), expected);
    }

    #[test]
    fn copies_of_training_images_are_shown_beside_them_and_held_out_images_are_the_mark() {
        let (real, train) = (set("pairs/test", 100, 0), set("pairs/train", 120, 5));
        let copied: Vec<u32> = (0..60).collect();
        let fake = train.images().select(&copied).unwrap();
        let eyes = Pixels::new();
        let evaluation = Evaluation {
            real: &real,
            other: Some(&train),
            train: Some(&train),
            fake: &fake,
            unrounded: None,
            fake_labels: None,
            generator: None,
            discriminator: None,
            extractors: &[&eyes],
            cache: &Cache::none(),
        };
        let options = EvaluateOptions::default();
        let scores = evaluation.run(&["nearest", "prd", "fd", "ms_ssim"], &options, &Job::silent()).unwrap();
        let nearest = scores.get("nearest").unwrap();
        // Real images in place of the generated ones, not the training images that are their own neighbours.
        assert!(nearest.value == 0. && nearest.floor.unwrap() > 0., "{nearest:?}");
        assert_eq!(nearest.protocol.floor, "100 of pairs/test");
        assert_eq!(scores.get("authentic").unwrap().value, 0.);
        let picture = &scores.pictures[0];
        assert_eq!((picture.metric.as_str(), scores.pictures.len()), ("nearest", 1));
        assert!(picture.picture.height > 2 * 20 && picture.picture.width > 10 * 60, "ten pairs");
        let curve = &scores.curves[0];
        assert!(curve.points.len() == 101 && curve.floor.len() == 101, "{}", curve.floor.len());
        assert!(curve.points.iter().chain(&curve.floor).flatten().all(|share| (0. ..=1.).contains(share)));
        // Nobody's eyes see pixels.
        let ssim = scores.get("ms_ssim").unwrap();
        assert_eq!((ssim.protocol.extractor.as_str(), ssim.better), ("", Better::Neither));
        assert!(ssim.floor.is_some());
        let refused = |metric: &str| {
            let bare = Evaluation { train: None, ..evaluation };
            bare.run(&[metric], &options, &Job::silent()).unwrap_err().message
        };
        assert_eq!(refused("nearest"), "`nearest` needs the images that the generator learned from");
        assert_eq!(refused("gilbo"), "`gilbo` needs the generator itself");
        assert_eq!(refused("fid"), "`fid` needs the Inception network among the extractors");
    }

    #[test]
    fn without_other_images_the_real_ones_are_halved() {
        let real = set("pairs/test", 101, 0);
        let (fake, labels) = images(80, 0);
        let evaluation = Evaluation {
            real: &real,
            other: None,
            train: None,
            fake: &fake,
            unrounded: None,
            fake_labels: Some(&labels),
            generator: None,
            discriminator: None,
            extractors: &[&Pixels::new()],
            cache: &Cache::none(),
        };
        let scores = evaluation.run(&["fd_per_class"], &EvaluateOptions::default(), &Job::silent()).unwrap();
        assert_eq!(scores.rows[0].protocol.floor, "51 against 50, halves of pairs/test");
        assert!(scores.rows.iter().all(|row| row.floor.is_some()));
    }

    #[test]
    fn real_images_are_seen_once_for_all_evaluations() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let real = set("pairs/test", 100, 0);
        let (fake, labels) = images(60, 40);
        let eyes = Pixels::new();
        let extractors: [&dyn Extractor; 1] = [&eyes];
        let evaluation = Evaluation {
            real: &real,
            other: None,
            train: None,
            fake: &fake,
            unrounded: None,
            fake_labels: Some(&labels),
            generator: None,
            discriminator: None,
            extractors: &extractors,
            cache: &cache,
        };
        let score = || evaluation.run(&ALL, &EvaluateOptions::default(), &Job::silent()).unwrap();
        let first = score();
        assert_eq!(eyes.shown.load(Ordering::Relaxed), 160);
        assert_eq!(score(), first);
        assert_eq!(eyes.shown.load(Ordering::Relaxed), 220);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
        assert_eq!(score(), first);
        assert_eq!(eyes.shown.load(Ordering::Relaxed), 380);
    }

    #[test]
    fn what_cannot_be_scored_is_refused_before_any_work() {
        let real = set("pairs/test", 20, 0);
        let (fake, labels) = images(20, 0);
        let eyes = Pixels::new();
        let cache = Cache::none();
        let extractors: [&dyn Extractor; 1] = [&eyes];
        let whole = Evaluation {
            real: &real,
            other: None,
            train: None,
            fake: &fake,
            unrounded: None,
            fake_labels: Some(&labels),
            generator: None,
            discriminator: None,
            extractors: &extractors,
            cache: &cache,
        };
        let refused = |evaluation: &Evaluation<'_>, metrics: &[&str]| {
            evaluation.run(metrics, &EvaluateOptions::default(), &Job::silent()).unwrap_err().message
        };
        assert_eq!(refused(&whole, &["fdd"]), "there is no metric `fdd`");
        assert_eq!(refused(&whole, &[]), "no metric was asked for");
        let message = refused(&Evaluation { fake_labels: None, ..whole }, &["accuracy"]);
        assert_eq!(message, "`accuracy` needs the class that each generated image was asked to show");
        let message = refused(&Evaluation { fake_labels: Some(&labels[1..]), ..whole }, &["fd"]);
        assert_eq!(message, "19 labels were given for 20 generated images; there is one label an image");
        let message = refused(&Evaluation { fake_labels: Some(&[5; 20]), ..whole }, &["fd"]);
        assert_eq!(message, "label 5 of a generated image is out of range; pairs/test has 2 classes, from 0");
        let wide = Images::new(Shape { channels: 1, height: 1, width: 4 }, vec![0; 80]).unwrap();
        let message = refused(&Evaluation { fake: &wide, ..whole }, &["fd"]);
        assert_eq!(message, "generated images are 4x1 grey, real images are 3x1 grey; both must be alike");
        assert_eq!(eyes.shown.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn images_that_were_not_rounded_are_seen_as_they_are() {
        let real = set("pairs/test", 40, 0);
        let (fake, _) = images(40, 0);
        // Moved by a third of a step of 8 bits: rounding gives the very images that are real.
        let unrounded = fake.tensor(&Device::Cpu).unwrap().add_scalar(1. / 765.).unwrap();
        let eyes = Pixels::new();
        let extractors: [&dyn Extractor; 1] = [&eyes];
        let rounded = Evaluation {
            real: &real,
            other: None,
            train: None,
            fake: &fake,
            unrounded: None,
            fake_labels: None,
            generator: None,
            discriminator: None,
            extractors: &extractors,
            cache: &Cache::none(),
        };
        let fd = |evaluation: &Evaluation<'_>| {
            let scores = evaluation.run(&["fd", "ms_ssim"], &EvaluateOptions::default(), &Job::silent()).unwrap();
            let [fd, pixels] = ["fd", "ms_ssim"].map(|name| scores.get(name).unwrap().clone());
            assert_eq!(pixels.protocol.quantisation, "8 bits");
            (fd.value, fd.protocol.quantisation)
        };
        let (value, said) = fd(&rounded);
        assert!(value.abs() < 1e-9 && said == "8 bits", "{value} {said}");
        let (value, said) = fd(&Evaluation { unrounded: Some(&unrounded), ..rounded });
        assert!((value - 3. / 765_f64.powi(2)).abs() < 1e-7, "the distance of the means: {value}");
        assert_eq!(said, "generated images not rounded, real ones of 8 bits");
    }

    #[test]
    fn a_person_can_stop_it() {
        let real = set("pairs/test", 20, 0);
        let job = Job::silent();
        job.stop.raise();
        let (fake, _) = images(20, 0);
        let evaluation = Evaluation {
            real: &real,
            other: None,
            train: None,
            fake: &fake,
            unrounded: None,
            fake_labels: None,
            generator: None,
            discriminator: None,
            extractors: &[&Pixels::new()],
            cache: &Cache::none(),
        };
        assert!(evaluation.run(&["fd"], &EvaluateOptions::default(), &job).unwrap_err().is_interrupt());
    }
}
