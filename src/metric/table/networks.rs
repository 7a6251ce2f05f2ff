//! Metrics of the generator and the discriminator themselves.

use super::super::conditioning::conditioning;
use super::super::gilbo::{Gilbo, GilboOptions};
use super::super::interval::Interval;
use super::super::overfitting::{Shown, overfitting};
use super::super::scores::Better;
use super::{Measure, Measured, Metric, Need, Whole};
use crate::error::{Error, Result};
use crate::nn::Generative;
use crate::tensor::Rng;

/// Images that the consistency of beliefs is taken over.
const AGAIN: usize = 320;

fn generator<'a>(w: &Whole<'a>) -> Result<&'a dyn Generative> {
    w.generator.ok_or_else(|| Error::bug("a generator was measured and not given"))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean with its interval, which has the values as they were drawn for its groups.
fn with_interval(w: &Whole<'_>, values: &[f64]) -> (f64, Option<Interval>) {
    (mean(values), Interval::of_mean(values).filter(|_| w.options.intervals))
}

pub(super) const GILBO: Metric = Metric {
    name: "gilbo",
    doc: "How much an image tells of the latent it was made from, in nats: a lower bound on their mutual information.\n\n\
          A small network learns to say from an image which latent made it, as a normal distribution for every number; the \
          score is the mean of log q(z|x) - log p(z) over fresh images. Low for a collapsed generator; neither high nor low is \
          good in itself. Latents from -1 to 1 are first turned into normal numbers, which changes no information. \
          `gilbo_consistency` and `gilbo_consistency_test`: how far the belief moves when an image is made again from it, for \
          generated and for held-out images (half the symmetric divergence, in nats). `gilbo_steps` batches of training; more \
          only raise the bound. Alemi & Fischer 2018, arXiv:1802.04874.",
    needs: &[Need::Generator],
    measure: Measure::Whole(|w| {
        let generator = generator(w)?;
        let o = w.options;
        let options = GilboOptions { steps: o.gilbo_steps, lr: o.gilbo_lr, images: o.gilbo_images, seed: o.seed };
        let gilbo = Gilbo::train(generator, options, w.job)?;
        let settings =
            format!("{} batches of 64, rate {}, {} prior", o.gilbo_steps, o.gilbo_lr, generator.prior().name());
        let row = |metric: &str, label: &str, values: &[f64], better| {
            let (value, interval) = with_interval(w, values);
            let settings = format!("{settings}, {} images", values.len());
            Measured {
                metric: metric.into(),
                label: label.into(),
                value,
                interval,
                better,
                settings,
                ..Measured::default()
            }
        };
        let (own, own_labels) = gilbo.own_images(AGAIN)?;
        let held_out: Vec<u32> = (0..w.real.n().min(AGAIN) as u32).collect();
        let test = w.real.images().select(&held_out)?;
        // What a held-out image shows, where that is known; a generator of classes is asked for it.
        let labels = match w.real.truth() {
            Ok(truth) => held_out.iter().map(|i| truth.labels()[*i as usize]).collect(),
            Err(error) if generator.classes() > 0 => return Err(error),
            Err(_) => vec![0; held_out.len()],
        };
        let test = test.tensor(generator.device())?;
        Ok(vec![
            row("gilbo", "GILBO, nats", &gilbo.bound(w.job)?, Better::Neither),
            row("gilbo_consistency", "GILBO consistency", &gilbo.consistency(&own, &own_labels, w.job)?, Better::Lower),
            row(
                "gilbo_consistency_test",
                "GILBO consistency on held-out images",
                &gilbo.consistency(&test, &labels, w.job)?,
                Better::Lower,
            ),
        ])
    }),
};

pub(super) const GENERATOR_CONDITIONING: Metric = Metric {
    name: "generator_conditioning",
    doc: "How evenly the generator answers to its latent: the logarithm of the condition number of its Jacobian.\n\n\
          The natural logarithm of the condition number of JᵀJ, J the derivative of all image values by the latent, exactly; \
          the mean over `conditioning_latents` latents, and the deviation. Lower is better. Singular values below single \
          precision count as that, so a direction that changes nothing gives 31.9. Odena et al. 2018, arXiv:1802.08768.",
    needs: &[Need::Generator],
    measure: Measure::Whole(|w| {
        let generator = generator(w)?;
        let n = w.options.conditioning_latents;
        if n == 0 {
            return Err(Error::new("the option `conditioning_latents` is 0").help("it must be at least 1"));
        }
        let rng = Rng::new(w.options.seed).stream("conditioning");
        let labels: Vec<u32> = (0..n).map(|i| (i % generator.classes().max(1)) as u32).collect();
        let mut values = Vec::with_capacity(n);
        // A few at a time: their graphs are large.
        for (k, labels) in labels.chunks(4).enumerate() {
            let z =
                generator.prior().draw(&mut rng.at(k as u64), labels.len(), generator.z_dim(), generator.device())?;
            values.extend(conditioning(generator, &z, labels, &w.job.stop)?);
        }
        let (value, interval) = with_interval(w, &values);
        let variance = values.iter().map(|x| (x - value) * (x - value)).sum::<f64>() / n as f64;
        let settings = format!("{n} latents of {}, {} prior", generator.z_dim(), generator.prior().name());
        let row = |metric: &str, label: &str, value, interval| Measured {
            metric: metric.into(),
            label: label.into(),
            value,
            interval,
            better: Better::Lower,
            settings: settings.clone(),
            ..Measured::default()
        };
        Ok(vec![
            row("generator_conditioning", "Log condition of the generator", value, interval),
            row("generator_conditioning_deviation", "Its deviation over latents", variance.sqrt(), None),
        ])
    }),
};

pub(super) const DISCRIMINATOR_ACCURACY: Metric = Metric {
    name: "discriminator_accuracy",
    doc: "Whether the discriminator knows its training images by heart: what it says of training, held-out and generated ones.\n\n\
          `d_accuracy_train` and `d_accuracy_test`: the share of real images that it takes for real (a logit from 0 up); \
          `d_accuracy_fake`: of generated ones that it takes for generated. `d_loss_train` and `d_loss_test`: the loss that it \
          learned by. `d_overfitting`: the second loss less the first; 0 where nothing is known by heart, and training must \
          stop when it grows. Needs the training images: a GAN's own, or the option `train`; as many of them count as there \
          are held-out ones. Webster et al. 2019 measure such gaps, arXiv:1901.03396.",
    needs: &[Need::Training, Need::Discriminator],
    measure: Measure::Whole(|w| {
        let missing = || Error::bug("a discriminator was measured and not given");
        let (discriminator, train) = (w.discriminator.ok_or_else(missing)?, w.train.ok_or_else(missing)?);
        let count = train.n().min(w.real.n());
        let mut order = Rng::new(w.options.seed).stream("discriminator_accuracy").permutation(train.n());
        order.truncate(count);
        let rows: Vec<u32> = order.into_iter().map(|row| row as u32).collect();
        let train = train.select(train.name(), &rows)?;
        let fake = Shown { images: w.fake, labels: w.fake_labels };
        let (train, real) = (Shown::of(&train), Shown::of(w.real));
        let found = overfitting(discriminator, train, real, fake, w.interval_seed(), &w.job.stop)?;
        let settings = format!("{} training, {} held-out, {} generated images", found.trained, w.real.n(), w.fake.n());
        let row = |metric: &str, label: &str, (value, interval): (f64, Option<Interval>), better| Measured {
            metric: metric.into(),
            label: label.into(),
            value,
            interval,
            better,
            settings: settings.clone(),
            ..Measured::default()
        };
        Ok(vec![
            row("d_accuracy_train", "D: training images taken for real", found.train_accuracy, Better::Neither),
            row("d_accuracy_test", "D: held-out images taken for real", found.test_accuracy, Better::Neither),
            row("d_accuracy_fake", "D: generated images found out", found.fake_accuracy, Better::Neither),
            row("d_loss_train", "D: loss with training images", found.train_loss, Better::Neither),
            row("d_loss_test", "D: loss with held-out images", found.test_loss, Better::Neither),
            row("d_overfitting", "D: overfitting gap", found.gap, Better::Lower),
        ])
    }),
};
