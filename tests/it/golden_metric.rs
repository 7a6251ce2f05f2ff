//! The metric heads against torch-fidelity, pytorch-fid, clean-fid and prdc on the same features.
//!
//! `tests/golden/metric.py` wrote the numbers. The tolerance is 1e-9 relative: both sides work in double precision
//! (2e-16), and the metrics take small differences of sums some thousand times larger. One number is held to less, with
//! its reason beside it.

use fewlab::metric::{self, Features};
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/metric.json")).unwrap()
}

/// SplitMix64 in counter form, as doubles in [0, 1): what `uniform` in `metric.py` makes.
pub fn uniform(seed: u64, count: usize) -> Vec<f64> {
    (1..=count as u64)
        .map(|i| {
            let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 * 2f64.powi(-53)
        })
        .collect()
}

/// What `features` in `metric.py` makes.
fn features(of: &Value) -> Features {
    let whole = |name: &str| of[name].as_u64().unwrap_or(0) as usize;
    let number = |name: &str, default: f64| of[name].as_f64().unwrap_or(default);
    let (rows, dim, dead) = (whole("rows"), whole("dim"), whole("dead"));
    let (scale, shift) = (number("scale", 1.), number("shift", 0.));
    let data = uniform(whole("seed") as u64, 3 * rows * dim)
        .chunks_exact(3)
        .enumerate()
        .map(|(i, u)| if i % dim < dead { 0. } else { u[0] * u[1] * u[2] * scale + shift })
        .collect();
    Features::new(data, rows, dim).unwrap()
}

#[track_caller]
pub fn close(ours: f64, theirs: &Value, tolerance: f64, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() <= tolerance * theirs.abs(), "{what}: {ours} here, {theirs} there");
}

/// Runs `check` on every pair of sets of features: the case, real, fake.
fn each_pair(check: impl Fn(&Value, &str, &Features, &Features)) {
    let golden = golden();
    let cases = golden["distances"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        check(case, case["name"].as_str().unwrap(), &features(&case["real"]), &features(&case["fake"]));
    }
}

#[test]
fn frechet_distance_agrees() {
    each_pair(|case, name, real, fake| {
        let ours = metric::frechet_distance(real, fake).unwrap();
        let theirs = &case["frechet"];
        close(ours, &theirs["through_factors"], TOLERANCE, name);
        // Where a covariance is singular, the packages root rounding noise of 1e-16: they are 1e-8 away from the
        // singular values of the rows, and as far from one another.
        let singular = name.contains("fewer rows") || name.contains("never on");
        let tolerance = if singular { 1e-6 } else { TOLERANCE };
        for package in ["torch_fidelity", "pytorch_fid", "clean_fid"] {
            close(ours, &theirs[package], tolerance, &format!("{name}, {package}"));
        }
    });
}

#[test]
fn kernel_distance_agrees_with_the_same_deal_of_rows() {
    each_pair(|case, name, real, fake| {
        let theirs = &case["kid"];
        let (subsets, size) =
            (theirs["subsets"].as_u64().unwrap() as usize, theirs["subset_size"].as_u64().unwrap() as usize);
        let (mean, deviation) = metric::kid_subsets(real, fake, subsets, size, 2020).unwrap();
        close(mean, &theirs["torch_fidelity_mean"], TOLERANCE, name);
        if subsets > 1 {
            close(deviation, &theirs["torch_fidelity_std"], TOLERANCE, name);
        }
        // clean-fid deals its second argument first.
        let (mean, _) = metric::kid_subsets(fake, real, subsets, size, 0).unwrap();
        close(mean, &theirs["clean_fid_seed_0"], TOLERANCE, name);
        if !theirs["whole"].is_null() {
            close(metric::kid(real, fake).unwrap(), &theirs["whole"], TOLERANCE, name);
        }
    });
}

#[test]
fn precision_recall_density_coverage_agree() {
    each_pair(|case, name, real, fake| {
        for k in [3, 5] {
            let ours = metric::prdc(real, fake, k).unwrap();
            let theirs = &case["prdc"][k.to_string()];
            close(ours.precision, &theirs["precision"], TOLERANCE, name);
            close(ours.recall, &theirs["recall"], TOLERANCE, name);
            close(ours.density, &theirs["density"], TOLERANCE, name);
            close(ours.coverage, &theirs["coverage"], TOLERANCE, name);
            let [precision, recall] = metric::precision_recall(real, fake, k).unwrap();
            let theirs = &case["precision_recall"][k.to_string()];
            // torch-fidelity takes the shares in single precision.
            close(precision, &theirs[0], 1e-7, name);
            close(recall, &theirs[1], 1e-7, name);
        }
    });
}

#[test]
fn inception_score_agrees() {
    for case in golden()["inception_scores"].as_array().unwrap() {
        let whole = |name: &str| case[name].as_u64().unwrap() as usize;
        let scale = case["scale"].as_f64().unwrap();
        let logits =
            uniform(whole("seed") as u64, whole("rows") * whole("classes")).iter().map(|u| (u - 0.5) * scale).collect();
        let logits = Features::new(logits, whole("rows"), whole("classes")).unwrap();
        for (name, splits, shuffle) in
            [("ten_splits", 10, None), ("ten_splits_shuffled", 10, Some(2020)), ("one_split", 1, None)]
        {
            let (mean, deviation) = metric::inception_score(&logits, splits, shuffle).unwrap();
            close(mean, &case[name][0], TOLERANCE, name);
            close(deviation, &case[name][1], TOLERANCE, name);
        }
    }
}
