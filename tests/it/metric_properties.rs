//! What holds for every metric on every pair of sets of features.

use fewlab::metric::{self, Features};
use proptest::prelude::*;

/// Sets of 3 to 40 images in 1 to 6 dimensions, of one dimension, with a duplicate now and then.
fn pair() -> impl Strategy<Value = (Features, Features)> {
    (1..=6usize, 3..=40usize, 3..=40usize).prop_flat_map(|(dim, real, fake)| {
        let set = move |rows: usize| {
            let row = prop::collection::vec(prop_oneof![4 => -3.0..3.0f64, 1 => Just(0.5)], dim);
            prop::collection::vec(row, rows)
                .prop_map(move |rows| Features::new(rows.concat(), rows.len(), dim).unwrap())
        };
        (set(real), set(fake))
    })
}

fn reversed(features: &Features) -> Features {
    features.select(&(0..features.rows()).rev().collect::<Vec<_>>())
}

/// The rounding that one feature set allows: sums of squares in double precision, whose roots are taken.
fn noise(a: &Features, b: &Features) -> f64 {
    let total: f64 = [a, b].iter().flat_map(|x| x.data()).map(|x| x * x).sum();
    1e-12 * (1. + total)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_is_at_no_distance_from_itself((a, _) in pair()) {
        prop_assert!(metric::frechet_distance(&a, &a).unwrap() <= noise(&a, &a));
        prop_assert!(metric::kid(&a, &a).unwrap() <= 1e-9);
    }

    #[test]
    fn distances_are_symmetric_and_not_negative((a, b) in pair()) {
        let (there, back) = (metric::frechet_distance(&a, &b).unwrap(), metric::frechet_distance(&b, &a).unwrap());
        prop_assert!(there >= 0. && (there - back).abs() <= noise(&a, &b), "{there} {back}");
        let (there, back) = (metric::kid(&a, &b).unwrap(), metric::kid(&b, &a).unwrap());
        prop_assert!((there - back).abs() <= 1e-9 * (1. + there.abs()), "{there} {back}");
    }

    #[test]
    fn the_order_of_images_does_not_matter((a, b) in pair()) {
        let (straight, turned) = (metric::frechet_distance(&a, &b).unwrap(), metric::frechet_distance(&reversed(&a), &reversed(&b)).unwrap());
        prop_assert!((straight - turned).abs() <= noise(&a, &b), "{straight} {turned}");
        let (straight, turned) = (metric::kid(&a, &b).unwrap(), metric::kid(&reversed(&a), &reversed(&b)).unwrap());
        prop_assert!((straight - turned).abs() <= 1e-9 * (1. + straight.abs()), "{straight} {turned}");
        let k = 2;
        prop_assert_eq!(metric::prdc(&a, &b, k).unwrap(), metric::prdc(&reversed(&a), &reversed(&b), k).unwrap());
    }

    #[test]
    fn shares_are_shares((a, b) in pair()) {
        let p = metric::prdc(&a, &b, 2).unwrap();
        for share in [p.precision, p.recall, p.coverage] {
            prop_assert!((0. ..=1.).contains(&share), "{p:?}");
        }
        prop_assert!(p.density >= 0. && p.coverage >= 0., "{p:?}");
        let back = metric::prdc(&b, &a, 2).unwrap();
        prop_assert_eq!((p.precision, p.recall), (back.recall, back.precision));
    }

    #[test]
    fn the_inception_score_lies_between_one_and_the_number_of_classes((a, _) in pair()) {
        let (score, _) = metric::inception_score(&a, 1, None).unwrap();
        prop_assert!(score >= 1. - 1e-12 && score <= a.dim() as f64 + 1e-12, "{score}");
    }
}
