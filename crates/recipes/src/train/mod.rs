//! Recipes of `afterthought train`.

mod fields;
mod rewards;
mod settings;

pub use fields::LAYOUT;
pub use settings::{
    Data, Lora, Loss, Method, Model, Optimizer, Rl, Run, Sampling, Train, WhenLong, WhenWrong,
};
