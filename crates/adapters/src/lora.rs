//! Low-rank terms on the linear layers of a model.

use crate::{Adaptable, Error, LoraConfig};
use afterthought_models::{Linear, LowRank, Parameter, ParameterVisitor};
use burn::tensor::{Tensor, TensorData};

/// What PEFT puts before the path of a module.
const PREFIX: &str = "base_model.model.";

/// The names of `A` and `B` of the layer at `path`, as in PEFT's files.
pub(crate) fn factor_names(path: &str) -> [String; 2] {
    ["A", "B"].map(|factor| format!("{PREFIX}{path}.lora_{factor}.weight"))
}

/// Whether a parameter of that name belongs to an adapter.
pub fn is_adapter_weight(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Gives the layers that `config` names a new adapter, and freezes everything else. Returns the
/// paths of those layers.
///
/// The factors are keyed by `seed` and path; `B` is zero, so the model's output does not change.
///
/// # Errors
/// [`Error::Setting`]; [`Error::UnmatchedTargets`] and [`Error::NothingSelected`] if targets are
/// without layers; [`Error::Model`] if the model has an adapter.
pub fn attach_new<M: Adaptable>(
    model: &mut M,
    config: &LoraConfig,
    seed: u64,
) -> Result<Vec<String>, Error> {
    let paths = selected(model, config)?;
    attach(model, config, &paths, &mut |path, [rank, inputs, outputs]| {
        [config.init.draw(path, [rank, inputs], seed), vec![0.0; outputs * rank]]
    })?;
    Ok(paths)
}

/// The paths of the layers that `config` names, checked.
pub(crate) fn selected<M: Adaptable>(
    model: &mut M,
    config: &LoraConfig,
) -> Result<Vec<String>, Error> {
    config.validate()?;
    if model.linears_mut().iter().any(|linear| linear.low_rank.is_some()) {
        return Err(Error::Model("has an adapter already; merge or remove it first"));
    }
    let paths = model.linear_paths();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let selected = config.targets.select(&paths)?;
    let chosen = paths.into_iter().zip(selected).filter(|(_, selected)| *selected);
    let chosen: Vec<&str> = chosen.map(|(path, _)| path).collect();
    config.check_patterns(&chosen)?;
    Ok(chosen.into_iter().map(str::to_owned).collect())
}

/// The widths of a layer: inputs and outputs.
pub(crate) fn widths(linear: &Linear) -> [usize; 2] {
    let [outputs, inputs] = linear.weight.value.dims();
    [inputs, outputs]
}

/// Gives `A` and `B` of a layer by its path and `[rank, inputs, outputs]`.
pub(crate) type FactorSource<'a> = dyn FnMut(&str, [usize; 3]) -> [Vec<f32>; 2] + 'a;

/// Puts terms on the layers at `paths`, whose values `factors` gives, and freezes everything else.
pub(crate) fn attach<M: Adaptable>(
    model: &mut M,
    config: &LoraConfig,
    paths: &[String],
    factors: &mut FactorSource<'_>,
) -> Result<(), Error> {
    let all = model.linear_paths();
    for (linear, path) in model.linears_mut().into_iter().zip(all) {
        if !paths.contains(&path) {
            continue;
        }
        let size = config.size(&path)?;
        let ([inputs, outputs], rank) = (widths(linear), size.rank);
        let [a, b] = factors(&path, [rank, inputs, outputs]);
        let device = linear.weight.value.device();
        let matrix = |values, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values, shape), &device)
        };
        let [a_name, b_name] = factor_names(&path);
        linear.low_rank = Some(LowRank {
            a: Parameter::new(a_name, matrix(a, [rank, inputs])),
            b: Parameter::new(b_name, matrix(b, [outputs, rank])),
            scale: config.scale(size),
            dropout: config.dropout,
        });
    }
    model.visit(&mut OnlyAdapters);
    Ok(())
}

/// Lets training change adapters and nothing else.
struct OnlyAdapters;

impl ParameterVisitor for OnlyAdapters {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        parameter.trainable = is_adapter_weight(&parameter.name);
    }
}
