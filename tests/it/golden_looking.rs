//! Principal components and t-SNE against scikit-learn on the same numbers.

use fewlab::nn::{TsneOptions, pca, tsne, tsne_from};
use fewlab::progress::Job;
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

/// A case of `embedding.json` with its rows.
struct Case {
    stated: Value,
    name: String,
    rows: Vec<f64>,
    n: usize,
    dim: usize,
    options: TsneOptions,
}

fn cases() -> Vec<Case> {
    let golden: Value = serde_json::from_str(include_str!("../golden/embedding.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap().iter().map(|stated| {
        let whole = |name: &str| stated[name].as_u64().unwrap() as usize;
        let (seed, n, dim, clouds) = (whole("seed") as u64, whole("n"), whole("dim"), whole("clouds"));
        let (noise, corners) = (uniform(seed, n * dim), uniform(seed + 1, clouds * dim));
        let corner = |i: usize| 4.0 * corners[i / dim % clouds * dim + i % dim];
        Case {
            name: stated["name"].as_str().unwrap().into(),
            rows: noise.iter().enumerate().map(|(i, value)| corner(i) + 2.0 * value).collect(),
            options: TsneOptions { perplexity: stated["perplexity"].as_f64().unwrap(), ..TsneOptions::default() },
            stated: stated.clone(),
            n,
            dim,
        }
    });
    let cases: Vec<Case> = cases.collect();
    assert_eq!(cases.len(), 3);
    cases
}

#[test]
fn principal_components_are_those_of_scikit_learn() {
    for case in cases() {
        let found = pca(&case.rows, case.dim, 3).unwrap();
        let theirs = &case.stated["pca"];
        for (what, ours) in
            [("shares", &found.shares[..]), ("components", &found.components), ("first_rows", &found.points[..15])]
        {
            let theirs: Vec<f64> = theirs[what].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(ours.len(), theirs.len());
            // Both sides work in doubles; a component is as sure as its eigenvalue is apart from the next.
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!((ours - theirs).abs() < 1e-9, "{}, {what}: {ours} here, {theirs} there", case.name);
            }
        }
    }
}

/// The share of the `k` nearest rows that are among the `k` nearest points.
fn kept(rows: &[f64], dim: usize, points: &[f64], k: usize) -> f64 {
    let near = |data: &[f64], dim: usize| -> Vec<Vec<usize>> {
        let row = |i: usize| &data[i * dim..(i + 1) * dim];
        let n = data.len() / dim;
        let nearest = |i: usize| {
            let distance = |j: &usize| -> f64 { row(i).iter().zip(row(*j)).map(|(a, b)| (a - b) * (a - b)).sum() };
            let mut others: Vec<usize> = (0..n).filter(|j| *j != i).collect();
            others.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            others.truncate(k);
            others
        };
        (0..n).map(nearest).collect()
    };
    let (there, here) = (near(rows, dim), near(points, 2));
    let shared = |(a, b): (&Vec<usize>, &Vec<usize>)| a.iter().filter(|j| b.contains(j)).count() as f64 / k as f64;
    there.iter().zip(&here).map(shared).sum::<f64>() / there.len() as f64
}

#[test]
fn tsne_is_that_of_scikit_learn() {
    for case in cases() {
        let fixed: Vec<f64> =
            uniform(case.stated["seed"].as_u64().unwrap() + 2, 2 * case.n).iter().map(|v| v * 10.0).collect();
        let still = TsneOptions { steps: 0, ..case.options.clone() };
        let ours = tsne_from(&case.rows, case.dim, fixed, &still, &Job::silent()).unwrap().divergence;
        let theirs = case.stated["divergence_of_fixed_points"].as_f64().unwrap();
        // There, perplexities are met to 1e-5 in their logarithm and distances kept in single precision.
        assert!((ours - theirs).abs() < 1e-4 * theirs, "{}: {ours} here, {theirs} there", case.name);

        let ours = tsne(&case.rows, case.dim, &case.options, &Job::silent()).unwrap();
        let theirs = &case.stated["tsne"];
        let divergence = theirs["divergence"].as_f64().unwrap();
        // A thousand steps of momentum enlarge the last bits: what is reached is as good, not the same.
        // Few points have several resting places, some per cent apart.
        assert!(ours.divergence < 1.05 * divergence, "{}: {} here, {divergence} there", case.name, ours.divergence);
        let (ours, theirs) =
            (kept(&case.rows, case.dim, &ours.points, 10), theirs["neighbours_kept"].as_f64().unwrap());
        assert!(ours > theirs - 0.03, "{}: {ours} of the neighbours kept here, {theirs} there", case.name);
    }
}

#[test]
fn the_first_steps_of_tsne_are_those_of_scikit_learn() {
    for case in cases() {
        let fixed: Vec<f64> =
            uniform(case.stated["seed"].as_u64().unwrap() + 2, 2 * case.n).iter().map(|v| v * 10.0).collect();
        let options = TsneOptions { steps: 8, ..case.options.clone() };
        let ours = tsne_from(&case.rows, case.dim, fixed, &options, &Job::silent()).unwrap().points;
        for (ours, theirs) in ours.iter().zip(case.stated["after_eight_steps"].as_array().unwrap()) {
            // There, perplexities are met to 1e-5 in their logarithm; points lie within about ten of one another.
            let theirs = theirs.as_f64().unwrap();
            assert!((ours - theirs).abs() < 1e-3, "{}: {ours} here, {theirs} there", case.name);
        }
    }
}
