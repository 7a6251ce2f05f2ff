//! One pass of Adam over a parameter.
#![allow(unsafe_code)] // Outputs are not zeroed before they are written.

use rayon::prelude::*;

use super::buffer::{GRAIN, uninit};
use super::dispatch::multiversion;
use super::real::Real;

/// Values of a task: old and new ones stay in the second-level cache, and there are enough tasks for threads to end together.
const CHUNK: usize = 8 * 1024;

/// What a step is given.
#[derive(Clone, Copy)]
pub struct Old<'a, T> {
    /// The parameter.
    pub value: &'a [T],
    /// Its gradient.
    pub grad: &'a [T],
    /// The running mean of gradients.
    pub mean: &'a [T],
    /// The running mean of their squares.
    pub square: &'a [T],
}

/// The numbers of one step of Adam, bias corrections included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// lr / (1 - beta1^t).
    pub rate: f64,
    /// What stays of the running mean and square.
    pub betas: [f64; 2],
    /// 1 / sqrt(1 - beta2^t).
    pub root_scale: f64,
    /// Added to the root.
    pub epsilon: f64,
}

/// The new value, mean and square: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p - rate m / (root_scale sqrt(v) + epsilon).
pub fn step<T: Real>(old: Old<'_, T>, by: &Step) -> [Vec<T>; 3] {
    let len = old.value.len();
    // SAFETY: all values are written below.
    let [mut p, mut m, mut v] = unsafe { [uninit::<T>(len), uninit(len), uninit(len)] };
    if len <= GRAIN {
        update(old, by, [&mut p, &mut m, &mut v]);
    } else {
        let new = p.par_chunks_mut(CHUNK).zip(m.par_chunks_mut(CHUNK)).zip(v.par_chunks_mut(CHUNK));
        new.enumerate().for_each(|(i, ((p, m), v))| {
            let [value, grad, mean, square] =
                [old.value, old.grad, old.mean, old.square].map(|all| &all[i * CHUNK..][..p.len()]);
            let old = Old { value, grad, mean, square };
            update(old, by, [p, m, v]);
        });
    }
    [p, m, v]
}

multiversion! {
    fn update[T: Real](old: Old<'_, T>, by: &Step, new: [&mut [T]; 3]) {
        let [b1, b2] = by.betas.map(T::from_f64);
        let [c1, c2] = by.betas.map(|b| T::from_f64(1.0 - b));
        let [rate, root_scale, epsilon] = [by.rate, by.root_scale, by.epsilon].map(T::from_f64);
        let [p, m, v] = new;
        let old = old.value.iter().zip(old.grad).zip(old.mean).zip(old.square);
        for (((p, m), v), (((&value, &g), &mean), &square)) in p.iter_mut().zip(m).zip(v).zip(old) {
            *m = b1 * mean + c1 * g;
            *v = b2 * square + c2 * g * g;
            *p = value - rate * *m / (v.sqrt() * root_scale + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate() {
        // With both corrections the first step is lr * sign(g), whatever the gradient.
        let betas: [f64; 2] = [0.9, 0.999];
        let old = Old { value: &[1.0, 1.0], grad: &[0.5, -3.0], mean: &[0.0; 2], square: &[0.0; 2] };
        let by = Step { rate: 0.1 / (1.0 - betas[0]), betas, root_scale: 1.0 / (1.0 - betas[1]).sqrt(), epsilon: 0.0 };
        let [p, m, v] = step(old, &by);
        assert!((p[0] - 0.9).abs() < 1e-12 && (p[1] - 1.1).abs() < 1e-12, "{p:?}");
        assert!((m[0] - 0.05).abs() < 1e-15 && (v[1] - 0.009).abs() < 1e-15);
    }

    #[test]
    fn long_parameters_are_stepped_like_short_ones() {
        let of = |scale: f32| (0..50_000).map(|i| (i as f32 * 0.37).sin() * scale).collect::<Vec<f32>>();
        let (value, grad, mean) = (of(1.0), of(3.0), of(0.1));
        let square: Vec<f32> = of(0.5).iter().map(|v| v * v).collect();
        let old = Old { value: &value, grad: &grad, mean: &mean, square: &square };
        let by = Step { rate: 0.01, betas: [0.5, 0.9], root_scale: 1.5, epsilon: 1e-8 };
        let new = step(old, &by);
        for (start, len) in [(0, 16), (8185, 20), (49_990, 10)] {
            let part = |all| &<[f32]>::as_ref(all)[start..start + len];
            let old = Old { value: part(&value), grad: part(&grad), mean: part(&mean), square: part(&square) };
            let expected = step(old, &by);
            for (new, expected) in new.iter().zip(expected) {
                assert_eq!(part(new), expected, "from {start}");
            }
        }
    }
}
