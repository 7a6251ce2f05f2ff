//! `In[n]` and `Out[n]`.

use rhai::plugin::*;
use rhai::{Dynamic, Engine, NativeCallContext};

use crate::script::results::{Inputs, Outputs};
use crate::script::{At, Fallible, display};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Inputs>(engine);
    display::know::<Outputs>(engine);
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// The text of a cell: `In[3]`, or from the last one back `In[-1]`.
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn input_at(ctx: NativeCallContext, inputs: &mut Inputs, number: i64) -> Fallible<String> {
        inputs.at(number).at(&ctx)
    }

    /// The value of a cell: `Out[3]`, or from the last one back `Out[-1]`. The last 20 are kept.
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn output_at(ctx: NativeCallContext, outputs: &mut Outputs, number: i64) -> Fallible<Dynamic> {
        outputs.at(number).at(&ctx)
    }
}
