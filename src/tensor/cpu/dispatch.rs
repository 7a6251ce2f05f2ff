//! Which instructions this machine has, asked once, and one loop compiled for each of them.

use std::sync::OnceLock;

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors with fused multiply-add (x86-64-v4).
    Avx512,
    /// 256-bit vectors with fused multiply-add (x86-64-v3).
    Avx2,
    /// What the target guarantees, on every architecture.
    Portable,
}

impl Isa {
    /// Every set that this machine can run, best first; the last is always [`Isa::Portable`].
    pub fn available() -> &'static [Isa] {
        static AVAILABLE: OnceLock<Vec<Isa>> = OnceLock::new();
        AVAILABLE.get_or_init(detect)
    }

    /// The best set that this machine can run.
    #[inline]
    pub fn best() -> Isa {
        Isa::available()[0]
    }
}

fn detect() -> Vec<Isa> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
        {
            found.push(Isa::Avx512);
        }
        if avx2 {
            found.push(Isa::Avx2);
        }
    }
    found.push(Isa::Portable);
    found
}

/// Compiles one function body for AVX-512, for AVX2 and for the target's baseline, and picks the best at each call.
///
/// Generic parameters stand in square brackets, and each must appear in the type of an argument. Functions that
/// the body calls are compiled with it only when they are `#[inline(always)]`. A name before the function, `|fused|`, is true
/// in the body where a product and a sum are one instruction, and known when it is compiled.
///
/// ```ignore
/// multiversion! {
///     /// `out = x * scale`.
///     pub fn scale[T: Real](x: &[T], scale: T, out: &mut [T]) {
///         for (o, &v) in out.iter_mut().zip(x) {
///             *o = v * scale;
///         }
///     }
/// }
/// ```
macro_rules! multiversion {
    (
        $(|$fused:ident|)?
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $([$($generics:tt)*])? ($($arg:ident : $type:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $(#[$meta])*
        #[allow(unsafe_code)]
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($generics)*>)? ($($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body $(<$($generics)*>)? ($($fused: bool,)? $($arg: $type),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512 $(<$($generics)*>)? ($($arg: $type),*) $(-> $ret)? {
                body($({ let $fused = true; $fused },)? $($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$($generics)*>)? ($($arg: $type),*) $(-> $ret)? {
                body($({ let $fused = true; $fused },)? $($arg),*)
            }

            match $crate::tensor::cpu::dispatch::Isa::best() {
                // SAFETY: `Isa::best` names only instructions that this machine has.
                #[cfg(target_arch = "x86_64")]
                $crate::tensor::cpu::dispatch::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::tensor::cpu::dispatch::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($({ let $fused = false; $fused },)? $($arg),*),
            }
        }
    };
}

pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::cpu::real::Real;

    multiversion! {
        fn scale[T: Real](x: &[T], factor: T, out: &mut [T]) {
            for (o, &v) in out.iter_mut().zip(x) {
                *o = v * factor;
            }
        }
    }

    multiversion! {
        |fused|
        fn is_fused() -> bool {
            fused
        }
    }

    #[test]
    fn a_body_knows_whether_products_and_sums_are_fused() {
        assert_eq!(is_fused(), Isa::best() != Isa::Portable);
    }

    #[test]
    fn a_multiversioned_function_computes_its_body() {
        let mut out = [0.0f64; 3];
        scale(&[1.0, 2.0, 3.0], 2.0, &mut out);
        assert_eq!(out, [2.0, 4.0, 6.0]);
    }

    #[test]
    fn portable_is_always_the_last_resort() {
        assert_eq!(Isa::available().last(), Some(&Isa::Portable));
    }
}
