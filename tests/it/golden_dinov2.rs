//! DINOv2 against timm, on small weights from a formula that both sides know, and its resize against Pillow.
//!
//! `tests/golden/dinov2.py` wrote the numbers, in double precision. A feature may differ by 2e-5 of the largest: single
//! precision through two blocks and their norms. The resize must give the same bytes.

use fewlab::metric::{DinoV2, Extractor, Resizer, see};
use fewlab::tensor::{Device, Tensor, Weights};
use serde_json::Value;

use super::golden_extractor::{pictures, sha256};
use super::golden_metric::uniform;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/dinov2.json")).unwrap()
}

/// What `value` in `dinov2.py` makes, for every weight in the order of names.
fn weights() -> Weights {
    let golden = golden();
    let shapes = golden["shapes"].as_object().unwrap();
    assert!(shapes.keys().is_sorted());
    let made = shapes.iter().enumerate().map(|(seed, (name, shape))| {
        let shape: Vec<usize> = shape.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
        let bound = 2. * (6. / shape[1..].iter().product::<usize>() as f64).sqrt();
        let value = |u: f64| match name.as_str() {
            name if name.ends_with("gamma") || name.contains("norm") && name.ends_with("weight") => 0.8 + 0.4 * u,
            _ if shape.len() == 1 => 0.4 * (u - 0.5),
            "cls_token" | "pos_embed" => 2. * (u - 0.5),
            _ => (u - 0.5) * bound,
        };
        let values = uniform(seed as u64, shape.iter().product()).into_iter().map(|u| value(u) as f32).collect();
        (name.clone(), Tensor::from_vec(values, &shape, &Device::Cpu).unwrap())
    });
    made.collect()
}

#[test]
fn features_are_those_of_timm() {
    let network = DinoV2::new(&weights(), "made by a formula", &Device::Cpu).unwrap();
    assert_eq!((network.name(), network.dim()), ("DINOv2 2 blocks of 128", 128));
    for case in golden()["cases"].as_array().unwrap() {
        let images = pictures(case);
        let size = images.shape().height;
        let resizer = Resizer::bicubic(size, size, 224);
        let mut bytes = Vec::new();
        for plane in images.pixels().chunks_exact(size * size) {
            let mut target = vec![0; 224 * 224];
            resizer.plane(plane, &mut target);
            bytes.extend(target);
        }
        assert_eq!(sha256(&bytes), case["resized_sha256"], "{}", case["name"]);
        let ours = see(&network, &images, |_| Ok(())).unwrap().features;
        for (i, row) in case["features"].as_array().unwrap().iter().enumerate() {
            let theirs: Vec<f64> = row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            let largest = theirs.iter().fold(0., |most: f64, x| most.max(x.abs()));
            for (j, (ours, theirs)) in ours.row(i).iter().zip(&theirs).enumerate() {
                let far = (ours - theirs).abs() / largest;
                assert!(far < 2e-5, "{}, image {i}, feature {j}: {ours} here, {theirs} there", case["name"]);
            }
        }
    }
}

#[test]
fn other_weights_are_refused_by_name() {
    let mut weights = weights();
    weights.remove("blocks.1.attn.proj.bias");
    let refused = |weights: &Weights| DinoV2::new(weights, "", &Device::Cpu).err().unwrap().message;
    assert_eq!(refused(&weights), "there is no `blocks.1.attn.proj.bias`");
    weights.remove("cls_token");
    assert_eq!(refused(&weights), "`cls_token` has 0 numbers, expected a multiple of 64");
}
