//! Losses, penalties, methods and clusters against PyTorch and scikit-learn on the same numbers.

use fewlab::nn::{KMeansOptions, k_means, k_means_from};
use fewlab::progress::Stop;
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
