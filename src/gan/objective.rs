//! What the discriminator and the generator make small: the adversarial loss, the second tasks, the penalty, put together.

use crate::error::Result;
use crate::gan::Scene;
use crate::gan::classifier::Paired;
use crate::gan::train::Training;
use crate::nn::{Mode, ROTATION};
use crate::tensor::{DType, Device, Tensor};

/// What a step measured.
pub(super) type Values = Vec<(&'static str, f64)>;

/// What a step measured, as tensors of one value each that nobody has read yet.
pub(super) type Told = Vec<(&'static str, Tensor)>;

/// The numbers of `told`.
pub(super) fn read(told: &Told) -> Result<Values> {
    let values = Tensor::values_of(&told.iter().map(|(_, value)| value).collect::<Vec<_>>())?;
    Ok(told.iter().map(|(name, _)| *name).zip(values).collect())
}

/// `count` of `of` in all, in double precision.
fn share(count: &Tensor, of: usize) -> Result<Tensor> {
    count.detach().to_dtype(DType::F64)?.div(&Tensor::full(of as f64, &[], DType::F64, count.device())?)
}

/// Images and a row of weights over the classes for each.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub images: &'a Tensor,
    pub rows: &'a Tensor,
}

/// Features of the images of one discriminator step.
struct Seen {
    real: Tensor,
    fake: Tensor,
    /// Of the real images that the classifier labelled.
    paired: Option<Tensor>,
    /// Of the real images at 90, 180 and 270 degrees.
    turned: Option<Tensor>,
}

impl Training<'_, '_> {
    /// The loss of the discriminator on real images and fakes.
    pub(super) fn discriminator_loss(
        &self,
        sub_step: u64,
        piece: usize,
        real: Asked<'_>,
        paired: Option<&Paired>,
        fake: Asked<'_>,
    ) -> Result<(Told, Tensor)> {
        let gan = &*self.gan;
        let (d, options) = (&gan.discriminator, &gan.options);
        let turned = options.turned(real.images.dims()[0]);
        let paired = paired.map(|paired| Asked { images: &paired.images, rows: &paired.rows });
        let seen = self.see(real, paired, fake, turned)?;
        let mut tasks = Vec::new();
        let mut told = Vec::new();
        let mut rows = real.rows.clone();
        if options.predictor {
            let logits = d.predict(&seen.real, Mode::Train)?;
            rows = completed(&rows, &logits, options.soft_prediction)?;
            let loss = match options.class_loss.as_str() {
                "open_set" => open_set(&logits, real.rows, &d.predict(&seen.fake, Mode::Train)?, fake.rows)?,
                _ => labelled_cross_entropy(&logits, real.rows)?,
            };
            told.push(("class_loss", loss.detach()));
            told.push(("labelled", share(&real.rows.sum_all()?, real.rows.dims()[0])?));
            tasks.push(loss.mul_scalar(options.class_weight)?);
        }
        if let Some(copies) = &seen.turned {
            let n = seen.real.dims()[0];
            let answers = ROTATION.answers_for(turned, &Device::Cpu)?;
            let shown = Tensor::cat(&[&seen.real.narrow(0, n - turned, turned)?, copies], 0)?;
            let logits = d.rotation(&shown, Mode::Train)?;
            let loss = logits.cross_entropy(&answers)?;
            let right = logits.detach().hardmax()?.mul(&answers.one_hot(4)?.to_device(&gan.device)?)?.sum_all()?;
            told.push(("d_rotation", loss.detach()));
            told.push(("rotation_accuracy", share(&right, 4 * turned)?));
            tasks.push(loss.mul_scalar(options.d_rotation_weight)?);
        }
        let (real_logits, fake_logits, paired_logits) =
            self.judged(&seen, &rows, paired.map(|paired| paired.rows), fake.rows)?;
        let mut adversarial = self.loss.discriminator(&real_logits, &fake_logits)?;
        if let Some(paired_logits) = paired_logits {
            // A real image with the classifier's label is a fake pair, beside the generator's.
            let (share, pairs) = (options.c_share, self.loss.discriminator(&real_logits, &paired_logits)?);
            adversarial = adversarial.mul_scalar(1.0 - share)?.add(&pairs.mul_scalar(share)?)?;
        }
        let mut values = vec![("d_loss", adversarial.detach())];
        values.extend(told);
        let mut loss = self.weighed(adversarial)?;
        for task in tasks {
            loss = loss.add(&task)?;
        }
        if let Some(penalty) = self.penalised(sub_step, piece, Asked { rows: &rows, ..real }, fake)? {
            values.push(("penalty", penalty.detach()));
            // A penalty that comes every tenth step weighs ten times as much.
            loss = loss.add(&penalty.mul_scalar(options.penalty_weight * options.penalty_every as f64)?)?;
        }
        Ok((values, loss))
    }

    /// The loss of the generator on fakes, whose graph leads to it.
    pub(super) fn generator_loss(&self, fake: Asked<'_>) -> Result<(Told, Tensor)> {
        let gan = &*self.gan;
        let (d, options) = (&gan.discriminator, &gan.options);
        let n = fake.images.dims()[0];
        let turned = if options.g_rotation_weight > 0.0 { options.turned(n) } else { 0 };
        let copies = turned_copies(fake, turned)?;
        let images: Vec<&Tensor> =
            std::iter::once(fake.images).chain(copies.iter().map(|(images, _)| images)).collect();
        let rows: Vec<&Tensor> = std::iter::once(fake.rows).chain(copies.iter().map(|(_, rows)| rows)).collect();
        let features = d.features(&Tensor::cat(&images, 0)?, Some(&Tensor::cat(&rows, 0)?), Mode::Train)?;
        let logits = d.judge(&features.narrow(0, 0, n)?, Some(fake.rows), Mode::Train)?;
        let adversarial = self.loss.generator(&logits)?;
        let mut values = vec![("g_loss", adversarial.detach())];
        let mut loss = self.weighed(adversarial)?;
        if turned > 0 {
            let shown =
                Tensor::cat(&[&features.narrow(0, n - turned, turned)?, &features.narrow(0, n, 3 * turned)?], 0)?;
            let answers = ROTATION.answers_for(turned, &Device::Cpu)?;
            let rotation = d.rotation(&shown, Mode::Train)?.cross_entropy(&answers)?;
            values.push(("g_rotation", rotation.detach()));
            loss = loss.add(&rotation.mul_scalar(options.g_rotation_weight)?)?;
        }
        Ok((values, loss))
    }

    /// The adversarial loss, or nothing of it where rotation alone is learnt; the graph stays whole.
    fn weighed(&self, adversarial: Tensor) -> Result<Tensor> {
        if self.gan.options.adversarial() { Ok(adversarial) } else { adversarial.mul_scalar(0.0) }
    }

    /// Features of real images, fakes of both kinds, and turned copies of the real ones: in one pass, as Compare GAN does it
    /// now, or with the fakes in a pass of their own. The upright images of the copies are in the batch already.
    fn see(&self, real: Asked<'_>, paired: Option<Asked<'_>>, fake: Asked<'_>, turned: usize) -> Result<Seen> {
        let d = &self.gan.discriminator;
        let n = real.images.dims()[0];
        let copies = turned_copies(real, turned)?;
        let run = |parts: &[Asked<'_>]| {
            let images = Tensor::cat(&parts.iter().map(|part| part.images).collect::<Vec<_>>(), 0)?;
            let rows = Tensor::cat(&parts.iter().map(|part| part.rows).collect::<Vec<_>>(), 0)?;
            d.features(&images, Some(&rows), Mode::Train)
        };
        let copies = copies.as_ref().map(|(images, rows)| Asked { images, rows });
        let apart = self.gan.options.separate_passes;
        let fakes: Vec<Asked<'_>> = std::iter::once(fake).chain(paired).collect();
        let of_fakes = fakes.len() * n;
        let joined = if apart { &[] } else { fakes.as_slice() };
        let parts: Vec<Asked<'_>> = std::iter::once(real).chain(joined.iter().copied()).chain(copies).collect();
        let features = run(&parts)?;
        let after = if apart { n } else { n + of_fakes };
        let turned = match turned {
            0 => None,
            turned => Some(features.narrow(0, after, 3 * turned)?),
        };
        let both = if apart { run(&fakes)? } else { features.narrow(0, n, of_fakes)? };
        let paired = if of_fakes > n { Some(both.narrow(0, n, n)?) } else { None };
        Ok(Seen { real: features.narrow(0, 0, n)?, fake: both.narrow(0, 0, n)?, paired, turned })
    }

    /// Logits of real images, of fakes, and of real images that the classifier labelled.
    fn judged(
        &self,
        seen: &Seen,
        real_rows: &Tensor,
        paired_rows: Option<&Tensor>,
        fake_rows: &Tensor,
    ) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let n = seen.real.dims()[0];
        let judge = |parts: &[(&Tensor, &Tensor)]| {
            let features = Tensor::cat(&parts.iter().map(|(features, _)| *features).collect::<Vec<_>>(), 0)?;
            let rows = Tensor::cat(&parts.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), 0)?;
            self.gan.discriminator.judge(&features, Some(&rows), Mode::Train)
        };
        let real = [(&seen.real, real_rows)];
        let fakes: Vec<_> =
            std::iter::once((&seen.fake, fake_rows)).chain(seen.paired.as_ref().zip(paired_rows)).collect();
        let (real, fakes) = if self.gan.options.separate_passes {
            (judge(&real)?, judge(&fakes)?)
        } else {
            let logits = judge(&[&real[..], &fakes].concat())?;
            (logits.narrow(0, 0, n)?, logits.narrow(0, n, logits.dims()[0] - n)?)
        };
        let paired = if fakes.dims()[0] > n { Some(fakes.narrow(0, n, n)?) } else { None };
        Ok((real, fakes.narrow(0, 0, n)?, paired))
    }

    /// The penalty of this step, if there is one and it is its turn.
    fn penalised(&self, sub_step: u64, piece: usize, real: Asked<'_>, fake: Asked<'_>) -> Result<Option<Tensor>> {
        if !sub_step.is_multiple_of(self.gan.options.penalty_every as u64) {
            return Ok(None);
        }
        let d = &self.gan.discriminator;
        let judge = |x: &Tensor| Ok(d.forward(x, Some(real.rows), Mode::Still)?.logits);
        let judge_fake = |x: &Tensor| Ok(d.forward(x, Some(fake.rows), Mode::Still)?.logits);
        let weights = d.store().params().into_iter().filter(|param| param.name().ends_with("weight"));
        let mut scene = Scene {
            logits: &judge,
            fake_logits: &judge_fake,
            weights: &weights.map(|param| param.tensor()).collect::<Vec<_>>(),
            real: real.images,
            fake: fake.images,
            rng: self.rng.stream("penalty").at(sub_step * self.gan.options.accumulate as u64 + piece as u64),
        };
        self.penalty.value(&mut scene)
    }
}

/// The last `turned` images at 90, 180 and 270 degrees, with the rows of the upright ones; none if `turned` is 0.
fn turned_copies(of: Asked<'_>, turned: usize) -> Result<Option<(Tensor, Tensor)>> {
    if turned == 0 {
        return Ok(None);
    }
    let n = of.images.dims4()?[0];
    let all = (ROTATION.ask)(&of.images.narrow(0, n - turned, turned)?)?;
    let rows = of.rows.narrow(0, n - turned, turned)?;
    Ok(Some((all.narrow(0, turned, 3 * turned)?, Tensor::cat(&[&rows, &rows, &rows], 0)?)))
}

/// `rows` with what `logits` predict in place of the rows of zeros: the likeliest class, or how likely each is.
fn completed(rows: &Tensor, logits: &Tensor, soft: bool) -> Result<Tensor> {
    // Detached: the adversarial loss must not train the predictor through the labels.
    let (rows, logits) = (rows.detach(), logits.detach());
    let guess = if soft { logits.softmax()? } else { logits.hardmax()? };
    let unlabelled = rows.sum_keepdim(&[1])?.affine(-1.0, 1.0)?;
    rows.add(&guess.mul(&unlabelled)?)
}

/// The cross-entropy of the classes, averaged over the images that have a label; 0 if none has.
pub(super) fn labelled_cross_entropy(logits: &Tensor, rows: &Tensor) -> Result<Tensor> {
    let labelled = rows.detach().sum_all()?.clamp(1.0, f64::MAX)?;
    logits.log_softmax()?.mul(&rows.detach())?.sum_all()?.div(&labelled)?.neg()
}

/// The class loss of OSSGAN: what is sure of a class is told apart, and what is not is kept unsure.
fn open_set(real: &Tensor, real_rows: &Tensor, fake: &Tensor, fake_rows: &Tensor) -> Result<Tensor> {
    let share = real_rows.detach().sum_all()?.mul_scalar(1.0 / real_rows.dims()[0] as f64)?;
    let told = labelled_cross_entropy(real, real_rows)?.add(&labelled_cross_entropy(fake, fake_rows)?.mul(&share)?)?;
    told.sub(&entropy(real)?.add(&entropy(fake)?.mul(&share)?)?)
}

/// The mean entropy of the predictions `logits`, from 0 (sure) to 1 (no idea).
fn entropy(logits: &Tensor) -> Result<Tensor> {
    let [rows, classes] = logits.dims2()?;
    let most = rows as f64 * (classes.max(2) as f64).ln();
    logits.softmax()?.mul(&logits.log_softmax()?)?.sum_all()?.mul_scalar(-1.0 / most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::grad;

    fn tensor(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_vec(rows.concat(), &[rows.len(), 3], &Device::Cpu).unwrap()
    }

    const KNOWN: [[f32; 3]; 3] = [[0., 1., 0.], [0., 0., 0.], [0., 0., 0.]];

    #[test]
    fn predictions_stand_only_where_there_is_no_label_and_lead_nowhere() {
        let logits = tensor(&[[9., 0., 0.], [0., 0., 2.], [1., 0., 0.]]).track();
        let hard = completed(&tensor(&KNOWN), &logits, false).unwrap();
        assert_eq!(hard.to_f32s().unwrap(), [0., 1., 0., 0., 0., 1., 1., 0., 0.]);
        assert!(!hard.tracked());
        let soft = completed(&tensor(&KNOWN), &logits, true).unwrap();
        assert!(!soft.tracked());
        let soft = soft.to_f32s().unwrap();
        assert_eq!(soft[..3], [0., 1., 0.]);
        assert!((soft[5] - (2f32.exp() / (2.0 + 2f32.exp()))).abs() < 1e-6 && soft[3] == soft[4]);
    }

    #[test]
    fn the_class_loss_is_the_mean_over_labelled_images() {
        let logits = tensor(&[[1., 2., 0.], [9., 0., 0.], [0., 9., 0.]]).track();
        let by_hand = (1f64.exp() + 2f64.exp() + 1.0).ln() - 2.0;
        let loss = labelled_cross_entropy(&logits, &tensor(&KNOWN)).unwrap();
        assert!((loss.value().unwrap() - by_hand).abs() < 1e-6);
        let slope = grad(&loss, &[&logits], false).unwrap()[0].to_f32s().unwrap();
        assert!(slope[..3].iter().all(|g| *g != 0.0) && slope[3..].iter().all(|g| *g == 0.0));
        // Without a label the loss is 0, and the head still hangs on it.
        let none = labelled_cross_entropy(&logits, &tensor(&[[0.; 3]; 3])).unwrap();
        assert_eq!(none.value().unwrap(), 0.0);
        assert_eq!(grad(&none, &[&logits], false).unwrap()[0].to_f32s().unwrap(), [0.0; 9]);
    }

    #[test]
    fn open_set_by_hand() {
        let (real, fake) =
            (tensor(&[[1., 2., 0.], [0.; 3], [0., 0., 3.]]), tensor(&[[0., 1., 0.], [2., 0., 0.], [0.; 3]]));
        let fake_rows = tensor(&[[1., 0., 0.], [1., 0., 0.], [0., 0., 1.]]);
        let log_softmax = |row: [f64; 3]| row.map(|x| x - row.iter().map(|x| x.exp()).sum::<f64>().ln());
        let entropy = |row: [f64; 3]| -log_softmax(row).iter().map(|l| l * l.exp()).sum::<f64>() / 3f64.ln();
        let mean = |rows: [[f64; 3]; 3]| rows.iter().map(|row| entropy(*row)).sum::<f64>() / 3.0;
        let told = -log_softmax([1., 2., 0.])[1]
            - (log_softmax([0., 1., 0.])[0] + log_softmax([2., 0., 0.])[0] + log_softmax([0.; 3])[2]) / 9.0;
        let unsure = mean([[1., 2., 0.], [0.; 3], [0., 0., 3.]]) + mean([[0., 1., 0.], [2., 0., 0.], [0.; 3]]) / 3.0;
        let ours = open_set(&real, &tensor(&KNOWN), &fake, &fake_rows).unwrap().value().unwrap();
        assert!((ours - (told - unsure)).abs() < 1e-6, "{ours} beside {}", told - unsure);
    }

    #[test]
    fn the_last_images_of_a_batch_are_turned_and_keep_their_rows() {
        let images = Tensor::from_vec((0..12).map(|v| v as f32).collect(), &[3, 1, 2, 2], &Device::Cpu).unwrap();
        let rows = tensor(&[[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]]);
        assert!(turned_copies(Asked { images: &images, rows: &rows }, 0).unwrap().is_none());
        let (turned, rows) = turned_copies(Asked { images: &images, rows: &rows }, 1).unwrap().unwrap();
        assert_eq!(turned.to_f32s().unwrap(), [9., 11., 8., 10., 11., 10., 9., 8., 10., 8., 11., 9.]);
        assert_eq!(rows.to_f32s().unwrap(), [0., 0., 1., 0., 0., 1., 0., 0., 1.]);
    }
}
