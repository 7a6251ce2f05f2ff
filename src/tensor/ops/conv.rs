//! Convolution, its transpose, and the gradient of its weight: three operators, each the gradient of the others.

use candle_core::WithDType;

use super::map::slope_where_negative;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::conv::{self, Conv, Part};
use crate::tensor::cpu::real::Real;
#[cfg(feature = "cudnn")]
use crate::tensor::cuda;
use crate::tensor::grad::{no_grad, operator, operator_keeping_output, recorded};
use crate::tensor::value::{Raw, from_cpu, typed, with_slice, with_slices};

/// Zeros around an image before a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// As many on each side.
    Pixels(usize),
    /// TensorFlow's SAME: the output is ceil(input / stride); an odd one out goes to the bottom and right.
    Same,
    /// For a transposed convolution: as `Same`, to this height and width, whose ceil(size / stride) is the input.
    SameTo([usize; 2]),
    /// Top, bottom, left, right.
    Sides([usize; 4]),
}

impl Padding {
    fn sides(self, size: [usize; 2], kernel: [usize; 2], stride: usize) -> [usize; 4] {
        match self {
            Padding::Pixels(p) => [p; 4],
            Padding::Sides(sides) => sides,
            Padding::Same | Padding::SameTo(_) => {
                let total = |n: usize, k: usize| ((n.div_ceil(stride) - 1) * stride + k).saturating_sub(n);
                let (v, h) = (total(size[0], kernel[0]), total(size[1], kernel[1]));
                [v / 2, v - v / 2, h / 2, h - h / 2]
            }
        }
    }
}

fn geometry(x: [usize; 4], w: [usize; 4], stride: usize, pad: [usize; 4]) -> Conv {
    Conv { n: x[0], ci: x[1], h: x[2], w: x[3], co: w[0], kh: w[2], kw: w[3], stride: [stride; 2], pad }
}

fn x_dims(c: &Conv) -> [usize; 4] {
    [c.n, c.ci, c.h, c.w]
}

fn w_dims(c: &Conv) -> [usize; 4] {
    [c.co, c.ci, c.kh, c.kw]
}

fn y_dims(c: &Conv) -> [usize; 4] {
    [c.n, c.co, c.out_h(), c.out_w()]
}

impl Tensor {
    /// The convolution (cross-correlation) of images `[n, c_in, h, w]` with `weight` `[c_out, c_in, kh, kw]`, plus `bias`
    /// `[c_out]`: `[n, c_out, h', w']`.
    ///
    /// # Errors
    /// Shapes do not fit; the kernel is larger than the padded image; types differ.
    pub fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: Padding) -> Result<Tensor> {
        forward(self, weight, bias, checked(self, weight, bias, stride, padding)?)
    }

    /// The larger of 0 and [`Tensor::conv2d`], on a CPU in one pass.
    ///
    /// # Errors
    /// Those of [`Tensor::conv2d`].
    pub fn conv2d_relu(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: Padding,
    ) -> Result<Tensor> {
        let c = checked(self, weight, bias, stride, padding)?;
        if !self.on_cpu() {
            return forward(self, weight, bias, c)?.relu();
        }
        let value = typed!(self, T => forward_on_cpu::<T>(self, weight, bias, <T as Real>::ZERO, &c))?;
        let (xs, ws) = (self.clone(), weight.clone());
        let mut inputs = vec![self, weight];
        inputs.extend(bias);
        Ok(operator_keeping_output("conv2d_relu", value, &inputs, move |incoming| {
            let g = slope_where_negative(incoming.grad, &incoming.output()?.detach(), 0.0)?;
            gradients(&g, &xs, &ws, c, incoming.wants)
        }))
    }

    /// [`Tensor::conv2d_relu`] with each weight and its bias, joined along the channels: `[n, sum of c_out, h', w']`. On a CPU, where
    /// nobody differentiates it, in one pass.
    ///
    /// # Errors
    /// Those of [`Tensor::conv2d`]; outputs are not of one size.
    pub fn conv2d_relu_joined(&self, layers: &[[&Tensor; 2]], stride: usize, padding: Padding) -> Result<Tensor> {
        let inputs: Vec<&Tensor> = layers.iter().flatten().copied().chain([self]).collect();
        if !self.on_cpu() || recorded(&inputs) || layers.is_empty() {
            let each = |[weight, bias]: &[&Tensor; 2]| self.conv2d_relu(weight, Some(bias), stride, padding);
            let parts = layers.iter().map(each).collect::<Result<Vec<_>>>()?;
            return Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1);
        }
        let shapes = layers
            .iter()
            .map(|[weight, bias]| checked(self, weight, Some(bias), stride, padding))
            .collect::<Result<Vec<_>>>()?;
        let size = |c: &Conv| [c.out_h(), c.out_w()];
        if let Some(other) = shapes.iter().find(|c| size(c) != size(&shapes[0])) {
            return Err(Error::new(format!(
                "cannot join convolutions to images of {:?} and {:?} pixels",
                size(&shapes[0]),
                size(other)
            )));
        }
        Ok(Tensor::from_raw(typed!(self, T => joined_on_cpu::<T>(self, layers, &shapes))?))
    }

    /// The transposed convolution of `[n, c_in, h, w]` with `weight` `[c_in, c_out, kh, kw]`, plus `bias` `[c_out]`. With
    /// [`Padding::Same`] the output is stride times the input, as in TensorFlow; else (h - 1) stride + kh - pad.
    ///
    /// # Errors
    /// Shapes do not fit; types differ.
    pub fn conv_transpose2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: Padding,
    ) -> Result<Tensor> {
        let (g, w) = (self.dims4()?, weight.dims4()?);
        if g[1] != w[0] {
            return Err(Error::new(format!(
                "the images have {} channels, the transposed convolution's weight {w:?} expects {}",
                g[1], w[0]
            )));
        }
        check_bias(bias, w[1])?;
        if stride == 0 || g[2] == 0 || g[3] == 0 {
            return Err(Error::new("a transposed convolution's stride and image must not be empty"));
        }
        let full = match padding {
            Padding::SameTo(size) => size,
            _ => [g[2] * stride, g[3] * stride],
        };
        let pad = padding.sides(full, [w[2], w[3]], stride);
        let size = |i: usize| match padding {
            Padding::Same | Padding::SameTo(_) => (full[i].div_ceil(stride) == g[2 + i]).then_some(full[i]),
            _ => ((g[2 + i] - 1) * stride + w[2 + i]).checked_sub(pad[2 * i] + pad[2 * i + 1]),
        };
        let (Some(h), Some(wide)) = (size(0), size(1)) else {
            return Err(Error::new(format!(
                "a transposed convolution of stride {stride} with padding {padding:?} cannot take images of shape {g:?}"
            )));
        };
        transposed(self, weight, bias, geometry([g[0], w[1], h, wide], w, stride, pad))
    }
}

/// The shape of a convolution, if its parts fit.
fn checked(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: Padding) -> Result<Conv> {
    let (x, w) = (x.dims4()?, weight.dims4()?);
    if x[1] != w[1] {
        return Err(Error::new(format!(
            "the images have {} channels, the convolution's weight {w:?} expects {}",
            x[1], w[1]
        )));
    }
    check_bias(bias, w[0])?;
    if stride == 0 {
        return Err(Error::new("a convolution's stride must be at least 1"));
    }
    let c = geometry(x, w, stride, padding.sides([x[2], x[3]], [w[2], w[3]], stride));
    if c.h + c.pad[0] + c.pad[1] < c.kh || c.w + c.pad[2] + c.pad[3] < c.kw {
        return Err(Error::new(format!(
            "a kernel of {}x{} is larger than the padded image of shape {x:?}",
            c.kh, c.kw
        )));
    }
    Ok(c)
}

fn check_bias(bias: Option<&Tensor>, channels: usize) -> Result<()> {
    match bias {
        Some(bias) if bias.dims() != [channels] => {
            Err(Error::new(format!("the bias is {:?}, expected [{channels}]", bias.dims())))
        }
        _ => Ok(()),
    }
}

/// `on_gpu` in a build with cuDNN; `None` in others.
macro_rules! on_cudnn {
    ($x:expr, $value:expr) => {{
        #[cfg(feature = "cudnn")]
        let value = crate::tensor::value::on_gpu!($x, $value);
        #[cfg(not(feature = "cudnn"))]
        let value: Option<Result<Raw>> = None;
        value
    }};
}

fn forward_on_cpu<T: Real + WithDType>(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    least: T,
    c: &Conv,
) -> Result<Raw> {
    with_slice::<T, _>(x.raw(), |xs| {
        with_slice::<T, _>(w.raw(), |ws| {
            let y = match bias {
                Some(bias) => with_slice::<T, _>(bias.raw(), |bs| Ok(conv::forward(xs, ws, Some(bs), least, c)))?,
                None => conv::forward(xs, ws, None, least, c),
            };
            from_cpu(y, &y_dims(c))
        })
    })
}

fn joined_on_cpu<T: Real + WithDType>(x: &Tensor, layers: &[[&Tensor; 2]], shapes: &[Conv]) -> Result<Raw> {
    let raws: Vec<&Raw> = [x].iter().chain(layers.iter().flatten()).map(|tensor| tensor.raw()).collect();
    with_slices::<T, _>(&raws, |values| {
        let (x, layers) = (values[0], values[1..].as_chunks::<2>().0);
        let parts: Vec<_> =
            layers.iter().zip(shapes).map(|([w, bias], conv)| Part { x, w, bias, conv: *conv }).collect();
        let channels = shapes.iter().map(|c| c.co).sum();
        let [n, _, h, w] = y_dims(&shapes[0]);
        from_cpu(conv::forward_joined(&parts, <T as Real>::ZERO), &[n, channels, h, w])
    })
}

fn forward(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, c: Conv) -> Result<Tensor> {
    let value = if x.on_cpu() {
        typed!(x, T => forward_on_cpu::<T>(x, w, bias, <T as Real>::NEG_INFINITY, &c))?
    } else {
        let y = match on_cudnn!(x, cuda::forward(x.raw(), w.raw(), &c)) {
            Some(y) => y?,
            None => candle_forward(x.raw(), w.raw(), &c)?,
        };
        with_bias(y, bias, c.co)?
    };
    let (xs, ws) = (x.clone(), w.clone());
    let mut inputs = vec![x, w];
    inputs.extend(bias);
    Ok(operator("conv2d", value, &inputs, move |incoming| gradients(incoming.grad, &xs, &ws, c, incoming.wants)))
}

/// The gradients of the images, the weight and, if there is one, the bias.
fn gradients(g: &Tensor, x: &Tensor, w: &Tensor, c: Conv, wants: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let mut out = vec![
        if wants[0] { Some(backward_data(g, w, c)?) } else { None },
        if wants[1] { Some(backward_weight(x, g, c)?) } else { None },
    ];
    if let Some(want) = wants.get(2) {
        out.push(if *want { Some(g.sum(&[0, 2, 3])?) } else { None });
    }
    Ok(out)
}

fn with_bias(y: Raw, bias: Option<&Tensor>, channels: usize) -> Result<Raw> {
    match bias {
        Some(bias) => Ok(no_grad(|| Tensor::from_raw(y).add(&bias.reshape(&[1, channels, 1, 1])?))?.raw().clone()),
        None => Ok(y),
    }
}

fn backward_data(g: &Tensor, w: &Tensor, c: Conv) -> Result<Tensor> {
    transposed(g, w, None, c)
}

fn transposed_on_cpu<T: Real + WithDType>(g: &Tensor, w: &Tensor, bias: Option<&Tensor>, c: &Conv) -> Result<Raw> {
    with_slice::<T, _>(g.raw(), |gs| {
        with_slice::<T, _>(w.raw(), |ws| {
            let x = match bias {
                Some(bias) => with_slice::<T, _>(bias.raw(), |bs| Ok(conv::backward_data(gs, ws, Some(bs), c)))?,
                None => conv::backward_data(gs, ws, None, c),
            };
            from_cpu(x, &x_dims(c))
        })
    })
}

/// The gradient of the images of a convolution, plus `bias` for each of their channels: the transposed convolution.
fn transposed(g: &Tensor, w: &Tensor, bias: Option<&Tensor>, c: Conv) -> Result<Tensor> {
    let value = if g.on_cpu() {
        typed!(g, T => transposed_on_cpu::<T>(g, w, bias, &c))?
    } else {
        let x = match on_cudnn!(g, cuda::backward_data(g.raw(), w.raw(), &c)) {
            Some(x) => x?,
            None => candle_backward_data(g.raw(), w.raw(), &c)?,
        };
        with_bias(x, bias, c.ci)?
    };
    let (gs, ws) = (g.clone(), w.clone());
    let mut inputs = vec![g, w];
    inputs.extend(bias);
    Ok(operator("conv2d_backward_data", value, &inputs, move |incoming| {
        let h = incoming.grad;
        let mut out = vec![
            if incoming.wants[0] { Some(forward(h, &ws, None, c)?) } else { None },
            if incoming.wants[1] { Some(backward_weight(h, &gs, c)?) } else { None },
        ];
        if let Some(want) = incoming.wants.get(2) {
            out.push(if *want { Some(h.sum(&[0, 2, 3])?) } else { None });
        }
        Ok(out)
    }))
}

fn backward_weight(x: &Tensor, g: &Tensor, c: Conv) -> Result<Tensor> {
    let value = if x.on_cpu() {
        typed!(x, T => with_slice::<T, _>(x.raw(), |xs| with_slice::<T, _>(g.raw(), |gs| from_cpu(conv::backward_weight(xs, gs, &c), &w_dims(&c)))))?
    } else if let Some(value) = on_cudnn!(x, cuda::backward_weight(x.raw(), g.raw(), &c)) {
        value?
    } else {
        candle_backward_weight(x.raw(), g.raw(), &c)?
    };
    let (xs, gs) = (x.clone(), g.clone());
    Ok(operator("conv2d_backward_weight", value, &[x, g], move |incoming| {
        let h = incoming.grad;
        Ok(vec![
            if incoming.wants[0] { Some(backward_data(&gs, h, c)?) } else { None },
            if incoming.wants[1] { Some(forward(&xs, h, None, c)?) } else { None },
        ])
    }))
}

fn padded(x: &Raw, c: &Conv) -> Result<Raw> {
    Ok(x.pad_with_zeros(2, c.pad[0], c.pad[1])?.pad_with_zeros(3, c.pad[2], c.pad[3])?.contiguous()?)
}

pub(super) fn candle_forward(x: &Raw, w: &Raw, c: &Conv) -> Result<Raw> {
    Ok(padded(x, c)?.conv2d(&w.contiguous()?, 0, c.stride[0], 1, 1)?)
}

pub(super) fn candle_backward_data(g: &Raw, w: &Raw, c: &Conv) -> Result<Raw> {
    let full = g.contiguous()?.conv_transpose2d(&w.contiguous()?, 0, 0, c.stride[0], 1)?;
    let (h, wide) = (c.h + c.pad[0] + c.pad[1], c.w + c.pad[2] + c.pad[3]);
    // Rows and columns that no output reached.
    let full = full.pad_with_zeros(2, 0, h - full.dim(2)?)?.pad_with_zeros(3, 0, wide - full.dim(3)?)?;
    Ok(full.narrow(2, c.pad[0], c.h)?.narrow(3, c.pad[2], c.w)?.contiguous()?)
}

pub(super) fn candle_backward_weight(x: &Raw, g: &Raw, c: &Conv) -> Result<Raw> {
    let x = padded(x, c)?.transpose(0, 1)?.contiguous()?;
    let g = g.transpose(0, 1)?.contiguous()?;
    let w = x.conv2d(&g, 0, 1, c.stride[0], 1)?;
    Ok(w.narrow(2, 0, c.kh)?.narrow(3, 0, c.kw)?.transpose(0, 1)?.contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Device, grad};

    #[test]
    fn joined_convolutions_have_the_values_and_gradients_of_each_beside_the_others() {
        let numbers = |shape: &[usize], salt: usize| {
            let count = shape.iter().product();
            let values = (0..count).map(|i| ((i * 37 + salt * 11) % 19) as f32 / 9.0 - 1.0).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let x = numbers(&[2, 3, 6, 5], 1);
        let [w1, b1, w3, b3] =
            [numbers(&[4, 3, 1, 1], 2), numbers(&[4], 3), numbers(&[2, 3, 3, 3], 4), numbers(&[2], 5)];
        let apart = |x: &Tensor| {
            let one = x.conv2d_relu(&w1, Some(&b1), 1, Padding::Same).unwrap();
            Tensor::cat(&[&one, &x.conv2d_relu(&w3, Some(&b3), 1, Padding::Same).unwrap()], 1).unwrap()
        };
        let joined = |x: &Tensor| x.conv2d_relu_joined(&[[&w1, &b1], [&w3, &b3]], 1, Padding::Same);
        let together = joined(&x).unwrap();
        assert_eq!(together.dims(), [2, 6, 6, 5]);
        assert_eq!(together.to_f32s().unwrap(), apart(&x).to_f32s().unwrap());

        let tracked = x.track();
        let slope = |y: &Tensor| {
            grad(&y.square().unwrap().sum_all().unwrap(), &[&tracked], false).unwrap()[0].to_f32s().unwrap()
        };
        assert_eq!(slope(&joined(&tracked).unwrap()), slope(&apart(&tracked)));

        let valid = x.conv2d_relu_joined(&[[&w1, &b1], [&w3, &b3]], 1, Padding::Pixels(0)).unwrap_err();
        assert!(valid.message.contains("[6, 5] and [4, 3]"), "{}", valid.message);
        assert!(joined(&numbers(&[2, 4, 6, 5], 1)).is_err());
        assert!(x.conv2d_relu_joined(&[], 1, Padding::Same).is_err());
    }
}
