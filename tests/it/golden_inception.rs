//! The Inception network of the FID against torch-fidelity, layer by layer, and the files that weights come in.
//!
//! `tests/golden/inception.py` wrote the numbers, in double precision, with weights from a formula that both sides know.
//! A value may differ by 2e-5 of the layer's largest: sums of up to three thousand terms in single precision (6e-8) go
//! through forty layers, and were seen within 3e-6. Leaving out one of the three peculiarities of this network moves the
//! layer where it is by 1e-2 and more.

use std::path::Path;

use fewlab::metric::{Extractor, Inception};
use fewlab::tensor::{Device, Tensor, Weights, read_weights, weights_of};
use serde_json::Value;

use super::golden_extractor::pictures;
use super::golden_metric::uniform;

const TOLERANCE: f64 = 2e-5;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/inception.json")).unwrap()
}

/// What `value` in `inception.py` makes, for every weight in the order of names.
fn weights(rename: impl Fn(&str) -> String) -> Weights {
    let mut shapes: Vec<(String, Vec<usize>)> =
        vec![("fc.weight".into(), vec![1008, 2048]), ("fc.bias".into(), vec![1008])];
    for (name, shape) in Inception::shapes() {
        shapes.push((format!("{name}.conv.weight"), shape.to_vec()));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            shapes.push((format!("{name}.bn.{part}"), vec![shape[0]]));
        }
    }
    shapes.sort();
    let made = shapes.into_iter().enumerate().map(|(seed, (name, shape))| {
        let bound = 2. * (6. / shape[1..].iter().product::<usize>() as f64).sqrt();
        let value = |u: f64| match &name {
            name if name.ends_with("running_var") => 0.5 + u,
            name if name.ends_with("bn.weight") => 0.8 + 0.4 * u,
            _ if shape.len() == 1 => 0.4 * (u - 0.5),
            _ => (u - 0.5) * bound,
        };
        let values = uniform(seed as u64, shape.iter().product()).into_iter().map(|u| value(u) as f32).collect();
        (rename(&name), Tensor::from_vec(values, &shape, &Device::Cpu).unwrap())
    });
    made.collect()
}

#[track_caller]
fn near(ours: &[f32], theirs: &Value, largest: f64, what: &str) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let far = (f64::from(*ours) - theirs.as_f64().unwrap()).abs();
        assert!(far <= TOLERANCE * largest, "{what}, value {i}: {ours} here, {theirs} there");
    }
}

#[test]
fn every_layer_gives_what_torch_fidelity_gives() {
    let weights = weights(str::to_string);
    let network = Inception::new(&weights, "made by a formula", false, &Device::Cpu).unwrap();
    let biased = Inception::new(&weights, "made by a formula", true, &Device::Cpu).unwrap();
    assert_ne!(network.hash(), biased.hash());
    for case in golden()["cases"].as_array().unwrap() {
        let layers = case["layers"].as_array().unwrap();
        let mut seen = 0;
        let mut check = |name: &str, x: &Tensor| {
            let layer = &layers[seen];
            let what = format!("{}, {name}", case["name"]);
            assert_eq!((layer["name"].as_str().unwrap(), &serde_json::json!(x.dims())), (name, &layer["shape"]));
            let values = x.to_f32s().unwrap();
            let some: Vec<f32> = (0..12).map(|i| values[(i * 7919 + 13) % values.len()]).collect();
            let largest = layer["largest"].as_f64().unwrap();
            near(&some, &layer["values"], largest, &what);
            let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len() as f64;
            assert!((mean - layer["mean"].as_f64().unwrap()).abs() <= TOLERANCE * largest, "{what}: {mean}");
            seen += 1;
            Ok(())
        };
        let prepared = network.prepare(&pictures(case)).unwrap();
        check("input", &prepared).unwrap();
        let features = network.forward(&prepared, &mut check).unwrap();
        assert_eq!(seen + 1, layers.len(), "the mean over the image is the features");
        let largest = layers[layers.len() - 1]["largest"].as_f64().unwrap();
        for (i, row) in case["features"].as_array().unwrap().iter().enumerate() {
            let ours: Vec<f32> = features.to_f32s().unwrap()[i * 2048..][..2048].iter().copied().step_by(64).collect();
            near(&ours, row, largest, "features");
        }
        for (network, name) in [(&network, "logits_unbiased"), (&biased, "logits")] {
            let logits = network.logits(&features).unwrap().unwrap().to_f32s().unwrap();
            for (i, row) in case[name].as_array().unwrap().iter().enumerate() {
                let ours: Vec<f32> = logits[i * 1008..][..1008].iter().copied().step_by(48).collect();
                near(&ours, row, 10., name);
            }
        }
    }
}

#[test]
fn files_of_pytorch_fid_have_other_names_and_no_classifier() {
    let block = |name: &str| {
        let of = [("Conv2d_1a_3x3", "0.0"), ("Conv2d_4a_3x3", "1.1"), ("Mixed_6a", "2.3"), ("Mixed_7c", "3.2")];
        of.iter().find_map(|(known, place)| Some(format!("blocks.{place}{}", name.strip_prefix(known)?)))
    };
    let mut weights = weights(|name| block(name).unwrap_or_else(|| name.to_string()));
    weights.retain(|name, _| !name.starts_with("fc."));
    let network = Inception::new(&weights, "", false, &Device::Cpu).unwrap();
    assert_eq!(network.classes(), None);
    weights.remove("blocks.2.3.branch3x3.bn.running_var");
    let error = Inception::new(&weights, "", false, &Device::Cpu).err().unwrap();
    assert_eq!(error.message, "there is no `Mixed_6a.branch3x3.bn.running_var`");
}

#[test]
fn both_formats_of_torch_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["zip", "legacy"] {
        let path = folder.path().join(format);
        let bytes = base64(golden()["files"][format].as_str().unwrap());
        std::fs::write(&path, &bytes).unwrap();
        let weights = read_weights(&path).unwrap();
        let values = |name: &str| (weights[name].dims().to_vec(), weights[name].to_f32s().unwrap());
        let eighths: Vec<f32> = (0..12).map(|i| i as f32 / 8.).collect();
        assert_eq!(values("conv.weight"), (vec![2, 3, 2], eighths), "{format}");
        assert_eq!(values("transposed"), (vec![3, 2], vec![0., 0.75, 0.25, 1., 0.5, 1.25]), "{format}");
        assert_eq!(values("part"), (vec![3], vec![4., 5., 6.]), "{format}");
        assert_eq!(values("half"), (vec![2], vec![0.5, -1.5]), "{format}");
        assert_eq!(weights.len(), 4, "whole numbers are left out: {format}");
        // A file that ends too soon is an error and no panic, wherever it ends.
        for length in (30..bytes.len()).step_by(97) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_weights(&path).is_err(), "{format}, {length} bytes");
        }
    }
    let error = weights_of(Path::new("notes.txt"), b"some notes").unwrap_err();
    assert_eq!(error.message, "`notes.txt` holds no weights that can be read");
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0u32, |bits, c| bits << 6 | u32::from(digit(*c))) << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
