//! A GPU against the CPU: the table of [`super::check`], and every kernel at sizes that its blocks do not fit. Without a GPU
//! each test says so and passes.

use super::check::{CASES, check_on, golden};
use crate::error::Result;
use crate::tensor::ops::resize::Sampling;
use crate::tensor::{
    Activation, AdamRow, AdamStep, DType, Device, Padding, Rng, Tensor, Window, adam_steps, blends, device, no_grad,
    vjp,
};

/// The first GPU; nothing, and a line that says so, where there is none.
#[allow(clippy::print_stderr)] // A test that was skipped says so.
fn gpu() -> Option<Device> {
    match device("cuda") {
        Ok(device) => Some(device),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn close(what: &str, gpu: &Tensor, cpu: &Tensor, tolerance: f64) {
    assert_eq!(gpu.dims(), cpu.dims(), "{what}: shape");
    let (gpu, cpu) = (gpu.to_f64s().unwrap(), cpu.to_f64s().unwrap());
    let scale = cpu.iter().fold(1e-3f64, |most, v| most.max(v.abs()));
    let worst = gpu.iter().zip(&cpu).map(|(a, b)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() });
    let worst = worst.fold(0.0, f64::max) / scale;
    assert!(worst <= tolerance, "{what}: {worst:.2e} of the largest, at most {tolerance:.0e}");
}

#[test]
fn a_gpu_gives_the_numbers_of_pytorch() {
    let Some(gpu) = gpu() else { return };
    let golden = golden();
    for (name, case) in CASES {
        check_on(&gpu, name, *case, &golden[*name], DType::F64, 1e-9);
        check_on(&gpu, name, *case, &golden[*name], DType::F32, 2e-4);
    }
}

/// The function on inputs of these shapes, and its gradients, here and there; f32 keeps 7 digits.
fn agree(name: &str, shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let Some(gpu) = gpu() else { return };
    let mut rng = Rng::new(7).stream(name);
    let inputs: Vec<Tensor> = shapes.iter().map(|dims| rng.normal_tensor(dims, &Device::Cpu).unwrap()).collect();
    let run = |device: &Device, up: &mut Option<Tensor>| {
        let inputs: Vec<Tensor> = inputs.iter().map(|x| x.to_device(device).unwrap().track()).collect();
        let y = f(&inputs).unwrap();
        let up = up.get_or_insert_with(|| Rng::new(8).normal_tensor(y.dims(), &Device::Cpu).unwrap());
        let up = up.to_device(device).unwrap();
        let grads = vjp(&y, &up, &inputs.iter().collect::<Vec<_>>(), false).unwrap();
        (y, grads)
    };
    let mut up = None;
    let (here, here_grads) = run(&Device::Cpu, &mut up);
    let (there, there_grads) = run(&gpu, &mut up);
    close(&format!("{name}: output"), &there, &here, 2e-5);
    for (i, (there, here)) in there_grads.iter().zip(&here_grads).enumerate() {
        if let (Some(there), Some(here)) = (there, here) {
            close(&format!("{name}: gradient {i}"), there, here, 1e-4);
        }
    }
}

#[test]
fn kernels_agree_at_sizes_that_blocks_do_not_fit() {
    agree("bias", &[&[3, 5, 7, 9], &[1, 5, 1, 1]], |t| t[0].add(&t[1]));
    agree("both broadcast", &[&[3, 1, 7], &[1, 300, 1]], |t| t[0].mul(&t[1]));
    agree("a transposed side", &[&[70, 33], &[33, 70]], |t| t[0].t()?.sub(&t[1]));
    agree("one number", &[&[1000], &[]], |t| t[0].div(&t[1]));
    agree("sum of all", &[&[40_000]], |t| t[0].sum_all());
    agree("sum of channels", &[&[9, 6, 17, 13]], |t| t[0].sum(&[0, 2, 3]));
    agree("sum of the first", &[&[40, 9000]], |t| t[0].sum(&[0]));
    agree("sum of the middle", &[&[3, 300, 70]], |t| t[0].sum(&[1]));
    agree("sum of rows", &[&[300, 33]], |t| t[0].sum(&[1]));
    agree("sum of many parts", &[&[2, 30_000]], |t| t[0].sum(&[1]));
    agree("largest", &[&[9, 50, 3]], |t| t[0].max(1));
    for length in [1, 10, 33, 257, 1000] {
        agree("softmax", &[&[5, length]], |t| t[0].softmax());
        agree("log_softmax", &[&[5, length]], |t| t[0].log_softmax());
    }
    for (dims, rows) in [(vec![5, 3, 11, 7], 1), (vec![5, 3, 11, 7], 5), (vec![33, 70], 1), (vec![1, 300, 40, 41], 1)] {
        let affine = if rows == 1 { vec![dims[1]] } else { vec![rows, dims[1]] };
        for activation in [Activation::None, Activation::Relu, Activation::LeakyRelu(0.2)] {
            let name = format!("batch norm {dims:?} {rows} {activation:?}");
            agree(&name, &[&dims, &affine, &affine], |t| Ok(t[0].batch_norm(&t[1], &t[2], 1e-5, activation)?.output));
        }
    }
    agree("group norm", &[&[3, 8, 5, 5], &[8], &[8]], |t| t[0].group_norm(4, &t[1], &t[2], 1e-5, Activation::Relu));
    let overlapping = Window { size: [3, 4], stride: [2, 1], pad: [1, 0, 2, 3], count_padding: false };
    for window in [Window::square(2), overlapping, Window { count_padding: true, ..overlapping }] {
        agree("average", &[&[3, 5, 12, 10]], |t| t[0].avg_pool2d(window));
        agree("largest of windows", &[&[3, 5, 12, 10]], |t| t[0].max_pool2d(window));
    }
    agree("nearest", &[&[3, 5, 6, 7]], |t| t[0].upsample_nearest(3));
    agree("zeros between", &[&[3, 5, 6, 7]], |t| t[0].upsample_zeros(2));
    for sampling in [Sampling::HalfPixel, Sampling::AlignCorners, Sampling::Tf1, Sampling::Antialias] {
        agree("bilinear up", &[&[2, 3, 9, 8]], |t| t[0].resize_bilinear(13, 31, sampling));
        agree("bilinear down", &[&[2, 3, 19, 28]], |t| t[0].resize_bilinear(5, 3, sampling));
    }
    agree("parts", &[&[5, 6, 7]], |t| t[0].narrow(1, 2, 3)?.permute(&[2, 0, 1])?.pad(1, 2, 1)?.flip(2));
    agree("turned", &[&[3, 2, 9, 9]], |t| Tensor::cat(&[&t[0].rotate90(1)?, &t[0].rotate90(2)?], 0));
    agree("joined inside", &[&[4, 6], &[4, 3]], |t| Tensor::cat(&[&t[0], &t[1]], 1));
    agree("a product of parts", &[&[6, 40, 12], &[6, 5, 12]], |t| t[0].narrow(1, 3, 20)?.matmul(&t[1].t()?));
    agree("a product of permuted", &[&[40, 6, 12], &[6, 12, 5]], |t| t[0].permute(&[1, 0, 2])?.matmul(&t[1]));
}

#[test]
fn convolutions_agree_with_any_padding() {
    let paddings = [
        (1, 1, Padding::Pixels(0)),
        (3, 1, Padding::Pixels(1)),
        (3, 2, Padding::Same),
        (4, 2, Padding::Pixels(1)),
        (4, 2, Padding::Same),
        (5, 2, Padding::Same),
        (3, 2, Padding::Sides([0, 3, 1, 0])),
    ];
    for (k, stride, padding) in paddings {
        let name = format!("convolution of {k}, stride {stride}, {padding:?}");
        agree(&name, &[&[3, 4, 11, 10], &[6, 4, k, k], &[6]], |t| t[0].conv2d(&t[1], Some(&t[2]), stride, padding));
        if !matches!(padding, Padding::Sides(_)) {
            agree(&format!("transposed {name}"), &[&[3, 6, 5, 4], &[6, 4, k, k], &[4]], |t| {
                t[0].conv_transpose2d(&t[1], Some(&t[2]), stride, padding)
            });
        }
    }
}

#[test]
fn a_gpu_takes_the_steps_of_adam_and_of_averages() {
    let Some(gpu) = gpu() else { return };
    let mut rng = Rng::new(3);
    // More parameters than one launch takes, of very different sizes.
    let sizes: Vec<Vec<usize>> = (0..70).map(|i| vec![1 + i % 7, [1, 3, 300, 20_000][i % 4]]).collect();
    let step = AdamStep { rate: 1e-2, betas: [0.5, 0.99], root_scale: 1.3, epsilon: 1e-8 };
    let given: Vec<[Tensor; 4]> = sizes
        .iter()
        .map(|dims| {
            let mut draw = || rng.normal_tensor(dims, &Device::Cpu).unwrap();
            [draw(), draw(), draw(), draw().square().unwrap()]
        })
        .collect();
    let run = |device: &Device| {
        let there = given.iter().map(|row| row.each_ref().map(|t| t.to_device(device).unwrap())).collect::<Vec<_>>();
        let rows: Vec<AdamRow<'_>> =
            there.iter().map(|[value, grad, mean, square]| AdamRow { value, grad, mean, square }).collect();
        let once = adam_steps(&rows, &step).unwrap();
        // Once more, from parts of one tensor.
        let rows: Vec<AdamRow<'_>> = once
            .iter()
            .zip(&there)
            .map(|([value, mean, square], [_, grad, ..])| AdamRow { value, grad, mean, square })
            .collect();
        let twice = adam_steps(&rows, &step).unwrap();
        let pairs: Vec<(&Tensor, &Tensor)> = there.iter().zip(&twice).map(|(old, new)| (&old[0], &new[0])).collect();
        (blends(&pairs, 0.25).unwrap(), twice)
    };
    let ((there_blend, there), (here_blend, here)) = (run(&gpu), run(&Device::Cpu));
    for (i, (there, here)) in there.iter().zip(&here).enumerate() {
        for (k, (there, here)) in there.iter().zip(here).enumerate() {
            close(&format!("parameter {i}, {k}"), there, here, 1e-5);
        }
        close(&format!("average {i}"), &there_blend[i], &here_blend[i], 1e-5);
    }
}

#[test]
fn a_gpu_divides_by_the_singular_value() {
    let Some(gpu) = gpu() else { return };
    for (dims, first, iterations) in [(vec![6, 5, 3, 3], true, 1), (vec![70, 300], false, 2), (vec![300, 7], true, 1)] {
        let mut rng = Rng::new(11);
        let weight = rng.normal_tensor(&dims, &gpu).unwrap().track();
        let columns: usize = dims[1..].iter().product();
        let u = rng.normal_tensor(&[1, if first { dims[0] } else { columns }], &gpu).unwrap();
        let up = rng.normal_tensor(&dims, &gpu).unwrap();
        let (normal, new) = weight.over_singular_value(&u, first, iterations, 1e-12).unwrap().unwrap();
        // The same in operators, on the CPU.
        let here = |t: &Tensor| t.detach().to_device(&Device::Cpu).unwrap();
        let (w, mut kept, up_here) = (here(&weight).track(), here(&u), here(&up));
        let matrix = w.reshape(&[dims[0], columns]).unwrap();
        let matrix = if first { matrix } else { matrix.t().unwrap() };
        let unit = |row: Tensor| row.div(&row.square().unwrap().sum_all().unwrap().sqrt().unwrap()).unwrap();
        let mut other = kept.clone();
        no_grad(|| {
            for _ in 0..iterations {
                other = unit(kept.matmul(&matrix).unwrap());
                kept = unit(other.matmul(&matrix.t().unwrap()).unwrap());
            }
        });
        let sigma = kept.matmul(&matrix).unwrap().mul(&other).unwrap().sum_all().unwrap();
        let expected = w.div(&sigma).unwrap();
        close("weight", &normal, &expected, 2e-5);
        close("vector", &new, &kept, 2e-5);
        let expected_grad = vjp(&expected, &up_here, &[&w], true).unwrap()[0].clone().unwrap();
        for create_graph in [true, false] {
            let (normal, _) = weight.over_singular_value(&u, first, iterations, 1e-12).unwrap().unwrap();
            let grad = vjp(&normal, &up, &[&weight], create_graph).unwrap()[0].clone().unwrap();
            close("gradient", &grad, &expected_grad, 1e-4);
        }
    }
}

#[test]
fn a_gpu_is_sent_bytes_and_labels() {
    let Some(gpu) = gpu() else { return };
    let pixels: Vec<u8> = (0..=255).cycle().take(3 * 7 * 11).collect();
    let [there, here] = [&gpu, &Device::Cpu].map(|d| Tensor::from_pixels(&pixels, &[3, 7, 11], d).unwrap());
    assert_eq!(there.to_f32s().unwrap(), here.to_f32s().unwrap());
    let rows = Rng::new(5).normal_tensor(&[50, 10], &Device::Cpu).unwrap();
    let [there, here] = [&gpu, &Device::Cpu].map(|d| rows.to_device(d).unwrap().hardmax().unwrap());
    assert_eq!(there.to_f32s().unwrap(), here.to_f32s().unwrap());
}

#[test]
fn draws_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let [there, here] = [&gpu, &Device::Cpu].map(|d| Rng::new(9).normal_tensor(&[5, 77], d).unwrap());
    assert_eq!(there.to_f32s().unwrap(), here.to_f32s().unwrap());
}
