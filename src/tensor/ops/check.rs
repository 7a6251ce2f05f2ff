//! Every operator against PyTorch, against finite differences, and through Candle as a GPU would run it.
//!
//! `tests/golden/operators.json` (made by `operators.py` beside it) holds inputs, outputs, first and second derivatives in
//! double precision. A case here without numbers there, or the other way about, fails.

use std::collections::BTreeMap;

use super::resize::Sampling;
use crate::error::Result;
use crate::tensor::value::through_candle;
use crate::tensor::{Activation, DType, Device, Padding, Tensor, Window, grad, vjp};

pub(super) type Case = fn(&[Tensor]) -> Result<Tensor>;

const POOL3: Window = Window { size: [3, 3], stride: [2, 2], pad: [1; 4], count_padding: false };

fn labels() -> Tensor {
    Tensor::from_u32s(vec![2, 0, 1], &[3], &Device::Cpu).unwrap()
}

fn like(x: &Tensor, values: &[f64], dims: &[usize]) -> Tensor {
    let values = Tensor::from_f64s(values.to_vec(), dims, &Device::Cpu).unwrap().to_dtype(x.dtype()).unwrap();
    values.to_device(x.device()).unwrap()
}

fn norm(t: &[Tensor], activation: Activation) -> Result<Tensor> {
    Ok(t[0].batch_norm(&t[1], &t[2], 1e-5, activation)?.output)
}

pub(super) const CASES: &[(&str, Case)] = &[
    ("add", |t| t[0].add(&t[1])),
    ("sub", |t| t[0].sub(&t[1])),
    ("mul", |t| t[0].mul(&t[1])),
    ("div", |t| t[0].div(&t[1])),
    ("maximum", |t| t[0].maximum(&t[1])),
    ("minimum", |t| t[0].minimum(&t[1])),
    ("affine", |t| t[0].affine(1.5, -0.5)),
    ("exp", |t| t[0].exp()),
    ("log", |t| t[0].log()),
    ("sqrt", |t| t[0].sqrt()),
    ("abs", |t| t[0].abs()),
    ("pow", |t| t[0].pow_scalar(1.7)),
    ("square", |t| t[0].square()),
    ("tanh", |t| t[0].tanh()),
    ("sigmoid", |t| t[0].sigmoid()),
    ("softplus", |t| t[0].softplus()),
    ("relu", |t| t[0].relu()),
    ("leaky_relu", |t| t[0].leaky_relu(0.2)),
    ("silu", |t| t[0].silu()),
    ("clamp", |t| t[0].clamp(-0.9, 0.9)),
    ("reshape", |t| t[0].reshape(&[3, 4])),
    ("permute", |t| t[0].permute(&[2, 0, 1])),
    ("narrow", |t| t[0].narrow(1, 1, 3)),
    ("pad", |t| t[0].pad(1, 1, 2)),
    ("cat", |t| Tensor::cat(&[&t[0], &t[1]], 1)),
    ("flip", |t| t[0].flip(1)),
    ("rotate90", |t| t[0].rotate90(1)),
    ("broadcast_to", |t| t[0].broadcast_to(&[2, 3, 4])),
    ("sum", |t| t[0].sum(&[0, 2])),
    ("mean", |t| t[0].mean_all()),
    ("max", |t| t[0].max(1)),
    ("min", |t| t[0].min(0)),
    ("matmul", |t| t[0].matmul(&t[1])),
    ("matmul_batched", |t| t[0].matmul(&t[1])),
    ("matmul_shared", |t| t[0].matmul(&t[1])),
    ("softmax", |t| t[0].softmax()),
    ("log_softmax", |t| t[0].log_softmax()),
    ("cross_entropy", |t| t[0].cross_entropy(&labels())),
    ("soft_cross_entropy", |t| {
        t[0].soft_cross_entropy(&like(&t[0], &[0.2, 0.5, 0.3, 1.0, 0.0, 0.0, 0.1, 0.1, 0.8], &[3, 3]))
    }),
    ("select_rows", |t| t[0].select_rows(&Tensor::from_u32s(vec![1, 3, 1, 0], &[4], t[0].device())?)),
    ("conv3x3", |t| t[0].conv2d(&t[1], Some(&t[2]), 1, Padding::Pixels(1))),
    ("conv3x3_relu", |t| t[0].conv2d_relu(&t[1], Some(&t[2]), 1, Padding::Pixels(1))),
    ("conv1x1", |t| t[0].conv2d(&t[1], Some(&t[2]), 1, Padding::Pixels(0))),
    ("conv3x3_stride2_same", |t| t[0].conv2d(&t[1], Some(&t[2]), 2, Padding::Same)),
    ("conv4x4_stride2_same", |t| t[0].conv2d(&t[1], Some(&t[2]), 2, Padding::Same)),
    ("conv5x5_stride2_same", |t| t[0].conv2d(&t[1], Some(&t[2]), 2, Padding::Same)),
    ("conv1x7", |t| t[0].conv2d(&t[1], None, 1, Padding::Sides([0, 0, 3, 3]))),
    ("conv_transpose4x4_stride2", |t| t[0].conv_transpose2d(&t[1], Some(&t[2]), 2, Padding::Pixels(1))),
    ("conv_transpose5x5_stride2_same", |t| t[0].conv_transpose2d(&t[1], Some(&t[2]), 2, Padding::Same)),
    ("conv_transpose3x3_same", |t| t[0].conv_transpose2d(&t[1], Some(&t[2]), 1, Padding::Same)),
    ("avg_pool", |t| t[0].avg_pool2d(Window::square(2))),
    ("avg_pool3_stride2", |t| t[0].avg_pool2d(POOL3)),
    ("avg_pool3_counting", |t| t[0].avg_pool2d(Window { stride: [1, 1], count_padding: true, ..POOL3 })),
    ("max_pool", |t| t[0].max_pool2d(Window::square(2))),
    ("max_pool3_stride2", |t| t[0].max_pool2d(POOL3)),
    ("upsample_nearest_twice_used", |t| t[0].square()?.upsample_nearest(2)?.mul(&t[0].upsample_nearest(2)?)),
    ("upsample_zeros", |t| t[0].upsample_zeros(2)),
    ("bilinear", |t| t[0].resize_bilinear(7, 5, Sampling::HalfPixel)),
    ("bilinear_shrink", |t| t[0].resize_bilinear(3, 4, Sampling::HalfPixel)),
    ("bilinear_corners", |t| t[0].resize_bilinear(6, 5, Sampling::AlignCorners)),
    ("batch_norm", |t| norm(t, Activation::None)),
    ("batch_norm_relu", |t| norm(t, Activation::Relu)),
    ("batch_norm_leaky", |t| norm(t, Activation::LeakyRelu(0.1))),
    ("batch_norm_conditional", |t| norm(t, Activation::None)),
    ("batch_norm_flat", |t| norm(t, Activation::None)),
    ("batch_norm_given", |t| {
        let (mean, variance) = (like(&t[0], &[0.3, -0.2], &[2]), like(&t[0], &[0.8, 1.7], &[2]));
        t[0].batch_norm_with(&mean, &variance, &t[1], &t[2], 1e-5, Activation::None)
    }),
    ("layer_norm", |t| t[0].layer_norm(&t[1], &t[2], 1e-5)),
];

#[derive(serde::Deserialize, Clone)]
struct Array {
    dims: Vec<usize>,
    values: Vec<f64>,
}

impl Array {
    fn tensor(&self, dtype: DType) -> Tensor {
        self.on(dtype, &Device::Cpu)
    }

    fn on(&self, dtype: DType, device: &Device) -> Tensor {
        let here = Tensor::from_f64s(self.values.clone(), &self.dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        here.to_device(device).unwrap()
    }
}

#[derive(serde::Deserialize)]
pub(super) struct Numbers {
    output: Array,
    w: Array,
    inputs: Vec<Array>,
    first: Vec<Array>,
    v: Vec<Array>,
    second: Vec<Array>,
}

#[derive(serde::Deserialize)]
struct Golden {
    cases: BTreeMap<String, Numbers>,
}

pub(super) fn golden() -> BTreeMap<String, Numbers> {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/operators.json")).unwrap();
    golden.cases
}

fn compare(what: &str, got: &Tensor, expected: &Array, tolerance: f64) {
    assert_eq!(got.dims(), expected.dims, "{what}: shape");
    let scale = expected.values.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (got, expected) in got.to_f64s().unwrap().iter().zip(&expected.values) {
        assert!((got - expected).abs() <= tolerance * scale, "{what}: {got} against {expected}");
    }
}

/// h = sum over inputs of sum(v * first), the number whose gradient is the second derivative along v.
fn slope_along(case: Case, inputs: &[Tensor], w: &Tensor, v: &[Tensor]) -> (Tensor, Tensor, Vec<Tensor>) {
    let y = case(inputs).unwrap();
    let s = y.mul(w).unwrap().sum_all().unwrap();
    let first = grad(&s, &inputs.iter().collect::<Vec<_>>(), true).unwrap();
    let parts: Vec<Tensor> = first.iter().zip(v).map(|(g, v)| g.mul(v).unwrap().sum_all().unwrap()).collect();
    let h = parts.iter().skip(1).fold(parts[0].clone(), |a, b| a.add(b).unwrap());
    (y, h, first)
}

fn check(name: &str, case: Case, numbers: &Numbers, dtype: DType, tolerance: f64) {
    check_on(&Device::Cpu, name, case, numbers, dtype, tolerance);
}

pub(super) fn check_on(device: &Device, name: &str, case: Case, numbers: &Numbers, dtype: DType, tolerance: f64) {
    let inputs: Vec<Tensor> = numbers.inputs.iter().map(|array| array.on(dtype, device).track()).collect();
    let v: Vec<Tensor> = numbers.v.iter().map(|array| array.on(dtype, device)).collect();
    let w = numbers.w.on(dtype, device);
    let (y, h, first) = slope_along(case, &inputs, &w, &v);
    compare(&format!("{name}: output"), &y, &numbers.output, tolerance);
    let xs: Vec<&Tensor> = inputs.iter().collect();
    let upstream = Tensor::ones(&[], dtype, device).unwrap();
    let second = vjp(&h, &upstream, &xs, false).unwrap();
    for (i, expected) in numbers.first.iter().enumerate() {
        compare(&format!("{name}: gradient of input {i}, differentiable"), &first[i], expected, tolerance);
        let zeros = Tensor::zeros(&expected.dims, dtype, device).unwrap();
        compare(
            &format!("{name}: second derivative, input {i}"),
            second[i].as_ref().unwrap_or(&zeros),
            &numbers.second[i],
            tolerance,
        );
    }
    // Without a graph of the backward pass, fused passes run: they must agree.
    let s = case(&inputs).unwrap().mul(&w).unwrap().sum_all().unwrap();
    for (i, first) in grad(&s, &xs, false).unwrap().iter().enumerate() {
        compare(&format!("{name}: gradient of input {i}"), first, &numbers.first[i], tolerance);
    }
}

#[test]
fn each_case_has_numbers_and_each_numbers_a_case() {
    let golden = golden();
    let mut names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(names, golden.keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn operators_agree_with_pytorch_in_double_precision() {
    let golden = golden();
    for (name, case) in CASES {
        check(name, *case, &golden[*name], DType::F64, 1e-9);
    }
}

#[test]
fn single_precision_kernels_agree_too() {
    // f32 keeps 7 digits; second derivatives of norms lose two of them.
    let golden = golden();
    for (name, case) in CASES {
        check(name, *case, &golden[*name], DType::F32, 2e-4);
    }
}

#[test]
fn the_path_of_a_gpu_agrees() {
    let golden = golden();
    for (name, case) in CASES {
        through_candle(|| check(name, *case, &golden[*name], DType::F64, 1e-9));
    }
}

#[test]
fn gradients_are_the_slopes_of_the_values() {
    // Central differences in f64, with a step of 1e-5: right to about 1e-8 of the scale.
    let golden = golden();
    for (name, case) in CASES {
        let numbers = &golden[*name];
        let inputs: Vec<Tensor> = numbers.inputs.iter().map(|array| array.tensor(DType::F64).track()).collect();
        let v: Vec<Tensor> = numbers.v.iter().map(|array| array.tensor(DType::F64)).collect();
        let w = numbers.w.tensor(DType::F64);
        let moved = |step: f64| -> Vec<Tensor> {
            inputs.iter().zip(&v).map(|(x, v)| x.detach().add(&v.mul_scalar(step).unwrap()).unwrap().track()).collect()
        };
        let value = |inputs: &[Tensor]| case(inputs).unwrap().mul(&w).unwrap().sum_all().unwrap().value().unwrap();
        let step = 1e-5;
        let (_, h, _) = slope_along(*case, &inputs, &w, &v);
        let difference = (value(&moved(step)) - value(&moved(-step))) / (2.0 * step);
        let h_value = h.value().unwrap();
        assert!(
            (h_value - difference).abs() <= 1e-6 * (1.0 + h_value.abs()),
            "{name}: slope {h_value}, difference {difference}"
        );
        // And once more: the second derivative along v is the slope of h along v.
        let slope = |inputs: &[Tensor]| slope_along(*case, inputs, &w, &v).1.value().unwrap();
        let difference = (slope(&moved(step)) - slope(&moved(-step))) / (2.0 * step);
        let xs: Vec<&Tensor> = inputs.iter().collect();
        let second = vjp(&h, &Tensor::ones(&[], DType::F64, &Device::Cpu).unwrap(), &xs, false).unwrap();
        let along: f64 = second
            .iter()
            .zip(&v)
            .filter_map(|(g, v)| Some(g.as_ref()?.mul(v).unwrap().sum_all().unwrap().value().unwrap()))
            .sum();
        assert!(
            (along - difference).abs() <= 1e-6 * (1.0 + along.abs()),
            "{name}: second slope {along}, difference {difference}"
        );
    }
}

/// `x` with its values along dimension `dim`, or along all, those of the first place: repeated in memory, and written out.
fn repeated(x: &Tensor, dim: Option<usize>) -> [Tensor; 2] {
    let over = |i: usize| dim.is_none_or(|dim| dim == i);
    let mut one = x.detach();
    for i in (0..x.rank()).filter(|i| over(*i)) {
        one = one.narrow(i, 0, 1).unwrap();
    }
    [one.spread(x.dims()).unwrap(), one.broadcast_to(x.dims()).unwrap()]
}

#[test]
fn values_that_repeat_in_memory_are_those_written_out() {
    let golden = golden();
    for (name, case) in CASES {
        for dtype in [DType::F64, DType::F32] {
            let numbers = &golden[*name];
            let close = |what: &str, a: &Tensor, b: &Tensor| {
                let (a, b) = (a.to_f64s().unwrap(), b.to_f64s().unwrap());
                let far = a.iter().zip(&b).find(|(a, b)| (*a - *b).abs() > 1e-6 * (1.0 + b.abs()));
                assert!(a.len() == b.len() && far.is_none(), "{name}, {what}: {far:?}");
            };
            let inputs: Vec<Tensor> = numbers.inputs.iter().map(|array| array.tensor(dtype)).collect();
            let xs: Vec<Tensor> = inputs.iter().map(Tensor::track).collect();
            let dims = case(&inputs).unwrap().dims().to_vec();
            // As gradients, through fused passes and through those that can be differentiated.
            for dim in (0..dims.len()).map(Some).chain([None]) {
                let upstream = repeated(&numbers.w.tensor(dtype), dim);
                for differentiable in [false, true] {
                    let back = |upstream: &Tensor| {
                        let y = case(&xs).unwrap();
                        vjp(&y, upstream, &xs.iter().collect::<Vec<_>>(), differentiable).unwrap()
                    };
                    for (a, b) in back(&upstream[0]).iter().zip(back(&upstream[1])) {
                        close(&format!("gradient repeated along {dim:?}"), a.as_ref().unwrap(), &b.unwrap());
                    }
                }
            }
            // As inputs.
            for (i, input) in inputs.iter().enumerate() {
                for dim in (0..input.rank()).map(Some).chain([None]) {
                    let [a, b] = repeated(input, dim).map(|input| {
                        let mut inputs = inputs.clone();
                        inputs[i] = input;
                        case(&inputs).unwrap()
                    });
                    close(&format!("input {i} repeated along {dim:?}"), &a, &b);
                }
            }
        }
    }
}

#[test]
fn a_deep_graph_neither_overflows_nor_leaks() {
    let x = Tensor::scalar(1.0).unwrap().track();
    let mut y = x.clone();
    for _ in 0..200_000 {
        y = y.add_scalar(1e-6).unwrap();
    }
    let slope = grad(&y, &[&x], false).unwrap();
    assert_eq!(slope[0].value().unwrap(), 1.0);
}

#[test]
fn a_freed_graph_says_so() {
    let x = Tensor::scalar(2.0).unwrap().track();
    let y = x.square().unwrap();
    grad(&y, &[&x], false).unwrap();
    let error = grad(&y, &[&x], false).unwrap_err();
    assert!(error.message.contains("already used and freed"), "{error}");
    let z = x.square().unwrap();
    grad(&z, &[&x], true).unwrap();
    assert_eq!(grad(&z, &[&x], false).unwrap()[0].value().unwrap(), 4.0);
}
