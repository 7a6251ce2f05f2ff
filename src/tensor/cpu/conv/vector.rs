//! Vectors of floats: what the inner loops are written in, once, for every instruction set.
#![allow(unsafe_code)] // Intrinsics and raw pointers: bounds were settled when the plan was made.

use super::super::real::Real;

/// A vector of `LANES` floats.
///
/// # Safety
/// Every method needs the instructions of its implementor, and pointers to as many elements as it says.
/// Lanes that a method names as left out are not touched in memory.
pub trait Vector: Copy {
    /// The float in each lane.
    type Elem: Real;
    /// How many floats.
    const LANES: usize;

    /// The same value in each lane.
    unsafe fn splat(value: Self::Elem) -> Self;
    /// `LANES` elements.
    unsafe fn load(from: *const Self::Elem) -> Self;
    /// Lanes `lo..hi` from `from[lo..hi]`, and 0 in the others.
    unsafe fn load_range(from: *const Self::Elem, lo: usize, hi: usize) -> Self;
    /// Lanes `lo..hi` from `from[2 * lo], from[2 * lo + 2], ...`, and 0 in the others.
    unsafe fn load_range_by_two(from: *const Self::Elem, lo: usize, hi: usize) -> Self;
    /// Lanes `lo..hi` from `from[step * lo], from[step * (lo + 1)], ...`, and 0 in the others.
    unsafe fn load_range_by(from: *const Self::Elem, step: usize, lo: usize, hi: usize) -> Self;
    /// Writes `LANES` elements.
    unsafe fn store(self, to: *mut Self::Elem);
    /// Writes the first `count` lanes.
    unsafe fn store_first(self, to: *mut Self::Elem, count: usize);
    /// Every second of the lanes of both, from the first of `self` on, or from the second if `odd`.
    unsafe fn by_two(self, after: Self, odd: bool) -> Self;
    /// Each lane's neighbour, and in the last lane any number that is there.
    unsafe fn next(self) -> Self;
    /// `self * factor + sum`.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// The larger of each pair; what is NaN in `self` stays so.
    unsafe fn at_least(self, other: Self) -> Self;
    /// Writes the transpose of a block of `rows` by `columns` elements (each at most `LANES`): element `(r, c)`,
    /// read from `from[r * stride + c]`, goes to `to[c * pitch + r]`. Of each of the `columns` rows of `to`, elements
    /// from `rows` to `LANES` become 0, or are left alone if `trim`.
    unsafe fn transpose(
        from: *const Self::Elem,
        stride: usize,
        rows: usize,
        columns: usize,
        to: *mut Self::Elem,
        pitch: usize,
        trim: bool,
    );
}

/// An array that the compiler makes vectors of, if it can.
#[derive(Clone, Copy)]
pub struct Plain<T, const N: usize>([T; N]);

// SAFETY of every block below: the trait's contract.
impl<T: Real, const N: usize> Vector for Plain<T, N> {
    type Elem = T;
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn splat(value: T) -> Self {
        Self([value; N])
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller gives `N` elements; an array of them needs no more alignment than one.
        Self(unsafe { *from.cast::<[T; N]>() })
    }
    #[inline(always)]
    unsafe fn load_range(from: *const T, lo: usize, hi: usize) -> Self {
        let mut lanes = [T::ZERO; N];
        for (i, lane) in lanes.iter_mut().enumerate().take(hi).skip(lo) {
            // SAFETY: `i` is in `lo..hi`.
            *lane = unsafe { *from.wrapping_add(i) };
        }
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn load_range_by_two(from: *const T, lo: usize, hi: usize) -> Self {
        // SAFETY: the same contract.
        unsafe { Self::load_range_by(from, 2, lo, hi) }
    }
    #[inline(always)]
    unsafe fn load_range_by(from: *const T, step: usize, lo: usize, hi: usize) -> Self {
        let mut lanes = [T::ZERO; N];
        for (i, lane) in lanes.iter_mut().enumerate().take(hi).skip(lo) {
            // SAFETY: `i` is in `lo..hi`.
            *lane = unsafe { *from.wrapping_add(step * i) };
        }
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller gives `N` elements.
        unsafe { *to.cast::<[T; N]>() = self.0 }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut T, count: usize) {
        for (i, &lane) in self.0.iter().enumerate().take(count) {
            // SAFETY: `i < count`.
            unsafe { *to.add(i) = lane }
        }
    }
    #[inline(always)]
    unsafe fn by_two(self, after: Self, odd: bool) -> Self {
        let lane = |i: usize| if i < N { self.0[i] } else { after.0[i - N] };
        Self(std::array::from_fn(|i| lane(2 * i + usize::from(odd))))
    }
    #[inline(always)]
    unsafe fn next(self) -> Self {
        Self(std::array::from_fn(|i| self.0[(i + 1).min(N - 1)]))
    }
    #[inline(always)]
    unsafe fn mul_add(mut self, factor: Self, sum: Self) -> Self {
        for i in 0..N {
            self.0[i] = self.0[i] * factor.0[i] + sum.0[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] += other.0[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn sub(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] -= other.0[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn at_least(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] = if self.0[i] <= other.0[i] { other.0[i] } else { self.0[i] };
        }
        self
    }
    #[inline(always)]
    unsafe fn mul(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] *= other.0[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn transpose(
        from: *const T,
        stride: usize,
        rows: usize,
        columns: usize,
        to: *mut T,
        pitch: usize,
        trim: bool,
    ) {
        for c in 0..columns {
            for r in 0..if trim { rows } else { N } {
                // SAFETY: `(r, c)` lies in the caller's block, and `N` elements follow each row of `to`.
                unsafe { *to.add(c * pitch + r) = if r < rows { *from.add(r * stride + c) } else { T::ZERO } }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// Bits `lo..hi` set.
    #[inline(always)]
    fn bits(lo: usize, hi: usize) -> u32 {
        let below = |n: usize| ((1u64 << n) - 1) as u32;
        if hi <= lo { 0 } else { below(hi) & !below(lo) }
    }

    // SAFETY of every block below: the trait's contract.
    impl Vector for __m512 {
        type Elem = f32;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn load_range(from: *const f32, lo: usize, hi: usize) -> Self {
            unsafe { _mm512_maskz_loadu_ps(bits(lo, hi) as u16, from) }
        }
        #[inline(always)]
        unsafe fn load_range_by_two(from: *const f32, lo: usize, hi: usize) -> Self {
            let mask = if hi > lo { bits(2 * lo, 2 * hi - 1) } else { 0 };
            unsafe {
                let low = _mm512_maskz_loadu_ps(mask as u16, from);
                let high = _mm512_maskz_loadu_ps((mask >> 16) as u16, from.wrapping_add(16));
                low.by_two(high, false)
            }
        }
        #[inline(always)]
        unsafe fn load_range_by(from: *const f32, step: usize, lo: usize, hi: usize) -> Self {
            let mut lanes = [0f32; 16];
            for (i, lane) in lanes.iter_mut().enumerate() {
                if i >= lo && i < hi {
                    *lane = unsafe { *from.wrapping_add(step * i) };
                }
            }
            unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, bits(0, count) as u16, self) }
        }
        #[inline(always)]
        unsafe fn by_two(self, after: Self, odd: bool) -> Self {
            unsafe {
                let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
                let places = if odd { _mm512_add_epi32(even, _mm512_set1_epi32(1)) } else { even };
                _mm512_permutex2var_ps(self, places, after)
            }
        }
        #[inline(always)]
        unsafe fn next(self) -> Self {
            unsafe {
                let lanes = _mm512_castps_si512(self);
                _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(lanes, lanes))
            }
        }
        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            unsafe { _mm512_fmadd_ps(self, factor, sum) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm512_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { _mm512_sub_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn at_least(self, other: Self) -> Self {
            // Of a pair with a NaN the instruction gives the second.
            unsafe { _mm512_max_ps(other, self) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            unsafe { _mm512_mul_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn transpose(
            from: *const f32,
            stride: usize,
            rows: usize,
            columns: usize,
            to: *mut f32,
            pitch: usize,
            trim: bool,
        ) {
            unsafe {
                let mut a = [_mm512_setzero_ps(); 16];
                let mask = bits(0, columns) as u16;
                unrolled!(r in 0..16 of 16 {
                    if r < rows {
                        a[r] = _mm512_maskz_loadu_ps(mask, from.add(r * stride));
                    }
                });
                // Pairs of rows, then quadruples within each 128-bit quarter.
                let mut b = a;
                unrolled!(k in 0..8 of 8 {
                    b[2 * k] = _mm512_unpacklo_ps(a[2 * k], a[2 * k + 1]);
                    b[2 * k + 1] = _mm512_unpackhi_ps(a[2 * k], a[2 * k + 1]);
                });
                unrolled!(k in 0..4 of 4 {
                    unrolled!(half in 0..2 of 2 {
                        let low = _mm512_castps_pd(b[4 * k + half]);
                        let high = _mm512_castps_pd(b[4 * k + 2 + half]);
                        a[4 * k + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
                        a[4 * k + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
                    });
                });
                // `a[4 k + c]` holds column `4 q + c` of rows `4 k..4 k + 4` in its quarter `q`.
                unrolled!(c in 0..4 of 4 {
                    let t0 = _mm512_shuffle_f32x4::<0x88>(a[c], a[4 + c]);
                    let t1 = _mm512_shuffle_f32x4::<0xdd>(a[c], a[4 + c]);
                    let t2 = _mm512_shuffle_f32x4::<0x88>(a[8 + c], a[12 + c]);
                    let t3 = _mm512_shuffle_f32x4::<0xdd>(a[8 + c], a[12 + c]);
                    b[c] = _mm512_shuffle_f32x4::<0x88>(t0, t2);
                    b[8 + c] = _mm512_shuffle_f32x4::<0xdd>(t0, t2);
                    b[4 + c] = _mm512_shuffle_f32x4::<0x88>(t1, t3);
                    b[12 + c] = _mm512_shuffle_f32x4::<0xdd>(t1, t3);
                });
                let lanes = bits(0, if trim { rows } else { 16 }) as u16;
                unrolled!(c in 0..16 of 16 {
                    if c < columns {
                        _mm512_mask_storeu_ps(to.add(c * pitch), lanes, b[c]);
                    }
                });
            }
        }
    }

    /// The first `hi` lanes less the first `lo`, as a mask of sign bits.
    #[inline(always)]
    unsafe fn mask(lo: usize, hi: usize) -> __m256i {
        // SAFETY: needs AVX2, as the trait's methods do.
        unsafe {
            let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let below = _mm256_cmpgt_epi32(_mm256_set1_epi32(hi as i32), lane);
            let above = _mm256_cmpgt_epi32(_mm256_set1_epi32(lo as i32), lane);
            _mm256_andnot_si256(above, below)
        }
    }

    // SAFETY of every block below: the trait's contract.
    impl Vector for __m256 {
        type Elem = f32;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn load_range(from: *const f32, lo: usize, hi: usize) -> Self {
            unsafe { _mm256_maskload_ps(from, mask(lo, hi)) }
        }
        #[inline(always)]
        unsafe fn load_range_by_two(from: *const f32, lo: usize, hi: usize) -> Self {
            let (from_lane, to_lane) = (2 * lo, if hi > lo { 2 * hi - 1 } else { 2 * lo });
            unsafe {
                let low = _mm256_maskload_ps(from, mask(from_lane, to_lane));
                let high = _mm256_maskload_ps(
                    from.wrapping_add(8),
                    mask(from_lane.saturating_sub(8), to_lane.saturating_sub(8)),
                );
                low.by_two(high, false)
            }
        }
        #[inline(always)]
        unsafe fn load_range_by(from: *const f32, step: usize, lo: usize, hi: usize) -> Self {
            let mut lanes = [0f32; 8];
            for (i, lane) in lanes.iter_mut().enumerate() {
                if i >= lo && i < hi {
                    *lane = unsafe { *from.wrapping_add(step * i) };
                }
            }
            unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe {
                if count >= 8 { _mm256_storeu_ps(to, self) } else { _mm256_maskstore_ps(to, mask(0, count), self) }
            }
        }
        #[inline(always)]
        unsafe fn by_two(self, after: Self, odd: bool) -> Self {
            unsafe {
                let mixed =
                    if odd { _mm256_shuffle_ps::<0xdd>(self, after) } else { _mm256_shuffle_ps::<0x88>(self, after) };
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(mixed)))
            }
        }
        #[inline(always)]
        unsafe fn next(self) -> Self {
            unsafe { _mm256_permutevar8x32_ps(self, _mm256_set_epi32(7, 7, 6, 5, 4, 3, 2, 1)) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            unsafe { _mm256_fmadd_ps(self, factor, sum) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm256_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { _mm256_sub_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn at_least(self, other: Self) -> Self {
            unsafe { _mm256_max_ps(other, self) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            unsafe { _mm256_mul_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn transpose(
            from: *const f32,
            stride: usize,
            rows: usize,
            columns: usize,
            to: *mut f32,
            pitch: usize,
            trim: bool,
        ) {
            unsafe {
                let mut a = [_mm256_setzero_ps(); 8];
                let chosen = mask(0, columns);
                unrolled!(r in 0..8 of 8 {
                    if r < rows {
                        a[r] = _mm256_maskload_ps(from.add(r * stride), chosen);
                    }
                });
                let mut b = a;
                unrolled!(k in 0..4 of 4 {
                    b[2 * k] = _mm256_unpacklo_ps(a[2 * k], a[2 * k + 1]);
                    b[2 * k + 1] = _mm256_unpackhi_ps(a[2 * k], a[2 * k + 1]);
                });
                unrolled!(k in 0..2 of 2 {
                    unrolled!(half in 0..2 of 2 {
                        let (low, high) = (b[4 * k + half], b[4 * k + 2 + half]);
                        a[4 * k + 2 * half] = _mm256_shuffle_ps::<0x44>(low, high);
                        a[4 * k + 2 * half + 1] = _mm256_shuffle_ps::<0xee>(low, high);
                    });
                });
                unrolled!(c in 0..4 of 4 {
                    b[c] = _mm256_permute2f128_ps::<0x20>(a[c], a[4 + c]);
                    b[4 + c] = _mm256_permute2f128_ps::<0x31>(a[c], a[4 + c]);
                });
                let lanes = if trim { rows } else { 8 };
                unrolled!(c in 0..8 of 8 {
                    if c < columns {
                        b[c].store_first(to.add(c * pitch), lanes);
                    }
                });
            }
        }
    }
}
