//! Gradients: a graph of nodes, walked backwards.
//!
//! A node holds what its operator needs to turn the gradient of its output into gradients of its inputs. Those
//! backward functions are written with the same operators, so when the graph of the backward pass is recorded
//! (`create_graph`), the result can be differentiated again.

use std::cell::Cell;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::value::{Raw, Tensor};
use crate::error::{Error, Result};

/// From the gradient of the output, the output itself, and which inputs want a gradient, to the gradients of the inputs.
pub(crate) type Backward = Box<dyn Fn(&Incoming<'_>) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// What a backward function is given.
pub(crate) struct Incoming<'a> {
    /// The gradient of the output, of the output's shape.
    pub grad: &'a Tensor,
    /// The output, for operators whose gradient is simplest in terms of it; only if the operator kept it.
    pub output: Option<&'a Tensor>,
    /// Whether each input wants a gradient.
    pub wants: &'a [bool],
}

impl Incoming<'_> {
    /// The output of an operator that kept it.
    pub fn output(&self) -> Result<&Tensor> {
        self.output.ok_or_else(|| Error::bug("an operator did not keep the output its gradient needs"))
    }
}

/// A place in the graph.
pub struct Node {
    id: u64,
    op: &'static str,
    inputs: Vec<Option<Arc<Node>>>,
    output: Option<Raw>,
    /// `None` in a leaf, and in a node whose graph was freed.
    backward: Mutex<Option<Backward>>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Node {
    pub(crate) fn leaf() -> Arc<Self> {
        Self::make("leaf", Vec::new(), None, None)
    }

    fn make(
        op: &'static str,
        inputs: Vec<Option<Arc<Node>>>,
        output: Option<Raw>,
        backward: Option<Backward>,
    ) -> Arc<Self> {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, op, inputs, output, backward: Mutex::new(backward) })
    }

    fn is_leaf(&self) -> bool {
        self.op == "leaf"
    }
}

impl Drop for Node {
    // A long chain of nodes would overflow the stack if each dropped the next.
    fn drop(&mut self) {
        if self.inputs.iter().all(Option::is_none) {
            return;
        }
        let mut waiting: Vec<Arc<Node>> = self.inputs.drain(..).flatten().collect();
        // The backward function holds tensors whose nodes are among the inputs, which `waiting` keeps alive.
        drop(self.backward.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        while let Some(node) = waiting.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                waiting.extend(node.inputs.drain(..).flatten());
                drop(node.backward.get_mut().unwrap_or_else(PoisonError::into_inner).take());
            }
        }
    }
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Whether operators on this thread record the graph.
pub fn recording() -> bool {
    RECORDING.with(Cell::get)
}

struct Restore(bool);
impl Drop for Restore {
    fn drop(&mut self) {
        RECORDING.with(|flag| flag.set(self.0));
    }
}

fn with_recording<R>(on: bool, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(RECORDING.with(|flag| flag.replace(on)));
    f()
}

/// Runs `f` without recording the graph: nothing computed inside has a gradient.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with_recording(false, f)
}

/// Whether an operator of these inputs is recorded: operators whose backward function takes time to make ask before they do.
pub(crate) fn recorded(inputs: &[&Tensor]) -> bool {
    recording() && inputs.iter().any(|input| input.node().is_some())
}

/// The result of an operator: `value`, tied to `inputs` if any of them is tracked and the graph is recorded.
pub(crate) fn operator(
    op: &'static str,
    value: Raw,
    inputs: &[&Tensor],
    backward: impl Fn(&Incoming<'_>) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> Tensor {
    if !recorded(inputs) {
        return Tensor::from_raw(value);
    }
    let inputs = inputs.iter().map(|input| input.node().cloned()).collect();
    Tensor::with_node(value, Node::make(op, inputs, None, Some(Box::new(backward))))
}

/// Like [`operator`], and keeps the output for the backward function.
pub(crate) fn operator_keeping_output(
    op: &'static str,
    value: Raw,
    inputs: &[&Tensor],
    backward: impl Fn(&Incoming<'_>) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> Tensor {
    if !recorded(inputs) {
        return Tensor::from_raw(value);
    }
    let inputs = inputs.iter().map(|input| input.node().cloned()).collect();
    Tensor::with_node(value.clone(), Node::make(op, inputs, Some(value), Some(Box::new(backward))))
}

/// The results `values` of a fused pass, which has no gradient of its own. Where one is asked for, `again` computes them from
/// the inputs once more, in operators that have, and those are differentiated.
pub(crate) fn fused(
    op: &'static str,
    values: Vec<Raw>,
    inputs: &[&Tensor],
    again: impl Fn(&[Tensor]) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> Vec<Tensor> {
    let again = Arc::new(again);
    let kept: Vec<Tensor> = inputs.iter().map(|input| (*input).clone()).collect();
    let result = |(i, value): (usize, Raw)| {
        let (again, kept) = (Arc::clone(&again), kept.clone());
        operator(op, value, inputs, move |incoming| {
            let further = recording();
            let (made, kept) = with_recording(true, || -> Result<_> {
                let kept: Vec<Tensor> = kept.iter().map(Tensor::alias).collect();
                Ok((again(&kept)?, kept))
            })?;
            let none = || Error::bug(format!("`{op}` was computed again and gave no result {i}"));
            let made = made.into_iter().nth(i).flatten().ok_or_else(none)?;
            let grads = vjp(&made, incoming.grad, &kept.iter().collect::<Vec<_>>(), further)?;
            // What a result does not depend on changes nothing.
            grads
                .into_iter()
                .zip(&kept)
                .map(|(grad, input)| match grad {
                    Some(grad) => Ok(Some(grad)),
                    None => Tensor::zeros(input.dims(), input.dtype(), input.device()).map(Some),
                })
                .collect()
        })
    };
    values.into_iter().enumerate().map(result).collect()
}

/// The gradient of the one-element `y` with respect to each of `xs`.
///
/// With `create_graph` the gradients are themselves differentiable, and the graph of `y` stays usable; without it
/// the graph between `y` and `xs` is freed as it is walked.
///
/// # Errors
/// `y` has several elements; `y` does not depend on one of `xs`; the graph was freed by an earlier call.
pub fn grad(y: &Tensor, xs: &[&Tensor], create_graph: bool) -> Result<Vec<Tensor>> {
    if y.elements() != 1 {
        return Err(Error::new(format!(
            "`grad` takes the gradient of one number, and was given a tensor of shape {:?}",
            y.dims()
        ))
        .help("reduce it first, with `sum()` or `mean()`"));
    }
    let upstream = Tensor::ones(y.dims(), y.dtype(), y.device())?;
    let grads = vjp(y, &upstream, xs, create_graph)?;
    let several = xs.len() > 1;
    grads
        .into_iter()
        .zip(xs)
        .enumerate()
        .map(|(i, (grad, x))| {
            grad.ok_or_else(|| {
                let which = if several {
                    format!("input {i} of shape {:?}", x.dims())
                } else {
                    format!("the tensor of shape {:?}", x.dims())
                };
                if x.tracked() {
                    Error::new(format!("the value does not depend on {which}, so it has no gradient there"))
                } else {
                    Error::new(format!("{which} is not tracked, so nothing is known of how the value depends on it"))
                        .help("make it with `x.track()` before computing the value; `detach()` ends tracking")
                }
            })
        })
        .collect()
}

impl Tensor {
    /// Whether any of `xs` was part of computing this value.
    pub fn depends_on(&self, xs: &[Tensor]) -> bool {
        let targets: HashSet<u64> = xs.iter().filter_map(|x| x.node()).map(|node| node.id).collect();
        self.node().is_some_and(|root| nodes_between(root, &targets).contains_key(&root.id))
    }
}

/// The product of `upstream`, of `y`'s shape, with the Jacobian of `y` with respect to each of `xs`; `None` where `y`
/// does not depend on it.
///
/// # Errors
/// Shapes differ; the graph was freed by an earlier call without `create_graph`.
pub fn vjp(y: &Tensor, upstream: &Tensor, xs: &[&Tensor], create_graph: bool) -> Result<Vec<Option<Tensor>>> {
    if y.dims() != upstream.dims() {
        return Err(Error::new(format!("the upstream gradient is {:?}, the value is {:?}", upstream.dims(), y.dims())));
    }
    let Some(root) = y.node() else { return Ok(vec![None; xs.len()]) };
    let targets: HashSet<u64> = xs.iter().filter_map(|x| x.node()).map(|node| node.id).collect();
    let wanted = nodes_between(root, &targets);
    if !wanted.contains_key(&root.id) {
        return Ok(vec![None; xs.len()]);
    }
    let mut grads: HashMap<u64, Tensor> = HashMap::new();
    let mut found: HashMap<u64, Tensor> = HashMap::new();
    grads.insert(root.id, upstream.clone());
    // Every node has a larger id than its inputs, so the largest waiting id has its whole gradient.
    let mut waiting = BinaryHeap::from([root.id]);
    while let Some(id) = waiting.pop() {
        let Some(incoming) = grads.remove(&id) else { continue };
        if targets.contains(&id) {
            found.insert(id, incoming.clone());
        }
        let Some((node, wants)) = wanted.get(&id) else { continue };
        if node.is_leaf() || !wants.iter().any(|want| *want) {
            continue;
        }
        let results = run(node, &incoming, wants, create_graph)?;
        drop(incoming);
        for ((input, want), result) in node.inputs.iter().zip(wants).zip(results) {
            let (Some(input), true) = (input, *want) else { continue };
            let Some(result) = result else {
                return Err(Error::bug(format!("`{}` gave no gradient for an input that needs one", node.op)));
            };
            let sum = match grads.remove(&input.id) {
                Some(before) if create_graph => with_recording(true, || before.add(&result))?,
                Some(before) => with_recording(false, || before.add(&result))?,
                None => {
                    waiting.push(input.id);
                    result
                }
            };
            grads.insert(input.id, sum);
        }
    }
    Ok(xs.iter().map(|x| x.node().and_then(|node| found.get(&node.id).cloned())).collect())
}

fn run(node: &Arc<Node>, incoming: &Tensor, wants: &[bool], create_graph: bool) -> Result<Vec<Option<Tensor>>> {
    let mut slot = node.backward.lock().unwrap_or_else(PoisonError::into_inner);
    let freed = || {
        Error::new("the graph behind this value was already used and freed by an optimiser step")
            .help("compute the value again; `grad` keeps the graph, `step` does not")
    };
    let output = node.output.as_ref().map(|raw| {
        if create_graph { Tensor::with_node(raw.clone(), node.clone()) } else { Tensor::from_raw(raw.clone()) }
    });
    let call = |backward: &Backward| {
        with_recording(create_graph, || backward(&Incoming { grad: incoming, output: output.as_ref(), wants }))
    };
    if create_graph {
        call(slot.as_ref().ok_or_else(freed)?)
    } else {
        let backward = slot.take().ok_or_else(freed)?;
        drop(slot);
        call(&backward)
    }
}

/// The nodes on a path from `root` to a target, each with the inputs that lie on one.
fn nodes_between(root: &Arc<Node>, targets: &HashSet<u64>) -> HashMap<u64, (Arc<Node>, Vec<bool>)> {
    let mut seen: HashMap<u64, Arc<Node>> = HashMap::new();
    // A node leads only to nodes with smaller ids.
    let Some(lowest) = targets.iter().copied().min() else { return HashMap::new() };
    let mut stack = vec![root.clone()];
    while let Some(node) = stack.pop() {
        if seen.contains_key(&node.id) {
            continue;
        }
        stack.extend(
            node.inputs.iter().flatten().filter(|input| input.id >= lowest && !seen.contains_key(&input.id)).cloned(),
        );
        seen.insert(node.id, node);
    }
    let mut ids: Vec<u64> = seen.keys().copied().collect();
    ids.sort_unstable();
    let mut wanted = HashMap::new();
    for id in ids {
        let node = seen[&id].clone();
        let wants: Vec<bool> = node
            .inputs
            .iter()
            .map(|input| input.as_ref().is_some_and(|input| wanted.contains_key(&input.id)))
            .collect();
        if targets.contains(&id) || wants.iter().any(|want| *want) {
            wanted.insert(id, (node, wants));
        }
    }
    wanted
}
