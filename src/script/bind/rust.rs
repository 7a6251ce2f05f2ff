//! Rust in scripts: `rust(..)` compiles it, `rust::name(..)` calls what it exports.

use rhai::plugin::*;
use rhai::{Dynamic, Engine, FuncRegistration, Module, RhaiFunc, Shared};

use crate::script::{Fallible, rust_cell};

/// The most arguments of a call.
const MOST: usize = 12;

pub(super) fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
    let mut module = Module::new();
    for count in 0..=MOST {
        let mut types = vec![std::any::TypeId::of::<rhai::ImmutableString>()];
        types.extend(std::iter::repeat_n(std::any::TypeId::of::<Dynamic>(), count));
        let mut info = vec!["name: string".to_string()];
        info.extend((1..=count).map(|i| format!("argument_{i}: Dynamic")));
        info.push("Dynamic".into());
        let function = FuncRegistration::new("apply").with_params_info(info);
        let function = function.with_comments([if count == 1 { CALL } else { OTHERWISE }]);
        let call = |ctx: Option<NativeCallContext>, args: &mut [&mut Dynamic]| match (ctx, args) {
            (Some(ctx), [name, values @ ..]) => {
                let name = name.clone().into_immutable_string().unwrap_or_default();
                let values = values.iter_mut().map(|value| std::mem::take(*value)).collect();
                rust_cell::call(&ctx, &name, values)
            }
            _ => Ok(Dynamic::UNIT),
        };
        let call = RhaiFunc::Pure { func: Shared::new(call), has_context: true, is_pure: true, is_volatile: true };
        function.set_into_module_raw(&mut module, types, call);
    }
    engine.register_static_module("rust", module.into());
}

/// With any other number of arguments.
const OTHERWISE: &str = "/// Calls a Rust function that a cell has exported, with as many arguments as it takes.";

const CALL: &str = "/// Calls a Rust function that a cell has exported: what `rust::name(..)` stands for.
///
/// `#[export]` before a function of a `%%rust` cell, or of `rust(..)`, makes it one. It takes and gives tensors (`&Tensor`, or a
/// slice with its `Shape`), numbers, strings, `true`, `false`, lists and maps of these. Made of Candle's operators it can be
/// differentiated once; with `#[export(vjp = name)]` its gradient is what the exported function `name` gives.
///
/// A few operators of Candle have a wrong gradient, or none. So at the first gradient of a function Candle's is held against
/// differences of what the function gives, for which it runs five times more, and a warning says where they are not the same.
///
/// ```rhai
/// let y = 4.0;
/// if false { y = rust::apply(\"halve\", 8.0); }
/// y // => 4.0
/// ```";

#[export_module]
mod functions {
    /// Compiles and runs Rust, in a process of its own: a file if the text ends in `.rs`, else the text itself.
    ///
    /// What it defines stays for later calls, as in a `%%rust` cell of a notebook, and its exported functions can be called from
    /// here on as `rust::name(..)`. It gives what the last expression shows, as text. The first call takes minutes unless
    /// `fewlab rust prepare` was run once.
    ///
    /// ```rhai
    /// let six = "6";
    /// if false { six = rust("2 * 3"); }
    /// six // => "6"
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn rust(ctx: NativeCallContext, code: &str) -> Fallible<Dynamic> {
        rust_cell::run_text(&ctx, code)
    }
}
