//! `a + b`, `a > b`, `-a` and their kin on tensors with tensors and numbers, on either side.

use rhai::{Engine, FuncRegistration, Module, NativeCallContext};

use crate::script::{At, Fallible};
use crate::tensor::Tensor;
use crate::tensor::ops::mixed::{Operand, Operator};

/// Operators of two values: their sign, and their page in the manual.
const BINARY: &[(&str, Operator, &str)] = &[
    (
        "+",
        Operator::Add,
        "Adds tensors value by value; shapes broadcast as in NumPy.\n\n```rhai\ntensor::from([1, 2]) + 0.5 // => tensor([1.5, 2.5])\n```",
    ),
    (
        "-",
        Operator::Sub,
        "Subtracts tensors value by value; shapes broadcast as in NumPy.\n\n```rhai\n1.0 - tensor::from([1, 2]) // => tensor([0, -1])\n```",
    ),
    (
        "*",
        Operator::Mul,
        "Multiplies tensors value by value; shapes broadcast as in NumPy. `matmul` is the matrix product.\n\n```rhai\n2 * tensor::from([1, 2]) // => tensor([2, 4])\n```",
    ),
    (
        "/",
        Operator::Div,
        "Divides tensors value by value; shapes broadcast as in NumPy.\n\n```rhai\ntensor::from([1, 2]) / 2 // => tensor([0.5, 1])\n```",
    ),
    (
        "==",
        Operator::Eq,
        "Compares tensors value by value: 1 where they are equal, else 0.\n\n```rhai\ntensor::from([1, 2]) == 2 // => tensor([0, 1])\n```",
    ),
    (
        "!=",
        Operator::Ne,
        "Compares tensors value by value: 1 where they differ, else 0.\n\n```rhai\ntensor::from([1, 2]) != 2 // => tensor([1, 0])\n```",
    ),
    (
        "<",
        Operator::Lt,
        "Compares tensors value by value: 1 where the left is less, else 0.\n\n```rhai\ntensor::from([1, 2]) < 2 // => tensor([1, 0])\n```",
    ),
    (
        "<=",
        Operator::Le,
        "Compares tensors value by value: 1 where the left is no more, else 0.\n\n```rhai\ntensor::from([1, 2]) <= 1 // => tensor([1, 0])\n```",
    ),
    (
        ">",
        Operator::Gt,
        "Compares tensors value by value: 1 where the left is more, else 0.\n\n```rhai\ntensor::from([1, 2]) > 1 // => tensor([0, 1])\n```",
    ),
    (
        ">=",
        Operator::Ge,
        "Compares tensors value by value: 1 where the left is no less, else 0.\n\n```rhai\ntensor::from([1, 2]) >= 2 // => tensor([0, 1])\n```",
    ),
];

const POWER: &str =
    "Raises the values of a tensor to a power.\n\n```rhai\ntensor::from([1, 2, 3]) ** 2 // => tensor([1, 4, 9])\n```";
const MINUS: &str =
    "Changes the sign of a tensor's values.\n\n```rhai\n-tensor::from([1, -2]) // => tensor([-1, 2])\n```";

pub(super) fn register(engine: &mut Engine) {
    let mut module = Module::new();
    for (sign, operator, doc) in BINARY {
        let operator = *operator;
        let named = |a: &str, b: &str| {
            FuncRegistration::new(*sign)
                .in_global_namespace()
                .with_params_info([format!("a: {a}"), format!("b: {b}"), "Tensor".to_string()])
                .with_comments([comment(doc)])
        };
        let apply = move |ctx: &NativeCallContext, a: Operand<'_>, b: Operand<'_>| operator.apply(a, b).at(ctx);
        named("Tensor", "Tensor").set_into_module(
            &mut module,
            move |ctx: NativeCallContext, a: Tensor, b: Tensor| -> Fallible<Tensor> {
                apply(&ctx, Operand::Tensor(&a), Operand::Tensor(&b))
            },
        );
        named("Tensor", "f64").set_into_module(
            &mut module,
            move |ctx: NativeCallContext, a: Tensor, b: f64| -> Fallible<Tensor> {
                apply(&ctx, Operand::Tensor(&a), Operand::Number(b))
            },
        );
        named("Tensor", "i64").set_into_module(
            &mut module,
            move |ctx: NativeCallContext, a: Tensor, b: i64| -> Fallible<Tensor> {
                apply(&ctx, Operand::Tensor(&a), Operand::Number(b as f64))
            },
        );
        named("f64", "Tensor").set_into_module(
            &mut module,
            move |ctx: NativeCallContext, a: f64, b: Tensor| -> Fallible<Tensor> {
                apply(&ctx, Operand::Number(a), Operand::Tensor(&b))
            },
        );
        named("i64", "Tensor").set_into_module(
            &mut module,
            move |ctx: NativeCallContext, a: i64, b: Tensor| -> Fallible<Tensor> {
                apply(&ctx, Operand::Number(a as f64), Operand::Tensor(&b))
            },
        );
    }
    let power = |kind: &str| {
        FuncRegistration::new("**")
            .in_global_namespace()
            .with_params_info(["a: Tensor".to_string(), format!("b: {kind}"), "Tensor".to_string()])
            .with_comments([comment(POWER)])
    };
    power("f64").set_into_module(&mut module, |ctx: NativeCallContext, a: Tensor, b: f64| -> Fallible<Tensor> {
        a.pow_scalar(b).at(&ctx)
    });
    power("i64").set_into_module(&mut module, |ctx: NativeCallContext, a: Tensor, b: i64| -> Fallible<Tensor> {
        a.pow_scalar(b as f64).at(&ctx)
    });
    FuncRegistration::new("-")
        .in_global_namespace()
        .with_params_info(["a: Tensor", "Tensor"])
        .with_comments([comment(MINUS)])
        .set_into_module(&mut module, |ctx: NativeCallContext, a: Tensor| -> Fallible<Tensor> { a.neg().at(&ctx) });
    engine.register_global_module(module.into());
}

fn comment(doc: &str) -> String {
    doc.lines().map(|line| format!("/// {line}")).collect::<Vec<_>>().join("\n")
}
