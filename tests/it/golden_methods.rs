//! Losses, penalties, methods and clusters against PyTorch and scikit-learn on the same numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fewlab::Result;
use fewlab::data::{Dataset, Images, LabelBudget, Labelled, Shape, Truth};
use fewlab::gan::{self, Gan, LOSSES, PENALTIES, Scene};
use fewlab::nn::{KMeansOptions, Param, k_means, k_means_from};
use fewlab::options::{Settings, Value as Setting};
use fewlab::progress::{Job, Observer, Step, Stop};
use fewlab::tensor::{Device, Padding, Rng, Tensor, grad};
use serde_json::Value;

/// SplitMix64 in counter form, as doubles in [0, 1): what `uniform` in the Python files makes.
fn uniform(seed: u64, count: usize) -> Vec<f64> {
    (1..=count as u64)
        .map(|i| {
            let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 * 2f64.powi(-53)
        })
        .collect()
}

#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64, what: &str) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1e-3), "{what}: {ours} here, {theirs} there");
}

#[test]
fn clusters_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("../golden/k_means.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let whole = |name: &str| case[name].as_u64().unwrap() as usize;
        let (name, seed) = (case["name"].as_str().unwrap(), whole("seed") as u64);
        let (rows, dim, k, clouds) = (whole("rows"), whole("dim"), whole("k"), whole("clouds"));
        let mut data = uniform(seed, rows * dim);
        let corners = uniform(seed + 1, clouds * dim);
        if clouds > 0 {
            let corner = |i: usize| 8.0 * corners[i / dim % clouds * dim + i % dim];
            data.iter_mut().enumerate().for_each(|(i, value)| *value += corner(i));
        }
        // From fixed centres both take the same passes, in doubles.
        let theirs = &case["from_first_rows"];
        let options = KMeansOptions { k, tolerance: 0.0, ..KMeansOptions::default() };
        let ours = k_means_from(&data, dim, data[..k * dim].to_vec(), &options, &Stop::default()).unwrap();
        close(ours.inertia, theirs["inertia"].as_f64().unwrap(), 1e-10, name);
        for (ours, theirs) in ours.centres.iter().zip(theirs["centre_0"].as_array().unwrap()) {
            close(*ours, theirs.as_f64().unwrap(), 1e-10, name);
        }
        let counts = (0..k as u32).map(|cluster| ours.labels.iter().filter(|label| **label == cluster).count() as u64);
        assert!(counts.eq(theirs["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap())), "{name}");
        // From drawn starts each finds a bottom of its own: ours may be lower, and not 1% higher.
        let best = case["best_of_20_inertia"].as_f64().unwrap();
        let ours = k_means(&data, dim, &KMeansOptions { n_init: 20, ..options.clone() }, &Stop::default()).unwrap();
        assert!(ours.inertia < 1.01 * best, "{name}: {} here, {best} there", ours.inertia);
        // In batches of 100 the centres are means over rows seen while they still moved: 10%.
        let batched = KMeansOptions { n_init: 5, batch: Some(100), max_passes: 40, ..options };
        let ours = k_means(&data, dim, &batched, &Stop::default()).unwrap();
        assert!(ours.inertia < 1.1 * best, "{name} in batches: {} here, {best} there", ours.inertia);
    }
}

/// What `spread` in `losses.py` makes: numbers from `low` to `high`, rounded to single precision.
fn spread(seed: u64, shape: &[usize], low: f64, high: f64) -> Tensor {
    let values = uniform(seed, shape.iter().product()).iter().map(|u| (u * (high - low) + low) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().track()
}

/// Holds `ours`, computed in single precision, to within `share` of the largest of `theirs`, computed in double precision.
#[track_caller]
fn near(ours: &Tensor, theirs: &Value, share: f64, what: &str) {
    let theirs: Vec<f64> = match theirs {
        Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
        value => vec![value.as_f64().unwrap()],
    };
    let ours = ours.to_f64s().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let room = share * theirs.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert!((ours - theirs).abs() <= room, "{what}, number {i}: {ours} here, {theirs} there");
    }
}

/// Single precision has 6e-8; means and softplus of five numbers keep all but a few bits of it.
const SINGLE: f64 = 2e-6;

#[test]
fn losses_and_their_slopes_are_those_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("../golden/losses.json")).unwrap();
    assert_eq!(golden["losses"].as_object().unwrap().len(), LOSSES.len());
    for loss in LOSSES {
        let theirs = &golden["losses"][loss.name];
        let (real, fake) = (spread(21, &[5], -3.0, 3.0), spread(22, &[5], -3.0, 3.0));
        let d = (loss.discriminator)(&real, &fake).unwrap();
        near(&d, &theirs["discriminator"], SINGLE, loss.name);
        let slopes = grad(&d, &[&real, &fake], false).unwrap();
        near(&slopes[0], &theirs["real_slope"], SINGLE, loss.name);
        near(&slopes[1], &theirs["fake_slope"], SINGLE, loss.name);
        let g = (loss.generator)(&fake).unwrap();
        near(&g, &theirs["generator"], SINGLE, loss.name);
        near(&grad(&g, &[&fake], false).unwrap()[0], &theirs["generator_slope"], SINGLE, loss.name);
    }
}

/// The discriminator of `losses.py`: two convolutions, a linear map, and the inner product with the label's embedding.
fn judge(params: &[Tensor], x: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let h = x.conv2d(&params[0], Some(&params[1]), 1, Padding::Pixels(1))?.leaky_relu(0.1)?;
    let h = h.conv2d(&params[2], Some(&params[3]), 2, Padding::Pixels(1))?.tanh()?.flatten(1)?;
    h.matmul(&params[4].t()?)?.flatten(0)?.add(&h.mul(&labels.matmul(&params[5])?)?.sum(&[1])?)
}

#[test]
fn penalties_and_the_gradients_through_them_are_those_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("../golden/losses.json")).unwrap();
    let shapes: [(&str, &[usize]); 6] = [
        ("conv1.weight", &[4, 2, 3, 3]),
        ("conv1.bias", &[4]),
        ("conv2.weight", &[3, 4, 3, 3]),
        ("conv2.bias", &[3]),
        ("linear.weight", &[1, 27]),
        ("projection.weight", &[3, 27]),
    ];
    // `none` has no numbers.
    assert_eq!(golden["penalties"].as_object().unwrap().len(), PENALTIES.len() - 1);
    for penalty in PENALTIES.iter().filter(|penalty| penalty.name != "none") {
        let theirs = &golden["penalties"][penalty.name];
        let params: Vec<Tensor> =
            shapes.iter().enumerate().map(|(i, (_, shape))| spread(30 + i as u64, shape, -1.0, 1.0)).collect();
        let (real, fake) = (spread(40, &[4, 2, 6, 6], 0.0, 1.0), spread(41, &[4, 2, 6, 6], 0.0, 1.0));
        let rows = |labels: [u32; 4]| Tensor::from_u32s(labels.into(), &[4], &Device::Cpu).unwrap().one_hot(3).unwrap();
        let (real_labels, fake_labels) = (rows([0, 1, 2, 1]), rows([2, 2, 0, 1]));
        let mut scene = Scene {
            logits: &|x: &Tensor| judge(&params, x, &real_labels),
            fake_logits: &|x: &Tensor| judge(&params, x, &fake_labels),
            weights: &[0, 2, 4, 5].map(|i: usize| params[i].clone()),
            real: &real,
            fake: &fake,
            rng: Rng::new(7).stream("penalty"),
        };
        let value = (penalty.value)(&mut scene).unwrap().unwrap();
        // A few dozen products of single-precision numbers on the way.
        near(&value, &theirs["value"], 1e-5, penalty.name);
        let (real_logits, fake_logits) =
            (judge(&params, &real, &real_labels).unwrap(), judge(&params, &fake, &fake_labels).unwrap());
        let hinge = LOSSES.iter().find(|loss| loss.name == "hinge").unwrap();
        let loss = (hinge.discriminator)(&real_logits, &fake_logits).unwrap();
        let loss = loss.add(&value.mul_scalar(10.0).unwrap()).unwrap();
        let grads = grad(&loss, &params.iter().collect::<Vec<_>>(), false).unwrap();
        for ((name, _), ours) in shapes.iter().zip(&grads) {
            near(ours, &theirs["gradients"][name], 1e-5, &format!("{} of `{name}`", penalty.name));
        }
    }
}

/// What `start` in `steps.py` makes of a name.
fn start(name: &str, elements: usize, shift: f64) -> Vec<f32> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    uniform(seed, elements).iter().map(|u| (u + shift) as f32).collect()
}

/// What each step measured.
#[derive(Default)]
struct Told(Mutex<Vec<BTreeMap<String, f64>>>);

impl Observer for Told {
    fn step(&self, step: &Step<'_>) {
        self.0.lock().unwrap().push(step.values.iter().map(|(name, value)| (name.to_string(), *value)).collect());
    }
}

/// Twelve images of 8x8 in three classes.
fn twelve() -> Dataset {
    let pixels = uniform(77, 12 * 64).iter().map(|u| (u * 256.0) as u8).collect();
    let images = Images::new(Shape { channels: 1, height: 8, width: 8 }, pixels).unwrap();
    let truth = Truth::new((0..12).map(|i| i % 3).collect(), ["a", "b", "c"].map(String::from).into()).unwrap();
    Dataset::new("twelve", images, Some(truth), "a test").unwrap()
}

/// The label of each of the first `kept` of them.
fn labelled(data: &Dataset, kept: u32) -> Labelled {
    let budget = LabelBudget { share: 0.5, seed: 1, indices: (0..kept).collect(), images: data.hash().to_string() };
    data.with_budget(&budget).unwrap().only_known()
}

/// Two steps of `method` with `more` options than all of them share, from the weights of `steps.py`: what each measured, and
/// the GAN with what its parameters began as.
fn two_steps(
    method: &str,
    known: &Labelled,
    more: &[(&str, Setting)],
) -> (Vec<BTreeMap<String, f64>>, Gan, Vec<Param>) {
    let mut options = gan::method(method).unwrap();
    let shared = [
        ("seed", Setting::Int(5)),
        ("batch", Setting::Int(4)),
        ("d_steps", Setting::Int(2)),
        ("z_dim", Setting::Int(6)),
        ("generator", Setting::Text("sndcgan".into())),
        ("discriminator", Setting::Text("sndcgan".into())),
        ("g_channels", Setting::Int(8)),
        ("d_channels", Setting::Int(8)),
        ("g_optimiser", Setting::Text("sgd".into())),
        ("d_optimiser", Setting::Text("sgd".into())),
        ("g_lr", Setting::Float(50.0)),
        ("d_lr", Setting::Float(0.5)),
        ("ema", Setting::Float(0.0)),
        ("sample_every", Setting::Int(0)),
    ];
    for (name, value) in shared.into_iter().chain(more.iter().cloned()) {
        options.set(name, value).unwrap();
    }
    let mut gan = Gan::new(known, options, &Device::Cpu).unwrap();
    let mut stores = vec![gan.generator().store().clone(), gan.discriminator().store().clone()];
    stores.extend(gan.classifier().into_iter().flat_map(|c| [c.encoder.store().clone(), c.head().clone()]));
    let params: Vec<Param> = stores.iter().flat_map(|store| store.params()).collect();
    for param in &params {
        let values = start(param.name(), param.dims().iter().product(), -0.5);
        param.set(Tensor::from_vec(values, param.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    for buffer in stores.iter().flat_map(|store| store.buffers()).filter(|buffer| buffer.name().ends_with(".u")) {
        let shape = buffer.value().dims().to_vec();
        let values = start(buffer.name(), shape.iter().product(), 0.5);
        buffer.set(Tensor::from_vec(values, &shape, &Device::Cpu).unwrap()).unwrap();
    }
    let told = Arc::new(Told::default());
    let job = Job { observer: told.clone(), stop: Stop::default(), keep: false };
    gan.train(known, 2, &job, None).unwrap();
    let told = told.0.lock().unwrap().clone();
    (told, gan, params)
}

/// Holds what two steps measured and changed to what `golden` says of them.
#[track_caller]
fn same_steps(method: &str, golden: &Value, told: &[BTreeMap<String, f64>], params: &[Param]) {
    let theirs = golden["values"].as_array().unwrap();
    assert_eq!((told.len(), theirs.len()), (2, 2));
    for (step, (ours, theirs)) in told.iter().zip(theirs).enumerate() {
        for (name, value) in theirs.as_object().unwrap() {
            // Losses of a network of nine layers after a few steps, in single precision.
            close(ours[name], value.as_f64().unwrap(), 2e-5, &format!("{method}, step {step}, `{name}`"));
        }
    }
    // What two steps changed, as a share of the largest change: weights of 0.5 are known to 3e-8.
    for (name, theirs) in golden["changes"].as_object().unwrap() {
        let param = params.iter().find(|param| param.name() == name).unwrap();
        let begun = Tensor::from_vec(start(name, param.dims().iter().product(), -0.5), param.dims(), &Device::Cpu);
        let change = param.value().sub(&begun.unwrap()).unwrap();
        near(&change, theirs, 1e-3, &format!("{method}, change of `{name}`"));
    }
}

#[test]
fn whole_steps_of_s3gan_are_those_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("../golden/steps.json")).unwrap();
    let data = twelve();
    for (method, kept, penalty) in [("s3gan", 12, "none"), ("s3gan_co", 6, "wgan_gp")] {
        let known = labelled(&data, kept);
        let more = [
            ("penalty", Setting::Text(penalty.into())),
            // The numbers are of spectral norms that the penalty's pass moves too.
            ("compat", Setting::List(vec![Setting::Text("spectral_always".into())])),
        ];
        let (told, _, params) = two_steps(method, &known, &more);
        same_steps(method, &golden[method], &told, &params);
    }
}

#[test]
fn whole_steps_of_triple_gan_are_those_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("../golden/steps.json")).unwrap();
    let golden = &golden["triple_gan"];
    let known = labelled(&twelve(), 6);
    let more = [
        ("classifier", Setting::Text("resnet-tiny".into())),
        ("c_optimiser", Setting::Text("sgd".into())),
        ("c_lr", Setting::Float(0.05)),
        ("c_share", Setting::Float(0.3)),
        ("c_adversarial_weight", Setting::Float(0.7)),
        ("c_fake_weight", Setting::Float(0.6)),
        ("c_fake_start", Setting::Int(1)),
    ];
    let (told, gan, params) = two_steps("triple_gan", &known, &more);
    assert!(!told[0].contains_key("c_fake"));
    same_steps("triple_gan", golden, &told, &params);
    // Norms of the classifier remember real images alone, and once a step.
    let buffers = gan.classifier().unwrap().encoder.store().buffers();
    for (name, theirs) in golden["moving"].as_object().unwrap() {
        for (part, theirs) in ["mean", "variance"].iter().zip(theirs.as_array().unwrap()) {
            let full = format!("{name}.{part}");
            let ours = buffers.iter().find(|buffer| buffer.name() == full).unwrap().value();
            near(&ours, theirs, 1e-4, &full);
        }
    }
}
