//! Small networks of every architecture, norm and way of Compare GAN's against PyTorch: values, gradients, gradients of gradients.
//!
//! `tests/golden/architectures.py` wrote the numbers, in double precision from weights that a formula gives. Everything here
//! runs in double precision too; nine digits were written down, so a value may differ by 1e-7 of the largest of its kind.

use std::collections::BTreeMap;

use fewlab::gan::arch::{ARCHITECTURES, Compat, Pool, Upsample};
use fewlab::gan::{Blueprint, Discriminator, Generator, Heads};
use fewlab::nn::{Mode, NormKind, Param, SpectralOptions, SpectralSide, Store};
use fewlab::options::{self, Setting};
use fewlab::tensor::{DType, Device, Tensor, grad, vjp};
use serde_json::Value;

/// What `formula` in `architectures.py` makes.
fn formula(name: &str, dims: &[usize]) -> Tensor {
    let start = name.bytes().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let values = (0..dims.iter().product::<usize>() as u32).map(|i| {
        let mut h = i.wrapping_add(start);
        for _ in 0..2 {
            h = (h ^ (h >> 16)).wrapping_mul(0x045d_9f3b);
        }
        f64::from(h ^ (h >> 16)) / f64::from(1u32 << 31) - 1.0
    });
    Tensor::from_f64s(values.collect(), dims, &Device::Cpu).unwrap()
}

fn first_value(param: &Param) -> Tensor {
    let v = formula(param.name(), param.dims());
    let (scale, shift) = match param.name().rsplit('.').next().unwrap() {
        "weight" => ((3.0 / param.dims()[1..].iter().product::<usize>() as f64).sqrt(), 0.0),
        "gamma" => (0.3, 1.0),
        "gate" => (0.2, 0.7),
        _ => (0.3, 0.0),
    };
    v.affine(scale, shift).unwrap()
}

/// Puts the formula's values in place, in double precision.
fn fill(store: &Store) {
    for param in store.params() {
        param.set(first_value(&param)).unwrap();
    }
    for buffer in store.buffers() {
        let value = buffer.value();
        let double = match buffer.name().ends_with(".u") {
            true => formula(buffer.name(), value.dims()),
            false => value.to_dtype(DType::F64).unwrap(),
        };
        buffer.set(double).unwrap();
    }
}

/// An option's value as `nn::build` would take it.
fn setting<S: Setting>(value: &Value) -> S {
    let value = match value {
        Value::String(text) => options::Value::Text(text.clone()),
        Value::Array(items) => {
            options::Value::List(items.iter().map(|item| options::Value::Text(item.as_str().unwrap().into())).collect())
        }
        other => panic!("{other}"),
    };
    S::from_value(value).unwrap_or_else(|value| panic!("{value}"))
}

fn blueprint(options: &Value) -> Blueprint {
    let mut blueprint = Blueprint { colours: 3, ..Blueprint::default() };
    let whole = |value: &Value| value.as_u64().unwrap() as usize;
    let mut spectral = SpectralOptions::default();
    let mut normalised = false;
    for (name, value) in options.as_object().unwrap() {
        match name.as_str() {
            "size" => blueprint.size = whole(value),
            "channels" => blueprint.channels = whole(value),
            "colours" => blueprint.colours = whole(value),
            "classes" => blueprint.classes = whole(value),
            "z_dim" => blueprint.z_dim = whole(value),
            "norm" => blueprint.norm = setting::<NormKind>(value),
            "norm_decay" => blueprint.norm_decay = value.as_f64().unwrap(),
            "norm_epsilon" => blueprint.norm_epsilon = value.as_f64().unwrap(),
            "norm_groups" => blueprint.norm_groups = whole(value),
            "norm_hidden" => blueprint.norm_hidden = whole(value),
            "norm_bias" => blueprint.norm_bias = value.as_bool().unwrap(),
            "layer_norm" => blueprint.layer_norm = value.as_bool().unwrap(),
            "upsample" => blueprint.upsample = setting::<Upsample>(value),
            "shortcut_kernel" => blueprint.shortcut_kernel = whole(value),
            "pool" => blueprint.pool = setting::<Pool>(value),
            "attention" => blueprint.attention = Some(value.as_array().unwrap().iter().map(whole).collect()),
            "hierarchical_z" => blueprint.hierarchical_z = value.as_bool(),
            "embed_y" => blueprint.embed_y = Some(whole(value)),
            "embed_z" => blueprint.embed_z = value.as_bool().unwrap(),
            "embed_bias" => blueprint.embed_bias = value.as_bool().unwrap(),
            "compat" => blueprint.compat = setting::<Compat>(value),
            "spectral" => (spectral.side, normalised) = (setting::<SpectralSide>(value), true),
            "spectral_iterations" => spectral.iterations = whole(value),
            other => panic!("{other}"),
        }
    }
    spectral.always = blueprint.compat.spectral_always;
    blueprint.spectral = normalised.then_some(spectral);
    blueprint
}

fn close(what: &str, ours: &[f64], theirs: &Value, scale: f64) {
    let theirs: Vec<f64> = theirs.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() <= 1e-7 * scale, "{what}: {ours:?}, PyTorch has {theirs:?}");
    }
}

fn some(t: &Tensor) -> Vec<f64> {
    let values = t.to_f64s().unwrap();
    (0..8).map(|i| values[i * 7919 % values.len()]).collect()
}

/// The inner product of each gradient with a vector of the formula and its length, against what was written down.
fn gradients(what: &str, params: &[Param], grads: &[Option<Tensor>], golden: &Value) {
    let golden: BTreeMap<&String, &Value> = golden.as_object().unwrap().iter().collect();
    let mut names: Vec<&str> = params.iter().map(Param::name).collect();
    names.sort_unstable();
    assert_eq!(names, golden.keys().map(|name| name.as_str()).collect::<Vec<_>>(), "{what}");
    let largest = golden.values().map(|pair| pair[1].as_f64().unwrap()).fold(1e-3, f64::max);
    for (param, grad) in params.iter().zip(grads) {
        let pair = match grad {
            None => [0.0, 0.0],
            Some(grad) => {
                let along = grad.mul(&formula(param.name(), param.dims())).unwrap().sum_all().unwrap();
                [along.value().unwrap(), grad.square().unwrap().sum_all().unwrap().value().unwrap().sqrt()]
            }
        };
        close(&format!("{what}: {}", param.name()), &pair, golden[&param.name().to_string()], largest);
    }
}

fn labels(classes: usize) -> Option<Tensor> {
    if classes == 0 {
        return None;
    }
    let mut rows = vec![0.0; 3 * classes];
    (0..3).for_each(|i| rows[i * classes + i % classes] = 1.0);
    rows[..2].copy_from_slice(&[0.25, 0.75]);
    Some(Tensor::from_f64s(rows, &[3, classes], &Device::Cpu).unwrap())
}

fn check(case: &Value) {
    let (part, architecture) = (case["part"].as_str().unwrap(), case["architecture"].as_str().unwrap());
    let what = format!("the {part} of {architecture} {}", case["options"]);
    let b = blueprint(&case["options"]);
    let labels = labels(b.classes);
    let empty = Store::of_shapes(&Device::Cpu);
    type Forward = Box<dyn Fn(&Tensor, Mode) -> Tensor>;
    let (store, input, forward): (Store, Tensor, Forward) = if part == "generator" {
        let g = Generator::within(empty, architecture, &b).unwrap();
        let z = formula("input", &[3, b.z_dim]).mul_scalar(3f64.sqrt()).unwrap();
        (g.store().clone(), z, Box::new(move |z, mode| g.forward(z, labels.as_ref(), mode).unwrap()))
    } else {
        let heads = Heads { projection: b.classes > 0, ..Heads::default() };
        let d = Discriminator::within(empty, architecture, &b, heads).unwrap();
        let images = formula("input", &[3, b.colours, b.size, b.size]).affine(0.5, 0.5).unwrap().track();
        (d.store().clone(), images, Box::new(move |x, mode| d.forward(x, labels.as_ref(), mode).unwrap().logits))
    };
    fill(&store);
    let y = forward(&input, Mode::Train);
    close(&format!("{what}: output"), &some(&y), &case["output"], 1.0 + largest(&y));
    let s = y.mul(&formula("sum", y.dims())).unwrap().sum_all().unwrap();
    let params = store.params();
    let leaves: Vec<Tensor> = params.iter().map(Param::tensor).collect();
    let leaves: Vec<&Tensor> = leaves.iter().collect();
    let one = Tensor::ones(&[], DType::F64, &Device::Cpu).unwrap();
    // A pass that can be differentiated again runs other kernels than one that cannot: both must agree.
    gradients(&format!("{what}: first"), &params, &vjp(&s, &one, &leaves, true).unwrap(), &case["first"]);
    if part == "discriminator" {
        let slope = grad(&s, &[&input], true).unwrap().remove(0);
        close(&format!("{what}: slope"), &some(&slope), &case["slope"], 1.0 + largest(&slope));
        let h = slope.square().unwrap().sum_all().unwrap().mul_scalar(0.5).unwrap();
        let second = vjp(&h, &one, &leaves, false).unwrap();
        gradients(&format!("{what}: second"), &params, &second, &case["second"]);
    } else {
        gradients(&format!("{what}: first"), &params, &vjp(&s, &one, &leaves, false).unwrap(), &case["first"]);
    }
    let input = input.detach();
    if !b.compat.spectral_always {
        // Neither of these moves anything, so evaluation gives what it gives without them.
        forward(&input, Mode::Still);
        forward(&input, Mode::Still);
    }
    forward(&input, Mode::Eval);
    let evaluated = forward(&input, Mode::Eval);
    close(&format!("{what}: evaluated"), &some(&evaluated), &case["evaluated"], 1.0 + largest(&evaluated));
}

fn largest(t: &Tensor) -> f64 {
    t.to_f64s().unwrap().into_iter().fold(0.0, |most, v| most.max(v.abs()))
}

#[test]
fn networks_agree_with_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/architectures.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    for architecture in ARCHITECTURES {
        for part in ["generator", "discriminator"] {
            let of = |case: &&Value| case["architecture"] == architecture.name && case["part"] == part;
            assert!(cases.iter().any(|case| of(&case)), "no case of the {part} of {}", architecture.name);
        }
    }
    let failed = cases.iter().filter(|case| std::panic::catch_unwind(|| check(case)).is_err()).count();
    assert_eq!(failed, 0, "of {} cases", cases.len());
}
