//! Fewlab: an interactive lab for training GANs with few labels.
//!
//! One binary, `fewlab`, runs scripts in [Rhai](https://rhai.rs) that drive the method of "High-Fidelity Image
//! Generation With Fewer Labels" (Lucic et al. 2019, arXiv:1903.02271): learn features without labels, label
//! the rest from a few, train a conditional GAN on the labels it inferred, measure it.
//!
//! ```text
//!  main   cli   repl   jupyter    front ends: text in, text and pictures out
//!  notebook                       numbered cells, magics, history: what the terminal and Jupyter share
//!  script                         convert -> call -> convert; places in errors, help, display: the only layer that names rhai
//!  study                          many runs, and what can be said of their differences
//!  rust_cell                      Rust compiled and run in a process of its own, its functions called from here
//!  run   report                   a run's folder; a run on one page
//!  ssl   label   gan   metric     verbs; they never import one another
//!  nn    data    figure           the nouns they meet in
//!  config                         settings in files, and where each came from
//!  options                        named, typed, documented settings
//!  tensor                         values, operators, gradients, devices, random numbers: the only layer that names CUDA
//!  table  error  progress         what everything else says things with
//! ```
//!
//! Imports point down only; what two siblings need moves down a layer. `tests/it/layers.rs` holds this and the
//! other invariants:
//!
//! - nothing below `script` mentions `rhai`; nothing outside `tensor` mentions a CUDA type or feature;
//! - `script/bind` holds no arithmetic;
//! - no randomness outside `tensor/rng.rs`;
//! - nothing below the front ends prints;
//! - every native loop looks at [`progress::Stop`] each step;
//! - no method sees a label outside its [`data::LabelBudget`].
//!
//! Where to start reading: `scripts/pipeline.rhai` for what it does, `gan/train.rs` for how, `tensor/grad.rs`
//! for what carries it.

pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod figure;
pub mod gan;
pub mod jupyter;
pub mod label;
pub mod metric;
pub mod nn;
pub mod notebook;
pub mod options;
pub mod progress;
pub mod repl;
pub mod report;
pub mod run;
pub mod rust_cell;
pub mod script;
pub mod ssl;
pub mod study;
pub mod table;
pub mod tensor;
pub mod terminal;

pub use error::{Error, Result};
