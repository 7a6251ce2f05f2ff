//! Operators as a language has them: between tensors of any types, and between tensors and numbers.

use candle_core::DType;

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::value::is_float;

/// An operator of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a > b`
    Gt,
    /// `a >= b`
    Ge,
}

/// One side of an operator.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a> {
    /// A tensor of any type.
    Tensor(&'a Tensor),
    /// A number, which takes the type of the other side.
    Number(f64),
}

impl Operator {
    /// `a` and `b` under this operator, broadcasting; at least one of them is a tensor.
    ///
    /// Whole numbers and tensors of different types meet as f32, or as f64 if one of them is f64. Comparisons give 1
    /// and 0 in that type.
    ///
    /// # Errors
    /// Shapes do not broadcast; devices differ.
    pub fn apply(self, a: Operand<'_>, b: Operand<'_>) -> Result<Tensor> {
        match (a, b) {
            (Operand::Tensor(a), Operand::Tensor(b)) => {
                let common = common_type(a.dtype(), b.dtype());
                if a.dtype() == common && b.dtype() == common {
                    return self.tensors(a, b);
                }
                self.tensors(&a.to_dtype(common)?, &b.to_dtype(common)?)
            }
            (Operand::Tensor(a), Operand::Number(b)) => {
                self.with_number(&a.to_dtype(common_type(a.dtype(), a.dtype()))?, b)
            }
            (Operand::Number(a), Operand::Tensor(b)) => {
                self.number_with(a, &b.to_dtype(common_type(b.dtype(), b.dtype()))?)
            }
            (Operand::Number(a), Operand::Number(b)) => self.with_number(&Tensor::scalar(a)?, b),
        }
    }

    fn tensors(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match self {
            Self::Add => a.add(b),
            Self::Sub => a.sub(b),
            Self::Mul => a.mul(b),
            Self::Div => a.div(b),
            Self::Eq => a.eq(b)?.to_dtype(a.dtype()),
            Self::Ne => a.ne(b)?.to_dtype(a.dtype()),
            Self::Lt => a.lt(b)?.to_dtype(a.dtype()),
            Self::Le => a.le(b)?.to_dtype(a.dtype()),
            Self::Gt => a.gt(b)?.to_dtype(a.dtype()),
            Self::Ge => a.ge(b)?.to_dtype(a.dtype()),
        }
    }

    fn with_number(self, a: &Tensor, b: f64) -> Result<Tensor> {
        match self {
            Self::Add => a.add_scalar(b),
            Self::Sub => a.add_scalar(-b),
            Self::Mul => a.mul_scalar(b),
            // A division, not a product with the inverse: 6 / 3 is 2 in f32 too.
            Self::Div => a.div(&number_like(b, a)?),
            _ => self.tensors(a, &number_like(b, a)?),
        }
    }

    fn number_with(self, a: f64, b: &Tensor) -> Result<Tensor> {
        match self {
            Self::Add => b.add_scalar(a),
            Self::Sub => b.affine(-1.0, a),
            Self::Mul => b.mul_scalar(a),
            _ => self.tensors(&number_like(a, b)?, b),
        }
    }
}

fn number_like(value: f64, other: &Tensor) -> Result<Tensor> {
    Tensor::full(value, &[], other.dtype(), other.device())
}

/// The type that tensors of types `a` and `b` are computed in.
fn common_type(a: DType, b: DType) -> DType {
    match (is_float(a), is_float(b)) {
        (true, true) if a == b => a,
        _ if a == DType::F64 || b == DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn values(operator: Operator, a: Operand<'_>, b: Operand<'_>) -> Vec<f32> {
        operator.apply(a, b).unwrap().to_f32s().unwrap()
    }

    #[test]
    fn numbers_stand_on_either_side() {
        let t = Tensor::from_vec(vec![1.0, 2.0, 4.0], &[3], &Device::Cpu).unwrap();
        let (t, two) = (Operand::Tensor(&t), Operand::Number(2.0));
        assert_eq!(values(Operator::Sub, t, two), [-1.0, 0.0, 2.0]);
        assert_eq!(values(Operator::Sub, two, t), [1.0, 0.0, -2.0]);
        assert_eq!(values(Operator::Div, t, two), [0.5, 1.0, 2.0]);
        assert_eq!(values(Operator::Div, two, t), [2.0, 1.0, 0.5]);
        assert_eq!(values(Operator::Lt, two, t), [0.0, 0.0, 1.0]);
        assert_eq!(values(Operator::Lt, t, two), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn whole_numbers_meet_floats() {
        let labels = Tensor::from_u32s(vec![0, 1, 2], &[3], &Device::Cpu).unwrap();
        let half = Tensor::from_vec(vec![0.5], &[1], &Device::Cpu).unwrap();
        assert_eq!(values(Operator::Mul, Operand::Tensor(&labels), Operand::Tensor(&half)), [0.0, 0.5, 1.0]);
        assert_eq!(values(Operator::Eq, Operand::Tensor(&labels), Operand::Number(1.0)), [0.0, 1.0, 0.0]);
    }
}
