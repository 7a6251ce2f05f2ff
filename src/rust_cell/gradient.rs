//! Calls that can be differentiated.
//!
//! While the graph is recorded, the process keeps Candle's graph of a call and answers with products of a gradient and its
//! Jacobian. That derivative has none itself: asking for it is an error. A function that names the function of its own
//! gradient, `#[export(vjp = name)]`, is as differentiable as that one.

use std::sync::{Arc, PoisonError};

use serde_json::json;

use super::calls::Freed;
use super::{Caller, Export, RustCell, Value};
use crate::error::{Error, Result};
use crate::tensor::grad::operator;
use crate::tensor::{DType, Device, Tensor, recording};

/// A graph that the process keeps for us, until this is dropped.
struct Graph {
    number: u64,
    freed: Freed,
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.freed.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

fn has_gradient(tensor: &Tensor) -> bool {
    matches!(tensor.dtype(), DType::F32 | DType::F64)
}

impl RustCell {
    /// Calls the exported function `name`.
    ///
    /// # Errors
    /// There is none; it does not take the values; it failed, panicked or crashed; a person asked to stop.
    pub fn call(self: &Arc<Self>, name: &str, values: Vec<Value>, caller: &Caller) -> Result<Value> {
        let export = self.export(name)?;
        let mut tensors = Vec::new();
        values.iter().for_each(|value| value.tensors(&mut tensors));
        let device = tensors.first().map_or(Device::Cpu, |tensor| tensor.device().clone());
        let tensors: Vec<Tensor> = tensors.into_iter().cloned().collect();
        let tracked = |tensor: &Tensor| recording() && tensor.tracked() && has_gradient(tensor);
        let wanted: Vec<usize> = (0..tensors.len()).filter(|i| tracked(&tensors[*i])).collect();
        let call = json!({ "call": name });
        if wanted.is_empty() {
            return Ok(self.ask(name, call, &values, caller, &device)?.value);
        }
        if let Some(vjp) = &export.vjp {
            let result = self.ask(name, call, &values, caller, &device)?.value;
            return self.with_own(&export, vjp, &values, &tensors, result, caller);
        }
        let call = json!({ "call": name, "track": true, "wanted": wanted });
        let answer = self.ask(name, call, &values, caller, &device)?;
        if let (Some(gradient), Some(change)) =
            (answer.message["slopes"][0].as_f64(), answer.message["slopes"][1].as_f64())
        {
            warn(name, gradient, change, caller);
        }
        let freed = answer.freed;
        let graph = answer.message["graph"].as_u64().map(|number| Arc::new(Graph { number, freed }));
        let attached: Vec<bool> = answer.message["attached"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|flag| flag.as_bool() == Some(true))
            .collect();
        let inputs: Vec<Tensor> = wanted.iter().map(|i| tensors[*i].clone()).collect();
        let sliced = answer.message["sliced"].as_bool() == Some(true);
        let mut output = 0;
        answer.value.each_tensor(&mut |tensor| {
            let number = output;
            output += 1;
            if !has_gradient(&tensor) {
                return Ok(tensor);
            }
            let kept = graph.clone().filter(|_| attached.get(number) == Some(&true));
            let place = Place {
                cells: Arc::clone(self),
                caller: caller.clone(),
                export: export.clone(),
                inputs: inputs.clone(),
                sliced,
            };
            let refs: Vec<&Tensor> = inputs.iter().collect();
            Ok(operator("rust", tensor.raw().clone(), &refs, move |incoming| match &kept {
                Some(graph) => place.product(graph, number, incoming.grad),
                None => Err(place.none()),
            }))
        })
    }

    /// The result of a function that gives its own gradient.
    fn with_own(
        self: &Arc<Self>,
        export: &Export,
        vjp: &str,
        values: &[Value],
        tensors: &[Tensor],
        result: Value,
        caller: &Caller,
    ) -> Result<Value> {
        let mut outputs = Vec::new();
        result.tensors(&mut outputs);
        let outputs: Vec<Tensor> = outputs.into_iter().filter(|tensor| has_gradient(tensor)).cloned().collect();
        let inputs: Vec<Tensor> = tensors.iter().filter(|tensor| has_gradient(tensor)).cloned().collect();
        let (name, vjp) = (export.name.clone(), vjp.to_string());
        let mut output = 0;
        result.each_tensor(&mut |tensor| {
            if !has_gradient(&tensor) {
                return Ok(tensor);
            }
            let number = output;
            output += 1;
            let (cells, caller, values) = (Arc::clone(self), caller.clone(), values.to_vec());
            let (name, vjp, outputs, own) = (name.clone(), vjp.clone(), outputs.clone(), inputs.clone());
            let refs: Vec<&Tensor> = inputs.iter().collect();
            Ok(operator("rust", tensor.raw().clone(), &refs, move |incoming| {
                let mut arguments = values.clone();
                for (i, output) in outputs.iter().enumerate() {
                    arguments.push(Value::Tensor(match i == number {
                        true => incoming.grad.clone(),
                        false => Tensor::zeros(output.dims(), output.dtype(), output.device())?,
                    }));
                }
                let given = cells.call(&vjp, arguments, &caller)?;
                let mut grads = Vec::new();
                given.tensors(&mut grads);
                if grads.len() != own.len() {
                    return Err(Error::new(format!(
                        "`rust::{vjp}` gave {} gradients for the {} tensors of fractions that `rust::{name}` takes",
                        grads.len(),
                        own.len()
                    ))
                    .help("it gives one for each, in order"));
                }
                for (grad, input) in grads.iter().zip(&own) {
                    if grad.dims() != input.dims() || grad.dtype() != input.dtype() {
                        return Err(Error::new(format!(
                            "`rust::{vjp}` gave a gradient of {} {:?} for a tensor of {} {:?}",
                            grad.dtype().as_str(),
                            grad.dims(),
                            input.dtype().as_str(),
                            input.dims()
                        )));
                    }
                }
                Ok(grads.into_iter().cloned().map(Some).collect())
            }))
        })
    }
}

/// Says that Candle's gradient of a function is not its slope.
fn warn(name: &str, gradient: f64, change: f64, caller: &Caller) {
    for line in [
        format!(
            "warning: Candle's gradient of `rust::{name}` is not its slope: in a direction where it is {gradient:.4}, \
             the function changes by {change:.4}"
        ),
        "help: Candle 0.11 is wrong on `max_pool2d`, `upsample_nearest2d` of a tensor used elsewhere too, `avg_pool2d` of \
         sizes that do not divide, `scatter` and `conv1d`, and leaves out fused operators (`softmax_last_dim`, `layer_norm`); \
         write it with others, or give it `#[export(vjp = name)]`. Where it detaches on purpose nothing is wrong"
            .to_string(),
    ] {
        caller.watch.err(&line);
    }
}

/// What a gradient needs of its call.
struct Place {
    cells: Arc<RustCell>,
    caller: Caller,
    export: Export,
    inputs: Vec<Tensor>,
    /// Whether a tensor was taken as a slice.
    sliced: bool,
}

impl Place {
    fn product(&self, graph: &Arc<Graph>, output: usize, upstream: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let name = &self.export.name;
        let device = upstream.device().clone();
        let request = json!({ "differentiate": graph.number, "output": output });
        let given = [Value::Tensor(upstream.detach())];
        let answer = self.cells.ask_of(name, Some(&graph.freed), request, &given, &self.caller, &device)?;
        let Value::List(grads) = answer.value else { return Err(Error::bug("Rust answered with no gradients")) };
        let grads: Vec<Option<Tensor>> =
            grads.into_iter().map(|grad| if let Value::Tensor(grad) = grad { Some(grad) } else { None }).collect();
        if grads.iter().all(Option::is_none) {
            return Err(self.none());
        }
        if !recording() {
            return Ok(grads);
        }
        // The gradient can be used; only its own gradient is not to be had.
        let inputs: Vec<&Tensor> = self.inputs.iter().chain([upstream]).collect();
        let second = |grad: Tensor| {
            let name = name.clone();
            operator("rust gradient", grad.raw().clone(), &inputs, move |_| {
                Err(Error::new(format!(
                    "the second derivative of `rust::{name}` was asked for, and Candle gives the first alone"
                ))
                .help("give it `#[export(vjp = name)]`, where `name` is exported too and made of Candle operators"))
            })
        };
        Ok(grads.into_iter().map(|grad| grad.map(second)).collect())
    }

    fn none(&self) -> Error {
        let name = &self.export.name;
        let why = match self.sliced {
            true => "it takes numbers as slices, which Candle does not see",
            false => "its result does not come from what it takes by operators that Candle differentiates",
        };
        Error::new(format!("`rust::{name}` has no gradient: {why}"))
            .help("give it `#[export(vjp = name)]`, or call it with `x.detach()` where no gradient is meant")
    }
}
