//! CLIP's vision transformer against Hugging Face's transformers, on small weights from a formula that both sides know, and
//! CMMD against its definition.
//!
//! `tests/golden/clip.py` wrote the numbers, in double precision. An embedding may differ by 2e-5 of the largest: single
//! precision through two layers and their norms.

use fewlab::metric::{Clip, Extractor, Features, cmmd, see};
use fewlab::tensor::{Device, Tensor, Weights};
use serde_json::Value;

use super::golden_extractor::pictures;
use super::golden_metric::uniform;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/clip.json")).unwrap()
}

/// What `value` in `clip.py` makes, for every weight in the order of names.
fn weights() -> Weights {
    let golden = golden();
    let shapes = golden["shapes"].as_object().unwrap();
    let made = shapes.iter().enumerate().map(|(seed, (name, shape))| {
        let shape: Vec<usize> = shape.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
        let bound = 2. * (6. / shape[1..].iter().product::<usize>() as f64).sqrt();
        let value = |u: f64| match name.as_str() {
            name if (name.contains("norm") || name.contains("layrnorm")) && name.ends_with("weight") => 0.8 + 0.4 * u,
            name if name.contains("embedding") && !name.contains("patch") => 2. * (u - 0.5),
            _ if shape.len() == 1 => 0.4 * (u - 0.5),
            _ => (u - 0.5) * bound,
        };
        let values = uniform(seed as u64, shape.iter().product()).into_iter().map(|u| value(u) as f32).collect();
        (name.clone(), Tensor::from_vec(values, &shape, &Device::Cpu).unwrap())
    });
    made.collect()
}

fn rows(of: &[Vec<f64>]) -> Features {
    Features::new(of.concat(), of.len(), of[0].len()).unwrap()
}

#[test]
fn embeddings_are_those_of_transformers() {
    let network = Clip::new(&weights(), "made by a formula", &Device::Cpu).unwrap();
    assert_eq!((network.name(), network.dim()), ("CLIP 2 layers of 128, patches of 8", 48));
    let golden = golden();
    let ours = see(&network, &pictures(&golden["case"]), |_| Ok(())).unwrap().features;
    let theirs: Vec<Vec<f64>> = golden["embeddings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect())
        .collect();
    assert_eq!(ours.rows(), theirs.len());
    for (i, theirs) in theirs.iter().enumerate() {
        let largest = theirs.iter().fold(0., |most: f64, x| most.max(x.abs()));
        for (j, (ours, theirs)) in ours.row(i).iter().zip(theirs).enumerate() {
            assert!((ours - theirs).abs() < 2e-5 * largest, "image {i}, number {j}: {ours} here, {theirs} there");
        }
    }
    let (value, _) = cmmd(&rows(&theirs[..3]), &rows(&theirs[3..]), 1).unwrap();
    let expected = golden["cmmd"].as_f64().unwrap();
    // Nine digits of the embeddings were written down.
    assert!((value - expected).abs() < 1e-6 * expected, "{value} here, {expected} there");
}

#[test]
fn other_weights_are_refused_by_name() {
    let mut weights = weights();
    let refused = |weights: &Weights| Clip::new(weights, "", &Device::Cpu).err().unwrap().message;
    weights.remove("vision_model.post_layernorm.bias");
    assert!(refused(&weights).contains("post_layernorm.bias"), "{}", refused(&weights));
    weights.remove("visual_projection.weight");
    assert_eq!(refused(&weights), "there is no `visual_projection.weight`");
    weights.remove("vision_model.embeddings.class_embedding");
    assert_eq!(refused(&weights), "there is no `vision_model.embeddings.class_embedding`");
}
