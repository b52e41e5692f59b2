//! `--model`, `--template`, `--raw` and `--special-as-text`: an encoder for rows.

use std::path::Path;

use afterthought_text::{ChatTemplate, Encoder, Error, SpecialInContent, Tokenizer};
use anyhow::Context;

use crate::args::EncodingArgs;
use crate::commands::missing::require_file;
use crate::commands::model_path::resolve;
use crate::console::Console;
use crate::exit::UsageError;

/// The encoder of a model directory, which needs no weights.
///
/// # Errors
/// A usage error where the directory or one of its files is missing; a failure where a file is not
/// what it should be.
pub(crate) fn encoder(
    given: &Path,
    args: &EncodingArgs,
    console: &Console,
) -> anyhow::Result<Encoder> {
    let model = &resolve(given, console)?;
    if !model.join("tokenizer.json").is_file() {
        return Err(UsageError::new(format!("{} has no tokenizer.json", model.display()))
            .hint("name a model directory")
            .into());
    }
    let special = match args.special_as_text {
        true => SpecialInContent::Text,
        false => SpecialInContent::Tokens,
    };
    let tokenizer = Tokenizer::from_file(model.join("tokenizer.json"))?;
    let encoder = Encoder::raw(model, tokenizer)?.with_special_in_content(special);
    if args.raw {
        return Ok(encoder);
    }
    let Some(path) = &args.template else {
        return Ok(encoder.with_template(ChatTemplate::find(model)?));
    };
    require_file(path)?;
    let source =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let template = ChatTemplate::from_source(&path.display().to_string(), &source)?;
    Ok(encoder.with_template(Some(template.with_special_tokens(model)?)))
}

/// The usage error for conversations and a model that has no chat template, if that is the error.
pub(crate) fn template_missing(error: &Error, model: &Path) -> Option<UsageError> {
    let Error::NoTemplate { .. } = error else { return None };
    let message =
        format!("the rows are conversations, and {} has no chat template", model.display());
    Some(UsageError::new(message).hint("give one with --template FILE"))
}
