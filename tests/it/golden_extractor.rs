//! SqueezeNet 1.1 and the resize before it against PyTorch and Pillow.
//!
//! `tests/golden/squeezenet.py` wrote the numbers, in double precision from the same weights. The resize must give the same
//! bytes. A feature may differ by 1e-5 of the largest: it is a mean over what eighteen convolutions in single precision
//! (6e-8) with sums of up to two thousand terms make, and was seen within 9e-7.

use fewlab::data::{Images, Shape};
use fewlab::metric::{Extractor, Resizer, SqueezeNet, see};
use fewlab::tensor::Device;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/squeezenet.json")).unwrap()
}

/// What `pictures` in `squeezenet.py` makes.
pub fn pictures(case: &Value) -> Images {
    let whole = |name: &str| case[name].as_u64().unwrap() as i64;
    let (count, channels, size) = (whole("count"), whole("channels"), whole("size"));
    let mut pixels = Vec::new();
    for n in 0..count {
        for c in 0..channels {
            for y in 0..size {
                for x in 0..size {
                    let bands = x * (3 + n) + y * (2 + c);
                    let circles = ((x - size / 2).pow(2) + (y - size / 3).pow(2)) * (1 + n) / 4;
                    let checks = (x / (2 + n) + y / 3) % 2 * 90;
                    pixels.push(((bands + circles + checks + 40 * c) % 256) as u8);
                }
            }
        }
    }
    let shape = Shape { channels: channels as usize, height: size as usize, width: size as usize };
    Images::new(shape, pixels).unwrap()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn resized_bytes_are_those_of_pillow() {
    let golden = golden();
    for case in golden["cases"].as_array().unwrap() {
        let images = pictures(case);
        assert_eq!(sha256(images.pixels()), case["pictures_sha256"], "the pictures themselves");
        let (size, to) = (images.shape().height, case["to"].as_u64().unwrap() as usize);
        let resizer = Resizer::new(size, size, to);
        let planes: Vec<u8> = images
            .pixels()
            .chunks_exact(size * size)
            .flat_map(|plane| {
                let mut target = vec![0; to * to];
                resizer.plane(plane, &mut target);
                target
            })
            .collect();
        let row: Vec<u64> = case["first_resized_row"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap()).collect();
        assert_eq!(planes[..to].iter().map(|x| u64::from(*x)).collect::<Vec<_>>(), row, "{}", case["name"]);
        assert_eq!(sha256(&planes), case["resized_sha256"], "{}", case["name"]);
    }
}

#[test]
fn features_are_those_of_pytorch() {
    let network = SqueezeNet::new(&Device::Cpu).unwrap();
    for case in golden()["cases"].as_array().unwrap() {
        let ours = see(&network, &pictures(case), |_| Ok(())).unwrap().features;
        let rows = case["features"].as_array().unwrap();
        assert_eq!((ours.rows(), ours.dim()), (rows.len(), network.dim()));
        for (i, row) in rows.iter().enumerate() {
            let theirs: Vec<f64> = row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            let largest = theirs.iter().copied().fold(0., f64::max);
            for (j, (ours, theirs)) in ours.row(i).iter().zip(&theirs).enumerate() {
                let far = (ours - theirs).abs() / largest;
                assert!(far < 1e-5, "{}, image {i}, feature {j}: {ours} here, {theirs} there", case["name"]);
            }
        }
    }
}
