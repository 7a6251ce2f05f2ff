use super::*;
use crate::tensor::cpu::conv::{self, Conv};
use crate::tensor::cpu::dispatch::Isa;
use proptest::prelude::*;

/// Repeatable numbers of mean 0 and variance about 1.
fn numbers(len: usize, salt: usize) -> Vec<f32> {
    let mut state = salt as u64 * 0x9e37_79b9_7f4a_7c15 + 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
    };
    (0..len).map(|_| (0..4).map(|_| uniform()).sum::<f64>() as f32 * 1.73).collect()
}

fn double(v: &[f32]) -> Vec<f64> {
    v.iter().map(|&v| f64::from(v)).collect()
}

/// The root of the mean square.
fn size(v: &[f64]) -> f64 {
    (v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64).sqrt()
}

/// The root of the mean square of the error, and the largest, in units of the size of `exact`.
fn error(v: &[f32], exact: &[f64]) -> [f64; 2] {
    assert_eq!(v.len(), exact.len());
    let errors: Vec<f64> = v.iter().zip(exact).map(|(&a, b)| f64::from(a) - b).collect();
    let largest = errors.iter().fold(0.0f64, |most, e| most.max(e.abs()));
    [size(&errors) / size(exact), largest / size(exact)]
}

struct Case {
    c: Conv,
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    g: Vec<f32>,
}

impl Case {
    fn new(c: Conv) -> Self {
        Self {
            x: numbers(c.n * c.ci * c.h * c.w, 1),
            w: numbers(c.co * c.ci * c.kh * c.kw, 2),
            bias: numbers(c.co, 3),
            g: numbers(c.n * c.co * c.out_h() * c.out_w(), 4),
            c,
        }
    }

    /// All three passes in double precision, the direct way.
    fn exact(&self) -> [Vec<f64>; 3] {
        let [x, w, bias, g] = [&self.x, &self.w, &self.bias, &self.g].map(|v| double(v));
        let c = &self.c;
        [
            conv::forward(&x, &w, Some(&bias), f64::NEG_INFINITY, c),
            conv::backward_data(&g, &w, None, c),
            conv::backward_weight(&x, &g, c),
        ]
    }

    fn direct(&self, isa: Isa) -> [Vec<f32>; 3] {
        [
            conv::forward_on(isa, &self.x, &self.w, Some(&self.bias), f32::NEG_INFINITY, &self.c),
            conv::backward_data_on(isa, &self.g, &self.w, None, &self.c),
            conv::backward_weight_on(isa, &self.x, &self.g, &self.c),
        ]
    }

    fn ours(&self, isa: Isa, way: Way) -> [Vec<f32>; 3] {
        let c = &self.c;
        let kernels = <f32 as conv::Kernel>::kernels(isa);
        let [shape, turned] = [Sought::Output, Sought::InputGradient].map(|of| conv::winograd_shape(c, of).unwrap());
        let transforms = f32::transforms(isa, shape.taps()).unwrap();
        let whole = |x: &[f32], bias: &[f32], shape: &Shape| {
            let mut padded = vec![0.0; shape.co.next_multiple_of(kernels.lanes)];
            padded[..bias.len()].copy_from_slice(bias);
            conv::made(shape.n, shape.co, shape.output[0] * shape.output[1], |place| {
                let maker = Maker::new(&self.w, shape, kernels, transforms);
                let finish = Finish { bias: &padded, least: f32::NEG_INFINITY };
                way(x, &maker, &Tasks::new(shape, kernels, transforms, finish, place));
            })
        };
        [
            whole(&self.x, &self.bias, &shape),
            whole(&self.g, &[], &turned),
            gradient(&self.x, &self.g, &shape, kernels, transforms),
        ]
    }
}

type Way = fn(&[f32], &Maker<'_, f32>, &Tasks<'_, f32>);

/// Both ways to cut the work: which one is taken depends on the shape alone.
const WAYS: [Way; 2] = [by_tiles, by_channels];

const PASSES: [&str; 3] = ["forward", "backward_data", "backward_weight"];

fn conv(n: usize, [ci, co]: [usize; 2], [h, w]: [usize; 2], pad: [usize; 4]) -> Conv {
    Conv { n, ci, h, w, co, kh: 3, kw: 3, stride: [1, 1], pad }
}

/// With a kernel of so many rows and columns and a stride of 2.
fn by_two(n: usize, kernel: usize, [ci, co]: [usize; 2], [h, w]: [usize; 2], pad: [usize; 4]) -> Conv {
    Conv { n, ci, h, w, co, kh: kernel, kw: kernel, stride: [2, 2], pad }
}

fn check(c: Conv) {
    let case = Case::new(c);
    let exact = case.exact();
    for (&isa, way) in Isa::available().iter().flat_map(|isa| WAYS.map(|way| (isa, way))) {
        for ((pass, ours), exact) in PASSES.iter().zip(case.ours(isa, way)).zip(&exact) {
            let [_, largest] = error(&ours, exact);
            assert!(largest < 2e-5, "{pass} is off by {largest:e}, {isa:?}, {:?}", case.c);
        }
    }
}

#[test]
fn shapes_of_the_networks_we_train() {
    for c in [
        conv(2, [16, 16], [32, 32], [1; 4]),
        conv(3, [17, 20], [16, 16], [1; 4]),
        conv(5, [16, 40], [8, 8], [1; 4]),
        conv(9, [20, 16], [4, 4], [1; 4]),
        conv(2, [32, 33], [28, 28], [1; 4]),
        conv(3, [16, 16], [14, 14], [1; 4]),
        conv(6, [16, 48], [7, 7], [1; 4]),
        conv(1, [16, 16], [35, 35], [0; 4]),
        conv(1, [70, 130], [9, 9], [2, 0, 1, 3]),
        conv(1, [16, 16], [20, 150], [1; 4]),
        Conv { kh: 2, kw: 2, ..conv(3, [20, 24], [9, 14], [1, 0, 1, 0]) },
        by_two(3, 4, [16, 32], [16, 16], [1; 4]),
        by_two(3, 4, [32, 20], [8, 8], [1; 4]),
        by_two(5, 4, [16, 16], [7, 9], [0, 3, 2, 1]),
        by_two(1, 4, [16, 16], [20, 300], [1; 4]),
        by_two(3, 5, [32, 16], [14, 14], [1, 2, 1, 2]),
        by_two(2, 5, [16, 48], [33, 5], [2; 4]),
        by_two(2, 6, [16, 16], [12, 12], [2; 4]),
        by_two(3, 3, [16, 32], [32, 32], [0, 1, 0, 1]),
    ] {
        check(c);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_equals_the_direct_way(
        n in 1usize..6, ci in 1usize..40, co in 1usize..40, h in 3usize..20, w in 3usize..40,
        (top, bottom, left, right) in (0usize..3, 0usize..3, 0usize..3, 0usize..3),
    ) {
        check(conv(n, [ci, co], [h, w], [top, bottom, left, right]));
    }

    #[test]
    fn any_shape_with_a_stride_of_two_equals_the_direct_way(
        n in 1usize..6, ci in 1usize..4, co in 1usize..40, h in 6usize..24, w in 6usize..40, kernel in 3usize..7,
        (top, bottom, left, right) in (0usize..4, 0usize..4, 0usize..4, 0usize..4),
    ) {
        // Inputs of whole vectors: others stay direct.
        check(by_two(n, kernel, [16 * ci, co], [h, w], [top, bottom, left, right]));
    }
}

/// What the documentation says of errors: about twice those of the direct way, in the mean and at most.
#[test]
fn errors_are_about_twice_those_of_the_direct_way() {
    let cases = [64, 128].map(|channels| {
        [
            conv(4, [channels, channels], [16, 16], [1; 4]),
            by_two(4, 4, [channels, channels], [32, 32], [1; 4]),
            by_two(4, 5, [channels, channels], [32, 32], [1, 2, 1, 2]),
        ]
    });
    for case in cases.into_iter().flatten() {
        let case = Case::new(case);
        let exact = case.exact();
        let isa = Isa::best();
        let ours = WAYS.map(|way| case.ours(isa, way)).concat();
        let twice = |of: [Vec<f32>; 3]| [of.clone(), of].concat();
        let others = twice(case.direct(isa)).into_iter().zip(exact.iter().chain(&exact));
        for ((pass, ours), (direct, exact)) in PASSES.iter().cycle().zip(ours).zip(others) {
            let ([ours, largest], [direct, _]) = (error(&ours, exact), error(&direct, exact));
            assert!(ours < 2.5 * direct, "{pass}: {ours:e} against {direct:e}");
            assert!(ours < 2.5e-6 && largest < 4e-5, "{pass}: {ours:e}, at most {largest:e}");
        }
    }
}

#[test]
fn results_below_the_least_become_it() {
    let c = conv(3, [20, 40], [14, 14], [1; 4]);
    let case = Case::new(c);
    let of = |least| conv::forward(&case.x, &case.w, Some(&case.bias), least, &c);
    let positive: Vec<f32> = of(f32::NEG_INFINITY).iter().map(|y| y.max(0.0)).collect();
    assert!(positive.contains(&0.0) && of(0.0) == positive);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let shapes = [conv(9, [20, 40], [14, 14], [1; 4]), by_two(9, 4, [16, 40], [14, 14], [1; 4])];
    for (c, way) in shapes.into_iter().flat_map(|c| WAYS.map(|way| (c, way))) {
        let case = Case::new(c);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.ours(Isa::best(), way))
        };
        let one = with(1);
        assert!(one == with(2), "1 and 2 threads differ");
        assert!(one == with(5), "1 and 5 threads differ");
    }
}

#[test]
fn a_shape_with_few_tiles_and_many_channels_goes_by_channels() {
    let c = conv(1, [80, 130], [8, 8], [1; 4]);
    let (kernels, transforms) = (<f32 as conv::Kernel>::kernels(Isa::best()), f32::transforms(Isa::best(), 3).unwrap());
    assert!(conv::winograd_shape(&c, Sought::Output).unwrap().is_wide(kernels.lanes, transforms));
    assert!(!conv::winograd_shape(&Conv { n: 200, ..c }, Sought::Output).unwrap().is_wide(kernels.lanes, transforms));
    let case = Case::new(c);
    let ours = conv::forward(&case.x, &case.w, Some(&case.bias), f32::NEG_INFINITY, &c);
    assert!(ours == case.ours(Isa::best(), by_channels)[0]);
}

#[test]
fn no_images_give_no_outputs_and_gradients_of_zero() {
    for c in [conv(0, [64, 64], [8, 8], [1; 4]), by_two(0, 4, [64, 128], [8, 8], [1; 4])] {
        let case = Case::new(c);
        assert!(conv::forward(&case.x, &case.w, Some(&case.bias), f32::NEG_INFINITY, &c).is_empty());
        assert!(conv::backward_data(&case.g, &case.w, None, &c).is_empty());
        assert!(conv::backward_weight(&case.x, &case.g, &c) == vec![0.0; case.w.len()]);
    }
}
