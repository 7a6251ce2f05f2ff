//! Networks and optimisers: built by name, composed of layers, or made of single parameters.

mod building;
mod layers;
mod network;
mod training;
mod using;

use rhai::Engine;

use crate::nn::{Layer, Param};
use crate::script::display;
use crate::script::manual::{Setting, settings_of};
pub use building::BuildOptions;
pub use layers::LayerOptions;
pub use network::{Network, Training};
pub use training::{AdamOptions, RmsPropOptions, SgdOptions};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Network>(engine);
    display::know::<Training>(engine);
    display::know::<Layer>(engine);
    display::know::<Param>(engine);
    let mut module = rhai::exported_module!(building::functions);
    module.combine(rhai::exported_module!(layers::functions));
    module.combine(rhai::exported_module!(training::functions));
    engine.register_static_module("nn", module.into());
    engine.register_global_module(rhai::exported_module!(training::methods).into());
    engine.register_global_module(rhai::exported_module!(using::functions).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    let layer = settings_of::<LayerOptions>().1;
    vec![
        settings_of::<BuildOptions>(),
        settings_of::<AdamOptions>(),
        settings_of::<SgdOptions>(),
        settings_of::<RmsPropOptions>(),
        ("nn::conv", layer.clone()),
        ("nn::conv_transpose", layer.clone()),
        ("nn::linear", layer),
    ]
}
