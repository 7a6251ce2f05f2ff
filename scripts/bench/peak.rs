//! The machine's arithmetic limit: 10^9 multiplications and additions of f32 a second that vectors in registers reach on some
//! threads at a time. `rustc -O peak.rs && ./peak 2`

use std::time::Instant;

/// Sums that keep two units of a latency of four busy, and more.
const SUMS: usize = 16;
const ROUNDS: usize = 200_000;

macro_rules! busy {
    ($name:ident, $features:literal, $lanes:literal, $set:ident, $fma:ident, $store:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name() -> (f32, usize) {
            use std::arch::x86_64::{$fma, $set, $store};
            let mut sums: [_; SUMS] = std::array::from_fn(|i| $set(i as f32 + 1.0));
            let (factor, term) = ($set(0.999), $set(0.001));
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = $fma(*sum, factor, term);
                }
            }
            let mut out = [0f32; $lanes];
            let mut total = 0.0;
            for sum in sums {
                unsafe { $store(out.as_mut_ptr(), sum) };
                total += out[0];
            }
            (total, 2 * $lanes * SUMS * ROUNDS)
        }
    };
}

busy!(avx512, "avx512f", 16, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps);
busy!(avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps);

/// Elsewhere: what the compiler makes of four lanes.
fn plain() -> (f32, usize) {
    let mut sums: [_; SUMS] = std::array::from_fn(|i| [i as f32; 4]);
    for _ in 0..ROUNDS {
        for lanes in &mut sums {
            for sum in lanes {
                *sum = *sum * 0.999 + 0.001;
            }
        }
    }
    (sums.iter().flatten().sum(), 2 * 4 * SUMS * ROUNDS)
}

fn busy() -> (f32, usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return unsafe { avx512() };
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return unsafe { avx2() };
    }
    plain()
}

fn main() {
    let threads: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1);
    let mut best = 0f64;
    for _ in 0..100 {
        let start = Instant::now();
        let work: usize = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| std::hint::black_box(busy()).1)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        best = best.max(work as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    println!("{best:.0}");
}
