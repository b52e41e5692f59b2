//! Which of the two descriptions a model gets.

use afterthought_models::hub;

use super::{decoder, encoder_decoder};
use crate::args::ModelInfoArgs;
use crate::commands::loaded::Loaded;
use crate::commands::model_path::resolve;
use crate::console::{Console, print_json, print_text};

/// Opens the model, which checks it, and describes it.
pub(crate) fn run(args: &ModelInfoArgs, console: &Console) -> anyhow::Result<()> {
    let directory = resolve(&args.model, console)?;
    if hub::is_encoder_decoder(&directory)? {
        let info = encoder_decoder::Info::open(&directory)?;
        return match args.json {
            true => print_json(&info),
            false => Ok(print_text(&info.overview())?),
        };
    }
    let info = decoder::Info::new(&Loaded::open(&directory)?)?;
    match args.json {
        true => print_json(&info),
        false => Ok(print_text(&info.overview())?),
    }
}
