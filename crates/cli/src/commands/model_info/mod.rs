//! `afterthought model info`: what a model directory holds.

mod decoder;
mod encoder_decoder;
mod overview;
mod run;
mod weights;

pub(crate) use run::run;
