//! Optimisers, clipping and learning rates against PyTorch's numbers in `tests/golden/training.json`.

use fewlab::nn::{Clip, Init, OptimiserKind, Param, Rates, Recipe, Schedule, Store, gradients};
use fewlab::tensor::{Device, Tensor};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/training.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn tensor(values: &[f64], dims: &[usize]) -> Tensor {
    Tensor::from_f64s(values.to_vec(), dims, &Device::Cpu).unwrap().to_dtype(fewlab::tensor::DType::F32).unwrap()
}

/// The loss whose formula `training.py` states.
fn loss(params: &[Param], step: f64) -> Tensor {
    let (w, b) = (params[0].tensor().add_scalar(step - 2.0).unwrap(), params[1].tensor().add_scalar(-step).unwrap());
    let c = tensor(&[1.0, -2.0, 0.5, 3.0, -1.5, 0.25], &[3, 2]);
    let d = tensor(&[0.01, -0.02], &[2]);
    let waves = w.tanh().unwrap().mul(&c).unwrap().sum_all().unwrap();
    waves.add(&b.square().unwrap().square().unwrap().mul(&d).unwrap().sum_all().unwrap()).unwrap()
}

#[test]
fn five_steps_of_each_optimiser_are_those_of_pytorch() {
    let golden = golden();
    let mut seen = Vec::new();
    for case in golden["optimisers"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        seen.push(name);
        let options = &case["options"];
        let number = |key: &str, default: f64| options[key].as_f64().unwrap_or(default);
        let mut recipe = Recipe {
            lr: number("lr", 0.0),
            epsilon: number("epsilon", 1e-8),
            momentum: number("momentum", 0.0),
            nesterov: options["nesterov"].as_bool().unwrap_or(false),
            smoothing: number("smoothing", 0.99),
            weight_decay: number("weight_decay", 0.0),
            ..Recipe::default()
        };
        if let Some(betas) = options["betas"].as_array() {
            recipe.betas = [betas[0].as_f64().unwrap(), betas[1].as_f64().unwrap()];
        }
        let bound = |key: &str| case["clip"][key].as_f64().unwrap_or(0.0);
        let clip = Clip::new(bound("norm"), bound("value")).unwrap();
        let store = Store::new(1, &Device::Cpu);
        let params: Vec<Param> = [("w", vec![3, 2]), ("b", vec![2])]
            .into_iter()
            .map(|(name, dims)| {
                let param = store.param(name, &dims, Init::Constant(0.0)).unwrap();
                param.set(tensor(&numbers(&golden["start"][name]), &dims)).unwrap();
                param
            })
            .collect();
        let build = || OptimiserKind::named(name).unwrap().build(params.clone(), &recipe).unwrap();
        let mut optimiser = build();
        for (step, after) in case["after"].as_array().unwrap().iter().enumerate() {
            if step == 3 {
                // Its state goes through a checkpoint and comes back.
                let state: std::collections::HashMap<_, _> = optimiser.state().unwrap().into_iter().collect();
                optimiser = build();
                optimiser.load(&mut |name| state.get(name).cloned()).unwrap();
            }
            let grads = gradients(&loss(&params, step as f64), &params).unwrap();
            optimiser.apply(&clip.apply(grads).unwrap(), 1.0).unwrap();
            let ours: Vec<f64> = params.iter().flat_map(|param| param.value().to_f64s().unwrap()).collect();
            for (ours, theirs) in ours.iter().zip(numbers(after)) {
                assert!(
                    (ours - theirs).abs() < 1e-5 * theirs.abs().max(1.0),
                    "{name} {options} step {step}: {ours}, {theirs}"
                );
            }
        }
    }
    for row in fewlab::nn::OPTIMISERS {
        assert!(seen.contains(&row.name), "`{}` has no number", row.name);
    }
}

#[test]
fn learning_rates_go_as_those_of_pytorch() {
    let golden = golden();
    let all = [
        ("linear", Schedule::Linear, 0, Rates::DROPS.to_vec()),
        ("cosine", Schedule::Cosine, 0, Rates::DROPS.to_vec()),
        ("steps", Schedule::Steps, 0, Rates::DROPS.to_vec()),
        ("warmup", Schedule::Constant, 4, Rates::DROPS.to_vec()),
    ];
    for (name, schedule, warmup, drops) in all {
        let rates = Rates::new(schedule, warmup, &drops).unwrap();
        for (step, theirs) in numbers(&golden["rates"][name]).into_iter().enumerate() {
            let ours = rates.factor(step as u64, 20);
            assert!((ours - theirs).abs() < 1e-12, "{name} step {step}: {ours}, {theirs}");
        }
    }
}
