//! One pass of Adam over a parameter.

use rayon::prelude::*;

use super::real::Real;

const CHUNK: usize = 32 * 1024;

/// The new value, mean and square: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p - rate m / (root_scale sqrt(v) + epsilon).
#[allow(clippy::too_many_arguments)] // Four arrays and the four numbers of the formula.
pub fn step<T: Real>(
    p: &[T],
    g: &[T],
    m: &[T],
    v: &[T],
    rate: f64,
    betas: [f64; 2],
    root_scale: f64,
    epsilon: f64,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let [b1, b2] = betas.map(T::from_f64);
    let [c1, c2] = betas.map(|b| T::from_f64(1.0 - b));
    let (rate, root_scale, epsilon) = (T::from_f64(rate), T::from_f64(root_scale), T::from_f64(epsilon));
    let (mut p, mut m, mut v) = (p.to_vec(), m.to_vec(), v.to_vec());
    let update = |(((p, m), v), g): (((&mut [T], &mut [T]), &mut [T]), &[T])| {
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            *m = b1 * *m + c1 * *g;
            *v = b2 * *v + c2 * *g * *g;
            *p -= rate * *m / (v.sqrt() * root_scale + epsilon);
        }
    };
    if p.len() <= CHUNK {
        update((((&mut p, &mut m), &mut v), g));
    } else {
        p.par_chunks_mut(CHUNK)
            .zip(m.par_chunks_mut(CHUNK))
            .zip(v.par_chunks_mut(CHUNK))
            .zip(g.par_chunks(CHUNK))
            .for_each(update);
    }
    (p, m, v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate() {
        // With both corrections the first step is lr * sign(g), whatever the gradient.
        let (b1, b2) = (0.9f64, 0.999f64);
        let (p, m, v) = step(
            &[1.0f64, 1.0],
            &[0.5, -3.0],
            &[0.0; 2],
            &[0.0; 2],
            0.1 / (1.0 - b1),
            [b1, b2],
            1.0 / (1.0 - b2).sqrt(),
            0.0,
        );
        assert!((p[0] - 0.9).abs() < 1e-12 && (p[1] - 1.1).abs() < 1e-12, "{p:?}");
        assert!((m[0] - 0.05).abs() < 1e-15 && (v[1] - 0.009).abs() < 1e-15);
    }
}
