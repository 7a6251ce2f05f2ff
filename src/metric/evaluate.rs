//! One pass over one set of generated images, for every metric.

use super::cache::Cache;
use super::extractor::{Extractor, Seen, see, see_again};
use super::interval::Groups;
use super::scores::{Protocol, Score, Scores};
use super::table::{Comparison, METRICS, Measured, Metric, Side};
use crate::data::{Dataset, Images};
use crate::error::{Error, Result};
use crate::progress::{Job, Step};
use crate::table::{self, Row};
use crate::tensor::Rng;

crate::options! {
    /// Options of `metric::evaluate`.
    pub struct EvaluateOptions("metric::evaluate") {
        /// Neighbours that set the radius of a ball in precision, recall, density and coverage.
        pub neighbours: usize = 5,
        /// Random subsets that the kernel distance is averaged over.
        pub kid_subsets: usize = 100,
        /// Images of each side in such a subset; all images where there are fewer.
        pub kid_subset_size: usize = 1000,
        /// Parts that the Inception-style score is averaged over.
        pub splits: usize = 10,
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
    /// The generated images.
    pub fake: &'a Images,
    /// The class that each was asked to show.
    pub fake_labels: Option<&'a [u32]>,
    /// Whose features and predictions are compared.
    pub extractors: &'a [&'a dyn Extractor],
    /// Where what is seen in real images is kept.
    pub cache: &'a Cache,
}

/// Which real images stand in for generated ones.
enum Floor {
    /// Some of the other real images, as many as are generated.
    Other(Dataset),
    /// Half of the real images against the other half.
    Halves([Vec<usize>; 2]),
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

impl Evaluation<'_> {
    /// Scores the generated images by the `metrics` of these names: by each extractor, or by each that is a classifier for
    /// metrics that ask for predictions.
    pub fn run(&self, metrics: &[&str], options: &EvaluateOptions, job: &Job) -> Result<Scores> {
        let metrics = metrics.iter().map(|name| table::find(METRICS, name)).collect::<Result<Vec<_>>>()?;
        self.check(&metrics)?;
        let floor = options.floor.then(|| self.floor(options.seed)).transpose()?;
        let stand_ins = if let Some(Floor::Other(other)) = &floor { other.n() } else { 0 };
        let images = (self.real.n() + self.fake.n() + stand_ins) * self.extractors.len();

        let mut progress = Progress { job, done: 0, of: images };
        job.observer.begin(STAGE, 0, images as u64);
        // By metric first, as they were asked for.
        let mut rows: Vec<Vec<Score>> = metrics.iter().map(|_| Vec::new()).collect();
        for &extractor in self.extractors {
            let real = self.sight(extractor, self.real, &mut progress)?;
            let fake = Sighted {
                seen: progress.during(self.fake.n(), |watch| see(extractor, self.fake, watch))?,
                labels: self.fake_labels.map(<[u32]>::to_vec),
            };
            let floor = match &floor {
                None => None,
                Some(Floor::Other(other)) => {
                    let name =
                        format!("{} of {} against {} of {}", other.n(), other.name(), self.real.n(), self.real.name());
                    Some((None, self.sight(extractor, other, &mut progress)?, name))
                }
                Some(Floor::Halves([a, b])) => {
                    let name = format!("{} against {}, halves of {}", a.len(), b.len(), self.real.name());
                    Some((Some(real.select(a)), real.select(b), name))
                }
            };
            for (metric, rows) in metrics.iter().zip(&mut rows) {
                if metric.predictions && extractor.classes().is_none() {
                    continue;
                }
                job.stop.check()?;
                let compare = |real: Side<'_>, fake: Side<'_>, intervals| {
                    let classes = self.real.classes();
                    (metric.measure)(&Comparison {
                        real,
                        fake,
                        classes,
                        extractor: extractor.name(),
                        options,
                        intervals,
                    })
                };
                let measured = compare(real.side(), fake.side(), options.intervals)?;
                let (floors, floor_name) = match &floor {
                    None => (Vec::new(), "not asked for".into()),
                    // Predictions are judged on their own, and on images that no classifier was trained on.
                    Some(_) if metric.predictions => (
                        compare(real.side(), real.side(), false)?,
                        format!("{} of {}", self.real.n(), self.real.name()),
                    ),
                    Some((half, stand_in, name)) => {
                        match compare(half.as_ref().unwrap_or(&real).side(), stand_in.side(), false) {
                            Ok(floors) => (floors, name.clone()),
                            // The score itself stands; the protocol says why it has no floor.
                            Err(error) => (Vec::new(), format!("none ({})", error.message)),
                        }
                    }
                };
                let mut floors = floors.into_iter();
                for measured in measured {
                    let floor = floors.next().map(|floor| floor.value);
                    rows.push(self.score(extractor, measured, floor, &floor_name, options));
                }
            }
        }
        let scores = Scores { rows: rows.into_iter().flatten().collect() };
        let first = scores
            .rows
            .first()
            .map(|row| format!("{} {}", row.label, super::scores::short(row.value)))
            .unwrap_or_default();
        job.observer.end(STAGE, &first);
        Ok(scores)
    }

    fn sight(&self, extractor: &dyn Extractor, data: &Dataset, progress: &mut Progress<'_>) -> Result<Sighted> {
        let seen = progress.during(data.n(), |watch| see_again(extractor, data.images(), self.cache, watch))?;
        Ok(Sighted { seen, labels: data.truth().ok().map(|truth| truth.labels().to_vec()) })
    }

    fn score(
        &self,
        by: &dyn Extractor,
        measured: Measured,
        floor: Option<f64>,
        floor_name: &str,
        options: &EvaluateOptions,
    ) -> Score {
        let interval = match measured.interval {
            Some(_) => format!("95%, from leaving out each of {} groups of images", Groups::COUNT),
            None => "none".into(),
        };
        Score {
            metric: measured.metric,
            label: measured.label,
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
                extractor: by.name().into(),
                extractor_hash: by.hash().chars().take(16).collect(),
                resize: by.preparation().into(),
                quantisation: "8 bits".into(),
                settings: measured.settings,
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
        if self.fake.shape() != self.real.shape() {
            return Err(Error::new(format!(
                "generated images are {}, real images are {}; both must be alike",
                self.fake.shape(),
                self.real.shape()
            )));
        }
        for metric in metrics {
            let name = metric.name();
            if metric.predictions && self.extractors.iter().all(|extractor| extractor.classes().is_none()) {
                return Err(Error::new(format!("`{name}` needs a classifier of the data set among the extractors"))
                    .help("train one on the real images and their labels, or leave the metric out"));
            }
            if !metric.labels {
                continue;
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

    /// The real images that stand in for generated ones: class by class as many, where classes are known.
    fn floor(&self, seed: u64) -> Result<Floor> {
        let rng = Rng::new(seed).stream("floor");
        let Some(other) = self.other else {
            let mut halves = [Vec::new(), Vec::new()];
            for members in shuffled_classes(self.real, &rng) {
                for row in members {
                    // To the shorter half, so that odd classes even out.
                    let half = usize::from(halves[1].len() < halves[0].len());
                    halves[half].push(row as usize);
                }
            }
            halves.iter_mut().for_each(|half| half.sort_unstable());
            return Ok(Floor::Halves(halves));
        };
        if other.shape() != self.real.shape() {
            return Err(Error::new(format!(
                "images of {} are {}, images of {} are {}; both must be alike",
                other.name(),
                other.shape(),
                self.real.name(),
                self.real.shape()
            )));
        }
        let members = shuffled_classes(other, &rng);
        let wanted: Vec<usize> = match self.fake_labels {
            Some(labels) if members.len() > 1 => (0..members.len())
                .map(|class| labels.iter().filter(|&&label| label as usize == class).count())
                .collect(),
            // In proportion to what there is.
            _ => members.iter().map(|rows| (self.fake.n() * rows.len()).div_ceil(other.n())).collect(),
        };
        let mut rows: Vec<u32> =
            members.iter().zip(wanted).flat_map(|(rows, wanted)| rows.iter().copied().take(wanted)).collect();
        rows.truncate(self.fake.n());
        rows.sort_unstable();
        Ok(Floor::Other(other.select(other.name(), &rows)?))
    }
}

/// The images of each class in random order; all of them as one class, where classes are unknown.
fn shuffled_classes(data: &Dataset, rng: &Rng) -> Vec<Vec<u32>> {
    let members = data.truth().map_or_else(|_| vec![(0..data.n() as u32).collect()], |truth| truth.by_class());
    let shuffle = |(class, members): (usize, Vec<u32>)| {
        rng.at(class as u64).permutation(members.len()).into_iter().map(|place| members[place]).collect()
    };
    members.into_iter().enumerate().map(shuffle).collect()
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
    use super::*;
    use crate::data::{Shape, Truth};
    use crate::tensor::{Device, Tensor};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Sees three pixels as three features, and the brightest of the first two as the class.
    struct Pixels {
        shown: AtomicUsize,
    }

    impl Pixels {
        fn new() -> Self {
            Self { shown: AtomicUsize::new(0) }
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
        fn batch(&self) -> usize {
            7
        }
        fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
            self.shown.fetch_add(images.n(), Ordering::Relaxed);
            let features = images.tensor(&Device::Cpu)?.flatten(1)?;
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
            fake: &fake,
            fake_labels: Some(&labels),
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

    #[test]
    fn without_other_images_the_real_ones_are_halved() {
        let real = set("pairs/test", 101, 0);
        let (fake, labels) = images(80, 0);
        let evaluation = Evaluation {
            real: &real,
            other: None,
            fake: &fake,
            fake_labels: Some(&labels),
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
            fake: &fake,
            fake_labels: Some(&labels),
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
            fake: &fake,
            fake_labels: Some(&labels),
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
    fn a_person_can_stop_it() {
        let real = set("pairs/test", 20, 0);
        let job = Job::silent();
        job.stop.raise();
        let (fake, _) = images(20, 0);
        let evaluation = Evaluation {
            real: &real,
            other: None,
            fake: &fake,
            fake_labels: None,
            extractors: &[&Pixels::new()],
            cache: &Cache::none(),
        };
        assert!(evaluation.run(&["fd"], &EvaluateOptions::default(), &job).unwrap_err().is_interrupt());
    }
}
