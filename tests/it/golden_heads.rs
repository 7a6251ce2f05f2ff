//! The metrics that need no network against their definitions in NumPy and SciPy.
//!
//! `tests/golden/heads.py` wrote the numbers. Both sides work in double precision and differ by the order of their sums:
//! 1e-9 relative. A fractal dimension may differ by 1e-6, as one distance of ten thousand at the edge of a radius moves it.

use fewlab::data::Shape;
use fewlab::metric::{Prd, fractal_dimension, ms_ssim_of_pairs};
use serde_json::Value;

use super::golden_metric::{close, uniform};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/heads.json")).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    let cases = golden()[name].as_array().unwrap().clone();
    assert!(cases.len() > 1);
    cases
}

fn whole(case: &Value, name: &str) -> usize {
    case[name].as_u64().unwrap() as usize
}

#[test]
fn similarities_of_pairs_agree() {
    for case in cases("ms_ssim") {
        let [count, channels, height, width] = ["count", "channels", "height", "width"].map(|name| whole(&case, name));
        let noise = uniform(whole(&case, "seed") as u64, count * channels * height * width);
        let slope = |i: usize| (i % width * 5 + i / width % height * 3) % 180;
        let images: Vec<f64> = noise.iter().enumerate().map(|(i, u)| slope(i) as f64 + (u * 60.).floor()).collect();
        let ours = ms_ssim_of_pairs(&images, Shape { channels, height, width });
        let theirs = case["pairs"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len());
        ours.iter().zip(theirs).for_each(|(ours, theirs)| close(*ours, theirs, 1e-9, case["name"].as_str().unwrap()));
    }
}

#[test]
fn curves_of_precision_and_recall_agree() {
    for case in cases("prd") {
        let cells = whole(&case, "cells");
        let shares: Vec<f64> = uniform(whole(&case, "seed") as u64, 2 * cells).iter().map(|u| u.powi(3)).collect();
        let histogram = |counts: &[f64]| {
            let total: f64 = counts.iter().sum();
            counts.iter().map(|count| count / total).collect::<Vec<f64>>()
        };
        let curve =
            Prd::of_histograms(&histogram(&shares[..cells]), &histogram(&shares[cells..]), 1001, 1e-10).unwrap();
        for (ours, name) in [(&curve.precision, "precision"), (&curve.recall, "recall")] {
            let theirs = case[name].as_array().unwrap();
            ours.iter().step_by(100).zip(theirs).for_each(|(ours, theirs)| close(*ours, theirs, 1e-9, name));
        }
        close(curve.f_beta(8.).unwrap(), &case["f8"], 1e-9, "F of 8");
        close(curve.f_beta(1. / 8.).unwrap(), &case["f1_8"], 1e-9, "F of 1/8");
    }
}

#[test]
fn fractal_dimensions_agree() {
    for case in cases("fractal_dimension") {
        let (count, dim) = (whole(&case, "count"), whole(&case, "dim"));
        let points = uniform(whole(&case, "seed") as u64, count * dim);
        close(fractal_dimension(&points, dim, 1).unwrap(), &case["slope"], 1e-6, "dimension");
    }
}
