//! Whether generated images are copies: their nearest neighbours among the images that the generator learned from.

use super::features::{Features, comparable};
use super::interval::{Groups, Interval};
use super::matrix::squared_distances;
use crate::error::Result;

/// The neighbours of every image, and what they say of the whole set.
#[derive(Debug, Clone)]
pub struct Nearest {
    /// By image: the training image nearest to it, and how far it is.
    pub neighbours: Vec<(usize, f64)>,
    /// The mean distance.
    pub distance: (f64, Option<Interval>),
    /// The share of images farther from their nearest training image than that is from its own nearest neighbour.
    pub authentic: (f64, Option<Interval>),
}

/// The nearest of `train` to each of `images`, in the same features.
///
/// The share is the authenticity of Alaa et al. 2022, arXiv:2102.08921: about one half for images from the same
/// distribution, lower for copies. Intervals leave out groups of `images` and keep the training images.
///
/// # Errors
/// The features have other dimensions, or there are fewer than two training images.
pub fn nearest(train: &Features, images: &Features, intervals: bool, seed: u64) -> Result<Nearest> {
    comparable(train, train, 2)?;
    comparable(train, images, 1)?;
    let blocks = squared_distances(images, train, |_, distances| {
        let first = |(at, least): (usize, f64), (i, distance): (usize, &f64)| {
            if *distance < least { (i, *distance) } else { (at, least) }
        };
        let rows = distances.chunks_exact(train.rows());
        rows.map(|row| row.iter().enumerate().fold((0, f64::INFINITY), first)).collect::<Vec<_>>()
    });
    let mut neighbours: Vec<(usize, f64)> = blocks.into_iter().flatten().collect();
    // Only the training images that some image is nearest to are asked about their own.
    let mut asked: Vec<usize> = neighbours.iter().map(|(at, _)| *at).collect();
    asked.sort_unstable();
    asked.dedup();
    let own = spacing(train, &asked);
    let authentic: Vec<f64> = neighbours
        .iter()
        .map(|(at, distance)| {
            let place = asked.partition_point(|asked| asked < at);
            f64::from(u8::from(*distance > own[place]))
        })
        .collect();
    neighbours.iter_mut().for_each(|(_, distance)| *distance = distance.sqrt());
    let distances: Vec<f64> = neighbours.iter().map(|(_, distance)| *distance).collect();
    let groups = if intervals { Groups::new(images.rows(), seed, "fake") } else { None };
    let summary = |values: &[f64], most: f64| {
        let mean = |rows: &[usize]| rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64;
        let value = values.iter().sum::<f64>() / values.len() as f64;
        let interval = groups.as_ref().map(|groups| {
            let without: Vec<f64> = (0..Groups::COUNT).map(|group| mean(&groups.others(group))).collect();
            Interval::from_left_out(value, &without).within(0., most)
        });
        (value, interval)
    };
    Ok(Nearest { distance: summary(&distances, f64::INFINITY), authentic: summary(&authentic, 1.), neighbours })
}

/// The squared distance of each of the rows `asked` to its nearest other row.
fn spacing(train: &Features, asked: &[usize]) -> Vec<f64> {
    let blocks = squared_distances(&train.select(asked), train, |first, distances| {
        let rows = distances.chunks_exact(train.rows()).enumerate();
        rows.map(|(row, distances)| {
            let others = distances.iter().enumerate().filter(|(i, _)| *i != asked[first + row]);
            others.fold(f64::INFINITY, |least, (_, distance)| least.min(*distance))
        })
        .collect::<Vec<f64>>()
    });
    blocks.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Rng;

    #[test]
    fn neighbours_on_a_line_by_hand() {
        let train = Features::new(vec![0., 1., 10.], 3, 1).unwrap();
        let images = Features::new(vec![0.2, 7., 3.], 3, 1).unwrap();
        let found = nearest(&train, &images, false, 1).unwrap();
        let places: Vec<usize> = found.neighbours.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [0, 2, 1]);
        assert!((found.distance.0 - (0.2 + 3. + 2.) / 3.).abs() < 1e-12);
        // 0.2 and 3 against gaps of 1 and 9, 2 against 1.
        assert_eq!(found.authentic.0, 1. / 3.);
    }

    #[test]
    fn copies_are_told_from_new_images() {
        let draw = |seed: u64, n: usize| {
            let data = Rng::new(seed).normals(n * 8).into_iter().map(f64::from).collect();
            Features::new(data, n, 8).unwrap()
        };
        let train = draw(1, 400);
        let fresh = nearest(&train, &draw(2, 300), true, 1).unwrap();
        let interval = fresh.authentic.1.unwrap();
        assert!((fresh.authentic.0 - 0.5).abs() < 0.15 && interval.low < fresh.authentic.0, "{:?}", fresh.authentic);
        let copies = nearest(&train, &train.select(&(0..300).collect::<Vec<_>>()), false, 1).unwrap();
        assert_eq!((copies.authentic.0, copies.distance.0), (0., 0.));
    }
}
