//! Element-wise work, with NumPy's broadcasting.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::buffer::with_room;
use super::dispatch::multiversion;
use super::real::Real;

/// Values a task works on at a time: small enough for the second-level cache, large enough to be worth a task.
const CHUNK: usize = 16 * 1024;

/// Builds a vector of `n` values; `fill(start, out)` writes every element of `out`, the values from `start` on.
pub(crate) fn build<U: Send>(n: usize, chunk: usize, fill: impl Fn(usize, &mut [MaybeUninit<U>]) + Sync) -> Vec<U> {
    let mut out: Vec<U> = with_room(n);
    let spare = &mut out.spare_capacity_mut()[..n];
    if n <= chunk {
        fill(0, spare);
    } else {
        spare.par_chunks_mut(chunk).enumerate().for_each(|(i, part)| fill(i * chunk, part));
    }
    // SAFETY: `fill` wrote each of the first `n` elements.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(n);
    }
    out
}

/// A function of one value that is worth the machine's widest vectors: its body is always inlined, which that of a closure
/// may not be.
pub trait Function<T>: Copy + Sync {
    /// The function.
    fn of(self, x: T) -> T;
}

/// [`Function`]s: `name(field: type, ...), |self, x| body;`
macro_rules! functions {
    ($($(#[$meta:meta])* $name:ident $(($field:ident))?, |$x:ident| $body:expr;)*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name<T> {
                $(
                    /// What the function is made with.
                    pub $field: T,
                )?
                of: std::marker::PhantomData<T>,
            }

            impl<T> $name<T> {
                /// The function.
                pub fn make($($field: T)?) -> Self {
                    Self { $($field,)? of: std::marker::PhantomData }
                }
            }

            impl<T: Real> Function<T> for $name<T> {
                #[inline(always)]
                fn of(self, $x: T) -> T {
                    $(let $field = self.$field;)?
                    $body
                }
            }
        )*
    };
}

functions! {
    /// e to the power x.
    Exp, |x| x.exp();
    /// The hyperbolic tangent.
    Tanh, |x| x.tanh();
    /// 1 / (1 + exp(-x)). The exponential of a negative number never overflows.
    Sigmoid, |x| {
        let e = (-x.abs()).exp();
        let numerator = if x >= T::ZERO { T::ONE } else { e };
        // A NaN is neither, and stays.
        numerator / (T::ONE + e)
    };
    /// x where positive, `slope` times x elsewhere; a NaN stays.
    LeakyRelu(slope), |x| if x <= T::ZERO { x * slope } else { x };
    /// x where positive, 0 elsewhere; a NaN stays.
    Relu, |x| if x <= T::ZERO { T::ZERO } else { x };
    /// x times `factor`.
    Scale(factor), |x| x * factor;
}

/// A [`Function`] of each value.
pub fn apply<T: Real, F: Function<T>>(x: &[T], f: F) -> Vec<T> {
    build(x.len(), CHUNK, |start, out| {
        let n = out.len();
        apply_to(f, &x[start..start + n], out);
    })
}

multiversion! {
    fn apply_to[T: Real, F: Function<T>](f: F, x: &[T], out: &mut [MaybeUninit<T>]) {
        for (out, x) in out.iter_mut().zip(x) {
            out.write(f.of(*x));
        }
    }
}

/// `g` where `y` is positive, `slope` times `g` elsewhere; `g` broadcasts to `y`'s shape.
pub fn slope_where_negative<T: Real>(g: &[T], g_dims: &[usize], y: &[T], dims: &[usize], slope: T) -> Vec<T> {
    if g.len() == 1 && y.len() > 1 {
        return build(y.len(), CHUNK, |start, out| {
            let end = start + out.len();
            slopes_of_one(g[0], &y[start..end], slope, out);
        });
    }
    if g.len() < y.len() {
        return slope_where_negative(&expand(g, g_dims, dims), dims, y, dims, slope);
    }
    build(g.len(), CHUNK, |start, out| {
        let end = start + out.len();
        slopes(&g[start..end], &y[start..end], slope, out);
    })
}

multiversion! {
    fn slopes_of_one[T: Real](g: T, y: &[T], slope: T, out: &mut [MaybeUninit<T>]) {
        let sloped = g * slope;
        for (out, &y) in out.iter_mut().zip(y) {
            out.write(if y > T::ZERO { g } else { sloped });
        }
    }
}

multiversion! {
    fn slopes[T: Real](g: &[T], y: &[T], slope: T, out: &mut [MaybeUninit<T>]) {
        for ((out, &g), &y) in out.iter_mut().zip(g).zip(y) {
            let sloped = g * slope;
            out.write(if y > T::ZERO { g } else { sloped });
        }
    }
}

/// `f` of each value.
pub fn map<T: Copy + Sync, U: Send>(x: &[T], f: impl Fn(T) -> U + Sync) -> Vec<U> {
    build(x.len(), CHUNK, |start, out| {
        for (out, x) in out.iter_mut().zip(&x[start..]) {
            out.write(f(*x));
        }
    })
}

/// `f` of each pair of values at the same place.
pub fn zip<T: Copy + Sync, U: Send>(a: &[T], b: &[T], f: impl Fn(T, T) -> U + Sync) -> Vec<U> {
    build(a.len(), CHUNK, |start, out| {
        for ((out, a), b) in out.iter_mut().zip(&a[start..]).zip(&b[start..]) {
            out.write(f(*a, *b));
        }
    })
}

/// `f` of each pair of values after broadcasting both to `dims`; `a_dims` and `b_dims` are padded with ones on the left.
pub fn broadcast<T: Copy + Sync, U: Copy + Send>(
    a: &[T],
    a_dims: &[usize],
    b: &[T],
    b_dims: &[usize],
    dims: &[usize],
    f: impl Fn(T, T) -> U + Sync,
) -> Vec<U> {
    let n: usize = dims.iter().product();
    if n == 0 {
        return Vec::new();
    }
    if a.len() == n && b.len() == n {
        return zip(a, b, f);
    }
    let plan = Plan::new(&strides(a_dims, dims), &strides(b_dims, dims), dims);
    let inner = plan.dims.last().copied().unwrap_or(1);
    let (a_step, b_step) = (plan.a.last().copied().unwrap_or(0), plan.b.last().copied().unwrap_or(0));
    let rows_at_a_time = (CHUNK / inner).max(1);
    build(n, rows_at_a_time * inner, |start, out| {
        for (i, out) in out.chunks_mut(inner).enumerate() {
            let (a0, b0) = plan.row(start / inner + i);
            match (a_step, b_step) {
                (1, 1) => {
                    for ((out, a), b) in out.iter_mut().zip(&a[a0..]).zip(&b[b0..]) {
                        out.write(f(*a, *b));
                    }
                }
                (1, 0) => {
                    let b = b[b0];
                    for (out, a) in out.iter_mut().zip(&a[a0..]) {
                        out.write(f(*a, b));
                    }
                }
                (0, 1) => {
                    let a = a[a0];
                    for (out, b) in out.iter_mut().zip(&b[b0..]) {
                        out.write(f(a, *b));
                    }
                }
                (0, 0) => {
                    let v = f(a[a0], b[b0]);
                    for out in out {
                        out.write(v);
                    }
                }
                _ => {
                    for (j, out) in out.iter_mut().enumerate() {
                        out.write(f(a[a0 + j * a_step], b[b0 + j * b_step]));
                    }
                }
            }
        }
    })
}

/// `x` of shape `x_dims` broadcast to `dims`.
pub fn expand<T: Copy + Sync + Send>(x: &[T], x_dims: &[usize], dims: &[usize]) -> Vec<T> {
    broadcast(x, x_dims, x, x_dims, dims, |x, _| x)
}

/// The step through memory along each dimension of `dims`; 0 where `own` is broadcast.
fn strides(own: &[usize], dims: &[usize]) -> Vec<usize> {
    let mut out = vec![0; dims.len()];
    let mut step = 1;
    for (i, d) in own.iter().enumerate().rev() {
        if *d != 1 {
            out[dims.len() - own.len() + i] = step;
        }
        step *= d;
    }
    out
}

/// Two strided walks over the same shape, with dimensions merged where both allow it.
struct Plan {
    dims: Vec<usize>,
    a: Vec<usize>,
    b: Vec<usize>,
}

impl Plan {
    fn new(a: &[usize], b: &[usize], dims: &[usize]) -> Self {
        let mut plan = Plan { dims: Vec::new(), a: Vec::new(), b: Vec::new() };
        for ((&d, &a), &b) in dims.iter().zip(a).zip(b).filter(|((d, _), _)| **d != 1) {
            match (plan.dims.last_mut(), plan.a.last_mut(), plan.b.last_mut()) {
                (Some(last), Some(last_a), Some(last_b)) if *last_a == a * d && *last_b == b * d => {
                    *last *= d;
                    (*last_a, *last_b) = (a, b);
                }
                _ => {
                    plan.dims.push(d);
                    plan.a.push(a);
                    plan.b.push(b);
                }
            }
        }
        plan
    }

    /// Where row `row` (all dimensions but the last) begins in `a` and in `b`.
    fn row(&self, mut row: usize) -> (usize, usize) {
        let (mut a, mut b) = (0, 0);
        for i in (0..self.dims.len().saturating_sub(1)).rev() {
            let at = row % self.dims[i];
            row /= self.dims[i];
            a += at * self.a[i];
            b += at * self.b[i];
        }
        (a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        let a: Vec<i32> = (0..6).collect();
        assert_eq!(broadcast(&a, &[2, 3], &[10, 20, 30], &[3], &[2, 3], |a, b| a + b), [10, 21, 32, 13, 24, 35]);
        assert_eq!(
            broadcast(&[1, 2], &[2, 1], &[10, 20, 30], &[1, 3], &[2, 3], |a, b| a * b),
            [10, 20, 30, 20, 40, 60]
        );
        assert_eq!(expand(&[1, 2], &[2, 1, 1], &[2, 2, 2]), [1, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(expand(&[5], &[], &[3]), [5, 5, 5]);
        let per_channel = broadcast(&[0; 12], &[2, 3, 2, 1], &[1, 2, 3], &[1, 3, 1, 1], &[2, 3, 2, 1], |a, b| a + b);
        assert_eq!(per_channel, [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn long_vectors_are_whole() {
        let x: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
        assert!(map(&x, |v| v + 1.0).iter().enumerate().all(|(i, v)| *v == i as f32 + 1.0));
        let rows = broadcast(&x, &[1000, 100], &[1.0; 1000], &[1000, 1], &[1000, 100], |a, b| a + b);
        assert!(rows.iter().enumerate().all(|(i, v)| *v == i as f32 + 1.0));
    }
}
