//! Precision, recall, density and coverage: are fakes near reals, and reals near fakes?

use std::sync::{Mutex, PoisonError};

use super::features::{Features, comparable};
use super::interval::{Groups, Interval};
use super::matrix::{squared_distances, squared_distances_onward};
use crate::error::{Error, Result};

/// Four shares that say which way two sets of features differ.
///
/// The ball of an image reaches to its `k`-th nearest neighbour on its own side. With an open [`Edge`] the convention is that
/// of the `prdc` package, which goes with Naeem et al. 2020, arXiv:2002.09797; k = 5 is its default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prdc {
    /// Share of fakes inside the ball of some real image: 0 to 1.
    pub precision: f64,
    /// Share of reals inside the ball of some fake image: 0 to 1.
    pub recall: f64,
    /// Mean number of real balls that a fake lies in, over `k`: at least 0, about 1 for equal distributions.
    pub density: f64,
    /// Share of reals whose ball holds a fake: 0 to 1.
    pub coverage: f64,
}

/// Whether a ball holds the points of its surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It does not: `prdc`, Naeem et al. 2020.
    Open,
    /// It does: torch-fidelity, Kynkäänniemi et al. 2019. The two differ where images are equal.
    Closed,
}

impl Edge {
    fn holds(self, distance: f64, radius: f64) -> bool {
        match self {
            Edge::Open => distance < radius,
            Edge::Closed => distance <= radius,
        }
    }
}

/// Precision, recall, density and coverage with `k` neighbours.
pub fn prdc(real: &Features, fake: &Features, k: usize) -> Result<Prdc> {
    check(real, fake, k)?;
    Ok(Balls::new(real, fake, (k, Edge::Open), None).shares(Balls::WHOLE))
}

/// Precision and recall as Kynkäänniemi et al. 2019 (arXiv:1904.06991) define them and torch-fidelity takes them; its `k`
/// is 3.
pub fn precision_recall(real: &Features, fake: &Features, k: usize) -> Result<[f64; 2]> {
    check(real, fake, k)?;
    let shares = Balls::new(real, fake, (k, Edge::Closed), None).shares(Balls::WHOLE);
    Ok([shares.precision, shares.recall])
}

/// The four shares, each with its interval, or without where there are too few images to form groups.
pub fn prdc_with_intervals(
    real: &Features,
    fake: &Features,
    (k, edge): (usize, Edge),
    seed: u64,
) -> Result<[(f64, Option<Interval>); 4]> {
    check(real, fake, k)?;
    let groups = Groups::new(real.rows(), seed, "real").zip(Groups::new(fake.rows(), seed, "fake"));
    let least = real.rows().min(fake.rows());
    // Without a group there must still be `k` neighbours.
    let groups = groups.filter(|_| least - least.div_ceil(Groups::COUNT) > k);
    let balls = Balls::new(real, fake, (k, edge), groups.as_ref());
    let columns = |p: Prdc| [p.precision, p.recall, p.density, p.coverage];
    let values = columns(balls.shares(Balls::WHOLE));
    let without: Vec<[f64; 4]> = match groups {
        Some(_) => (0..Groups::COUNT).map(|group| columns(balls.shares(group))).collect(),
        None => Vec::new(),
    };
    Ok(std::array::from_fn(|i| {
        let left_out: Vec<f64> = without.iter().map(|row| row[i]).collect();
        let most = if i == 2 { f64::INFINITY } else { 1. };
        let interval = (!left_out.is_empty()).then(|| Interval::from_left_out(values[i], &left_out).within(0., most));
        (values[i], interval)
    }))
}

fn check(real: &Features, fake: &Features, k: usize) -> Result<()> {
    if k == 0 {
        return Err(Error::new("0 neighbours were asked for, at least 1 is needed"));
    }
    comparable(real, fake, k + 1)
}

/// What the four shares are counted from: for the whole sets, and with each group left out on both sides.
///
/// Leaving a group out changes few radii, so one pass over the distances serves all: for a pair, bit `g` of a mask says
/// whether it counts when group `g` is left out, and bit [`Balls::WHOLE`] whether it counts in the whole sets.
struct Balls<'a> {
    k: usize,
    groups: Option<&'a (Groups, Groups)>,
    reals: usize,
    fakes: usize,
    /// By fake: lies in the ball of some real.
    precise: Vec<u32>,
    /// By real: lies in the ball of some fake.
    recalled: Vec<u32>,
    /// By real: its ball holds some fake.
    covered: Vec<u32>,
    /// By group: pairs of a real and a fake in its ball.
    inside: Vec<u64>,
}

/// Squared radii: `of[item][view]`, where a view leaves one group out, and the last is the whole set.
type Radii = Vec<[f64; Balls::VIEWS]>;

/// What one block of reals found.
struct Found {
    precise: Vec<u32>,
    recalled: Vec<u32>,
    covered: Vec<u32>,
    inside: [u64; Balls::VIEWS],
}

impl<'a> Balls<'a> {
    const WHOLE: usize = Groups::COUNT;
    const VIEWS: usize = Groups::COUNT + 1;
    const ALL: u32 = (1 << Self::VIEWS) - 1;

    fn new(real: &Features, fake: &Features, (k, edge): (usize, Edge), groups: Option<&'a (Groups, Groups)>) -> Self {
        let (real_groups, fake_groups) = (groups.map(|g| &g.0), groups.map(|g| &g.1));
        let real_radii = radii(real, k, real_groups);
        let fake_radii = radii(fake, k, fake_groups);
        let views = if groups.is_some() { Self::ALL } else { 1 << Self::WHOLE };
        // The views that hold an image: all but the one that leaves its group out.
        let holds = |groups: Option<&Groups>, item: usize| views & !groups.map_or(0, |groups| 1 << groups.of(item));
        let real_holds: Vec<u32> = (0..real.rows()).map(|i| holds(real_groups, i)).collect();
        let fake_holds: Vec<u32> = (0..fake.rows()).map(|j| holds(fake_groups, j)).collect();
        let fake_reach: Vec<(f64, f64)> = fake_radii.iter().map(reach).collect();

        let blocks = squared_distances(real, fake, |first, distances| {
            let rows = distances.len() / fake.rows();
            let mut found = Found {
                precise: vec![0; fake.rows()],
                recalled: vec![0; rows],
                covered: vec![0; rows],
                inside: [0; Self::VIEWS],
            };
            for (row, distances) in distances.chunks_exact(fake.rows()).enumerate() {
                let i = first + row;
                let real_reach = reach(&real_radii[i]);
                for (j, &distance) in distances.iter().enumerate() {
                    if !edge.holds(distance, real_reach.1) && !edge.holds(distance, fake_reach[j].1) {
                        continue;
                    }
                    let both = real_holds[i] & fake_holds[j];
                    let in_real = both & views_reaching(edge, distance, real_reach, &real_radii[i]);
                    found.precise[j] |= in_real;
                    found.covered[row] |= in_real;
                    found.recalled[row] |= both & views_reaching(edge, distance, fake_reach[j], &fake_radii[j]);
                    let mut bits = in_real;
                    while bits != 0 {
                        found.inside[bits.trailing_zeros() as usize] += 1;
                        bits &= bits - 1;
                    }
                }
            }
            found
        });

        let mut balls = Self {
            k,
            groups,
            reals: real.rows(),
            fakes: fake.rows(),
            precise: vec![0; fake.rows()],
            recalled: Vec::with_capacity(real.rows()),
            covered: Vec::with_capacity(real.rows()),
            inside: vec![0; Self::VIEWS],
        };
        for block in blocks {
            balls.precise.iter_mut().zip(block.precise).for_each(|(all, some)| *all |= some);
            balls.inside.iter_mut().zip(block.inside).for_each(|(all, some)| *all += some);
            balls.recalled.extend(block.recalled);
            balls.covered.extend(block.covered);
        }
        balls
    }

    /// The shares in one view.
    fn shares(&self, view: usize) -> Prdc {
        let members = |pick: fn(&(Groups, Groups)) -> &Groups, all: usize| match self.groups {
            Some(groups) if view != Self::WHOLE => all - pick(groups).members(view).len(),
            _ => all,
        };
        let reals = members(|groups| &groups.0, self.reals) as f64;
        let fakes = members(|groups| &groups.1, self.fakes) as f64;
        let count = |masks: &[u32]| masks.iter().filter(|mask| *mask >> view & 1 == 1).count() as f64;
        Prdc {
            precision: count(&self.precise) / fakes,
            recall: count(&self.recalled) / reals,
            density: self.inside[view] as f64 / (self.k as f64 * fakes),
            coverage: count(&self.covered) / reals,
        }
    }
}

/// The least and the greatest radius over the views.
fn reach(radii: &[f64; Balls::VIEWS]) -> (f64, f64) {
    // Leaving images out can only push the k-th neighbour away.
    (radii[Balls::WHOLE], radii.iter().copied().fold(0., f64::max))
}

/// The views in which a ball reaches as far as `distance`.
fn views_reaching(edge: Edge, distance: f64, reach: (f64, f64), radii: &[f64; Balls::VIEWS]) -> u32 {
    if edge.holds(distance, reach.0) {
        Balls::ALL
    } else if !edge.holds(distance, reach.1) {
        0
    } else {
        let reaching = radii.iter().enumerate().filter(|(_, radius)| edge.holds(distance, **radius));
        reaching.fold(0, |mask, (view, _)| mask | 1 << view)
    }
}

/// The squared distance of every image to its `k`-th nearest neighbour, in every view.
fn radii(features: &Features, k: usize, groups: Option<&Groups>) -> Radii {
    let n = features.rows();
    // Enough candidates that a group's absence rarely uses them up.
    let most = if groups.is_some() { 4 * k + 16 } else { k }.min(n - 1);
    let nearest = Mutex::new(Nearest::new(n, most));
    squared_distances_onward(features, |first, columns, distances| {
        let mut found = Nearest::new(columns, most);
        for (row, distances) in distances.chunks_exact(columns).enumerate() {
            for (column, &distance) in distances.iter().enumerate().skip(row + 1) {
                if distance <= found.farthest[row] {
                    found.offer(row, (distance, first + column));
                }
                if distance <= found.farthest[column] {
                    found.offer(column, (distance, first + row));
                }
            }
        }
        nearest.lock().unwrap_or_else(PoisonError::into_inner).merge(first, &found);
    });
    let nearest = nearest.into_inner().unwrap_or_else(PoisonError::into_inner);
    let of_image = |image: usize| {
        let candidates = &nearest.lists[image];
        let mut radii = [candidates[k - 1].0; Balls::VIEWS];
        if let Some(groups) = groups {
            for (group, radius) in radii.iter_mut().enumerate().take(Groups::COUNT) {
                let kth = |nearest: &[(f64, usize)]| {
                    nearest.iter().filter(|(_, i)| groups.of(*i) != group).nth(k - 1).map(|(d, _)| *d)
                };
                *radius =
                    kth(candidates).unwrap_or_else(|| kth(&all_neighbours(features, image)).unwrap_or(f64::INFINITY));
            }
        }
        radii
    };
    (0..n).map(of_image).collect()
}

/// The nearest images of each image, as far as they were looked at: the same whatever the order, for of images as far away as
/// each other the first counts as nearer.
struct Nearest {
    most: usize,
    /// By image: squared distances, ascending, and the images there.
    lists: Vec<Vec<(f64, usize)>>,
    /// By image: the distance beyond which none is wanted.
    farthest: Vec<f64>,
}

impl Nearest {
    fn new(images: usize, most: usize) -> Self {
        Self { most, lists: vec![Vec::with_capacity(most + 1); images], farthest: vec![f64::INFINITY; images] }
    }

    fn offer(&mut self, image: usize, other: (f64, usize)) {
        let list = &mut self.lists[image];
        let place = list.partition_point(|known| closer(known, &other).is_lt());
        list.insert(place, other);
        list.truncate(self.most);
        if list.len() == self.most {
            self.farthest[image] = list[self.most - 1].0;
        }
    }

    /// Adds what was found of the images from `first` on.
    fn merge(&mut self, first: usize, found: &Self) {
        for (image, list) in (first..).zip(&found.lists) {
            list.iter().for_each(|other| self.offer(image, *other));
        }
    }
}

/// All other images, the nearest first.
fn all_neighbours(features: &Features, image: usize) -> Vec<(f64, usize)> {
    let blocks = squared_distances(&features.select(&[image]), features, |_, distances| distances.to_vec());
    let mut all: Vec<(f64, usize)> =
        blocks.concat().into_iter().zip(0..).filter(|(_, other)| *other != image).collect();
    all.sort_unstable_by(closer);
    all
}

fn closer(a: &(f64, usize), b: &(f64, usize)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(rows: usize, phase: f64) -> Features {
        Features::new((0..rows * 3).map(|i| ((i * i) as f64 * 0.7 + phase).sin()).collect(), rows, 3).unwrap()
    }

    #[test]
    fn four_points_on_a_line_by_hand() {
        // k = 1. Reals 0, 1, 10 have radii 1, 1, 9; fakes 0.5, 30 have radius 29.5 each.
        let real = Features::new(vec![0., 1., 10.], 3, 1).unwrap();
        let fake = Features::new(vec![0.5, 30.], 2, 1).unwrap();
        let shares = prdc(&real, &fake, 1).unwrap();
        // 0.5 lies in the balls of 0 and 1 (not of 10: 9.5 > 9); 30 in none.
        assert_eq!(shares, Prdc { precision: 0.5, recall: 1., density: 1., coverage: 2. / 3. });
    }

    #[test]
    fn duplicates_are_inside_no_ball() {
        let all_equal = Features::new([0.1, 0.7, 0.3].repeat(10), 10, 3).unwrap();
        let shares = prdc(&all_equal, &all_equal, 3).unwrap();
        assert_eq!(shares, Prdc { precision: 0., recall: 0., density: 0., coverage: 0. });
        assert_eq!(precision_recall(&all_equal, &all_equal, 3).unwrap(), [1., 1.]);
    }

    #[test]
    fn leaving_groups_out_in_one_pass_equals_leaving_them_out() {
        let (real, fake) = (wave(150, 0.), wave(170, 1.));
        let groups = (Groups::new(150, 5, "real").unwrap(), Groups::new(170, 5, "fake").unwrap());
        let balls = Balls::new(&real, &fake, (3, Edge::Open), Some(&groups));
        assert_eq!(balls.shares(Balls::WHOLE), prdc(&real, &fake, 3).unwrap());
        for group in 0..Groups::COUNT {
            let direct = prdc(&real.select(&groups.0.others(group)), &fake.select(&groups.1.others(group)), 3).unwrap();
            assert_eq!(balls.shares(group), direct);
        }
    }

    #[test]
    fn groups_that_hold_all_near_neighbours_are_left_out_too() {
        // Each group is a heap of its own, with more images than are kept as candidates.
        let n = 440;
        let heaps = |seed: u64, phase: f64| {
            let groups = Groups::new(n, seed, "real").unwrap();
            let place = |i: usize| 100. * groups.of(i) as f64 + ((i * i) as f64 * 0.7 + phase).sin();
            (Features::new((0..n).map(place).collect(), n, 1).unwrap(), groups)
        };
        let ((real, real_groups), (fake, fake_groups)) = (heaps(1, 0.), heaps(2, 1.));
        let groups = (real_groups, fake_groups);
        let balls = Balls::new(&real, &fake, (1, Edge::Open), Some(&groups));
        for group in [0, Groups::COUNT - 1] {
            let direct = prdc(&real.select(&groups.0.others(group)), &fake.select(&groups.1.others(group)), 1).unwrap();
            assert_eq!(balls.shares(group), direct);
        }
    }

    #[test]
    fn the_values_beside_intervals_are_those_without_them() {
        // Points of a coarse grid, so that it matters whether a ball holds its surface.
        let grid = |x: Features| {
            Features::new(x.data().iter().map(|x| (3. * x).round()).collect(), x.rows(), x.dim()).unwrap()
        };
        let (real, fake) = (grid(wave(60, 0.)), grid(wave(60, 0.2)));
        let values = |edge| prdc_with_intervals(&real, &fake, (3, edge), 5).unwrap().map(|(value, _)| value);
        let Prdc { precision, recall, density, coverage } = prdc(&real, &fake, 3).unwrap();
        assert_eq!(values(Edge::Open), [precision, recall, density, coverage]);
        let closed = precision_recall(&real, &fake, 3).unwrap();
        assert_eq!(values(Edge::Closed)[..2], closed);
        assert_ne!([precision, recall], closed);
    }

    #[test]
    fn too_few_images_for_the_neighbours_are_refused() {
        let error = prdc(&wave(5, 0.), &wave(9, 0.), 5).unwrap_err();
        assert_eq!(error.message, "5 real images were given, at least 6 are needed");
    }
}
