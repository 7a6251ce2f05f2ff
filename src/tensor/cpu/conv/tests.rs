use super::*;
use proptest::prelude::*;

/// Repeatable numbers in -1..1, small multiples of 1/8 so that sums in `f32` are exact.
fn numbers(len: usize, salt: usize) -> Vec<f64> {
    (0..len).map(|i| (((i + salt * 977) * 7919 + i * i * 31) % 17) as f64 / 8.0 - 1.0).collect()
}

struct Naive {
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

fn naive(x: &[f64], w: &[f64], bias: &[f64], g: &[f64], c: &Conv) -> Naive {
    let (oh, ow) = (c.out_h(), c.out_w());
    let mut y = vec![0.0; c.n * c.co * oh * ow];
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; w.len()];
    for n in 0..c.n {
        for (o, &bias) in bias.iter().enumerate() {
            for oy in 0..oh {
                for ox in 0..ow {
                    let out = ((n * c.co + o) * oh + oy) * ow + ox;
                    y[out] = bias;
                    for i in 0..c.ci {
                        for ky in 0..c.kh {
                            for kx in 0..c.kw {
                                let iy = (oy * c.stride[0] + ky) as isize - c.pad[0] as isize;
                                let ix = (ox * c.stride[1] + kx) as isize - c.pad[2] as isize;
                                if iy < 0 || ix < 0 || iy >= c.h as isize || ix >= c.w as isize {
                                    continue;
                                }
                                let at = ((n * c.ci + i) * c.h + iy as usize) * c.w + ix as usize;
                                let tap = ((o * c.ci + i) * c.kh + ky) * c.kw + kx;
                                y[out] += x[at] * w[tap];
                                dx[at] += g[out] * w[tap];
                                dw[tap] += x[at] * g[out];
                            }
                        }
                    }
                }
            }
        }
    }
    Naive { y, dx, dw }
}

fn single(v: &[f64]) -> Vec<f32> {
    v.iter().map(|&v| v as f32).collect()
}

fn double(v: &[f32]) -> Vec<f64> {
    v.iter().map(|&v| f64::from(v)).collect()
}

/// All three passes on every instruction set, in both precisions, equal the naive loop exactly.
fn check(c: &Conv) {
    let x = numbers(c.n * c.ci * c.h * c.w, 1);
    let w = numbers(c.co * c.ci * c.kh * c.kw, 2);
    let bias = numbers(c.co, 3);
    let g = numbers(c.n * c.co * c.out_h() * c.out_w(), 4);
    let of_input = numbers(c.ci, 5);
    let expected = naive(&x, &w, &bias, &g, c);
    let transposed: Vec<f64> =
        (expected.dx.iter().enumerate()).map(|(i, dx)| dx + of_input[i / (c.h * c.w) % c.ci]).collect();
    let (x32, w32, b32, g32, i32) = (single(&x), single(&w), single(&bias), single(&g), single(&of_input));
    for &isa in Isa::available() {
        let forward = |least| double(&forward_on(isa, &x32, &w32, Some(&b32), least, c));
        assert_eq!(forward(f32::NEG_INFINITY), expected.y, "forward, {isa:?}, {c:?}");
        let positive: Vec<f64> = expected.y.iter().map(|y| y.max(0.0)).collect();
        assert_eq!(forward(0.0), positive, "forward and ReLU, {isa:?}, {c:?}");
        assert_eq!(double(&backward_data_on(isa, &g32, &w32, None, c)), expected.dx, "backward_data, {isa:?}, {c:?}");
        let biased = backward_data_on(isa, &g32, &w32, Some(&i32), c);
        assert_eq!(double(&biased), transposed, "transposed and bias, {isa:?}, {c:?}");
        assert_eq!(double(&backward_weight_on(isa, &x32, &g32, c)), expected.dw, "backward_weight, {isa:?}, {c:?}");
        assert_eq!(
            forward_on(isa, &x, &w, Some(&bias), f64::NEG_INFINITY, c),
            expected.y,
            "forward in f64, {isa:?}, {c:?}"
        );
        assert_eq!(backward_data_on(isa, &g, &w, None, c), expected.dx, "backward_data in f64, {isa:?}, {c:?}");
        assert_eq!(backward_weight_on(isa, &x, &g, c), expected.dw, "backward_weight in f64, {isa:?}, {c:?}");
    }
}

fn square(n: usize, ci: usize, size: usize, co: usize, kernel: usize, stride: usize, pad: usize) -> Conv {
    Conv { n, ci, h: size, w: size, co, kh: kernel, kw: kernel, stride: [stride; 2], pad: [pad; 4] }
}

#[test]
fn shapes_of_the_networks_we_train() {
    for c in [
        square(2, 3, 32, 16, 3, 1, 1),
        square(2, 8, 32, 3, 3, 1, 1),
        square(3, 1, 28, 9, 5, 1, 2),
        square(2, 5, 28, 1, 3, 1, 1),
        square(5, 8, 14, 20, 3, 1, 1),
        square(7, 4, 7, 33, 3, 1, 1),
        square(9, 13, 4, 17, 3, 1, 1),
        square(6, 6, 8, 12, 3, 1, 1),
        square(3, 6, 16, 40, 4, 2, 1),
        square(3, 6, 14, 8, 5, 2, 2),
        square(4, 8, 1, 8, 4, 1, 3),
        square(3, 24, 8, 8, 1, 1, 0),
        square(5, 300, 7, 40, 1, 1, 0),
        square(2, 140, 13, 35, 1, 1, 0),
        square(3, 9, 15, 20, 1, 1, 0),
        square(3, 9, 7, 40, 1, 1, 0),
        square(2, 1, 2, 4, 1, 1, 0),
        square(2, 4, 9, 8, 1, 2, 0),
        square(2, 4, 11, 5, 3, 3, 1),
        Conv { n: 1, ci: 3, h: 17, w: 17, co: 5, kh: 1, kw: 7, stride: [1, 1], pad: [0, 0, 3, 3] },
        Conv { n: 2, ci: 3, h: 15, w: 13, co: 5, kh: 3, kw: 3, stride: [2, 2], pad: [0, 1, 0, 1] },
    ] {
        check(&c);
    }
}

#[test]
fn large_shapes_that_are_cut_into_bands_and_tiles() {
    for c in [square(1, 100, 28, 70, 3, 1, 1), square(1, 130, 32, 8, 3, 1, 1), square(1, 8, 64, 8, 4, 2, 1)] {
        check(&c);
    }
}

fn shapes() -> impl Strategy<Value = Conv> {
    let sizes = prop_oneof![1usize..20, Just(28), Just(14), Just(7), Just(16)];
    let channels = prop_oneof![1usize..6, 7usize..36];
    (
        (1usize..5, channels.clone(), sizes.clone(), sizes, channels),
        (1usize..6, 1usize..8, 1usize..4, 1usize..4),
        (0usize..5, 0usize..5, 0usize..5, 0usize..5),
    )
        .prop_map(|((n, ci, h, w, co), (kh, kw, sh, sw), (top, bottom, left, right))| Conv {
            n,
            ci,
            h,
            w,
            co,
            kh,
            kw,
            stride: [sh, sw],
            pad: [top, bottom, left, right],
        })
        .prop_filter("the kernel fits the padded input", |c| {
            c.h + c.pad[0] + c.pad[1] >= c.kh && c.w + c.pad[2] + c.pad[3] >= c.kw
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_equals_the_naive_loop(c in shapes()) {
        check(&c);
    }
}

/// Calls `f` with the values where memory ends: reading past the last of them is a fault.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // A page that cannot be read is the point of it.
fn where_memory_ends<R>(values: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
    const PAGE: usize = 4096;
    let bytes = size_of_val(values).next_multiple_of(PAGE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: fresh pages of which the last is closed; the values end where it starts, and are dropped before the pages.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), bytes + PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert!(start != libc::MAP_FAILED);
        assert_eq!(libc::mprotect(start.byte_add(bytes), PAGE, libc::PROT_NONE), 0);
        let first = start.byte_add(bytes).cast::<f32>().sub(values.len());
        std::ptr::copy_nonoverlapping(values.as_ptr(), first, values.len());
        let result = f(std::slice::from_raw_parts(first, values.len()));
        libc::munmap(start, bytes + PAGE);
        result
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_read_past_the_last_value() {
    let mut shapes = vec![Conv { n: 1, ci: 3, h: 17, w: 17, co: 5, kh: 1, kw: 7, stride: [1, 1], pad: [0, 0, 3, 3] }];
    for co in [1, 4, 20, 40] {
        for (n, ci, size) in [(1, 1, 1), (2, 1, 2), (3, 2, 3), (2, 5, 7), (5, 13, 9), (2, 300, 7), (2, 140, 13)] {
            shapes.push(square(n, ci, size, co, 1, 1, 0));
            shapes.push(square(n, ci, size, co, 3, 1, 1));
            shapes.push(square(n, ci, size, co, 3, 2, 1));
        }
    }
    for c in shapes {
        let x = single(&numbers(c.n * c.ci * c.h * c.w, 1));
        let w = single(&numbers(c.co * c.ci * c.kh * c.kw, 2));
        let g = single(&numbers(c.n * c.co * c.out_h() * c.out_w(), 4));
        let all = |x: &[f32], w: &[f32], g: &[f32]| {
            (forward(x, w, None, 0.0, &c), backward_data(g, w, None, &c), backward_weight(x, g, &c))
        };
        let ours = where_memory_ends(&x, |x| where_memory_ends(&w, |w| where_memory_ends(&g, |g| all(x, w, g))));
        assert!(ours == all(&x, &w, &g), "{c:?}");
    }
}

#[test]
fn joined_convolutions_are_what_each_is_alone() {
    // By Winograd's way, along pixels, along channels, in several passes of channels, and of single pixels from few and from many.
    for (h, ci) in [(9, 20), (3, 300), (12, 40)] {
        let kinds = [(40, 3), (9, 3), (33, 5), (7, 1), (50, 1), (16, 1)];
        let convs = kinds.map(|(co, k)| square(5, ci, h, co, k, 1, k / 2));
        let x = single(&numbers(5 * ci * h * h, 1));
        let weights = convs.map(|c| single(&numbers(c.co * ci * c.kh * c.kw, c.co)));
        let biases = convs.map(|c| single(&numbers(c.co, 3 * c.co)));
        let parts: Vec<_> = (0..6).map(|k| Part { x: &x, w: &weights[k], bias: &biases[k], conv: convs[k] }).collect();
        let mut joined = forward_joined(&parts, 0.0).into_iter();
        let alone: Vec<_> = parts.iter().map(|p| forward(p.x, p.w, Some(p.bias), 0.0, &p.conv)).collect();
        for image in 0..5 {
            for (part, alone) in parts.iter().zip(&alone) {
                let len = part.conv.co * h * h;
                let found: Vec<f32> = joined.by_ref().take(len).collect();
                assert!(found == alone[image * len..][..len], "image {image}, {:?}", part.conv);
            }
        }
        assert_eq!(joined.next(), None);
    }
    assert!(forward_joined::<f32>(&[], 0.0).is_empty());
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for c in [square(9, 20, 14, 40, 3, 1, 1), square(9, 300, 6, 40, 1, 1, 0)] {
        bits_are_the_same(&c);
    }
}

fn bits_are_the_same(c: &Conv) {
    let of = |len: usize, salt| numbers(len, salt).iter().map(|v| (v * 1.37).sin() as f32).collect::<Vec<f32>>();
    let x = of(c.n * c.ci * c.h * c.w, 1);
    let w = of(c.co * c.ci * c.kh * c.kw, 2);
    let g = of(c.n * c.co * c.h * c.w, 3);
    let with = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            (forward(&x, &w, None, f32::NEG_INFINITY, c), backward_data(&g, &w, None, c), backward_weight(&x, &g, c))
        })
    };
    let one = with(1);
    assert!(one == with(2), "1 and 2 threads differ, {c:?}");
    assert!(one == with(5), "1 and 5 threads differ, {c:?}");
}
