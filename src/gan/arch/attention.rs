//! Self-attention over the pixels of a map of features (Zhang et al. 2018, arXiv:1805.08318).

use crate::error::Result;
use crate::nn::{Conv, Init, Make, Mode, Param, Store};
use crate::tensor::{Tensor, Window};

/// x + gate o, where o is a pointwise convolution of values that each pixel gathers from all others, which were pooled 2x2;
/// the gate starts at 0.
pub(super) struct Attention {
    query: Conv,
    key: Conv,
    value: Conv,
    out: Conv,
    gate: Param,
}

impl Attention {
    pub(super) fn new(store: &Store, channels: usize, make: Make) -> Result<Self> {
        let make = make.unbiased();
        let (narrow, wide) = ((channels / 8).max(1), (channels / 2).max(1));
        let pointwise =
            |name: &str, inputs: usize, outputs: usize| Conv::new(&store.sub(name), inputs, outputs, 1, 1, make);
        Ok(Self {
            query: pointwise("query", channels, narrow)?,
            key: pointwise("key", channels, narrow)?,
            value: pointwise("value", channels, wide)?,
            out: pointwise("out", wide, channels)?,
            gate: store.param("gate", &[1], Init::Constant(0.0))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let [n, _, h, w] = x.dims4()?;
        // A row or column too many is a window of its own, as in TensorFlow's SAME.
        let window = Window { pad: [0, h % 2, 0, w % 2], ..Window::square(2) };
        let query = self.query.forward(x, mode)?.flatten(2)?;
        let key = self.key.forward(x, mode)?.max_pool2d(window)?.flatten(2)?;
        let value = self.value.forward(x, mode)?.max_pool2d(window)?.flatten(2)?;
        let weights = query.t()?.matmul(&key)?.softmax()?;
        let gathered = value.matmul(&weights.t()?)?;
        let gathered = gathered.reshape(&[n, gathered.dims()[1], h, w])?;
        let gate = self.gate.tensor().reshape(&[1, 1, 1, 1])?;
        x.add(&self.out.forward(&gathered, mode)?.mul(&gate)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, Device, Rng};

    #[test]
    fn a_pixel_gathers_what_its_query_asks_for_from_pooled_pixels_once_the_gate_opens() {
        let store = Store::new(1, &Device::Cpu);
        let attention = Attention::new(&store, 16, Make::plain(Init::Normal(0.5))).unwrap();
        let input = Rng::new(2).normal_tensor(&[1, 16, 2, 4], &Device::Cpu).unwrap();
        let forward = || attention.forward(&input, Mode::Eval).unwrap().to_f64s().unwrap();
        let x = input.to_f64s().unwrap();
        assert_eq!(forward(), x);
        attention.gate.set(Tensor::ones(&[1], DType::F32, &Device::Cpu).unwrap()).unwrap();

        // By hand, a row for each channel of a map.
        let params = store.params();
        let pointwise = |name: &str, of: &[Vec<f64>]| -> Vec<Vec<f64>> {
            let weight = params.iter().find(|param| param.name() == format!("{name}.weight")).unwrap().value();
            let row =
                |row: &[f64]| (0..of[0].len()).map(|p| row.iter().zip(of).map(|(w, of)| w * of[p]).sum()).collect();
            weight.to_f64s().unwrap().chunks(of.len()).map(row).collect()
        };
        // Of 2x4 pixels the largest in the left square and in the right one.
        let pooled = |map: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
            let most =
                |row: &Vec<f64>, at: usize| [0, 1, 4, 5].map(|i| row[at + i]).into_iter().fold(f64::MIN, f64::max);
            map.iter().map(|row| vec![most(row, 0), most(row, 2)]).collect()
        };
        let map: Vec<Vec<f64>> = x.chunks(8).map(<[f64]>::to_vec).collect();
        let (query, key, value) =
            (pointwise("query", &map), pooled(pointwise("key", &map)), pooled(pointwise("value", &map)));
        assert_eq!((query.len(), value.len()), (2, 8));
        let gathered: Vec<Vec<f64>> = value
            .iter()
            .map(|value| {
                let at = |p: usize| {
                    let near = [0, 1].map(|w| query.iter().zip(&key).map(|(q, k)| q[p] * k[w]).sum::<f64>().exp());
                    (near[0] * value[0] + near[1] * value[1]) / (near[0] + near[1])
                };
                (0..8).map(at).collect()
            })
            .collect();
        let out = pointwise("out", &gathered).concat();
        for ((ours, x), out) in forward().iter().zip(&x).zip(&out) {
            assert!((ours - x - out).abs() < 1e-4, "{ours} beside {}", x + out);
        }
    }
}
