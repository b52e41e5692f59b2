//! `afterthought model logits`: numbers to compare with those of another program.

use std::path::Path;

use afterthought_models::EncoderDecoderConfig;
use afterthought_models::hub::{self, write_logits};
use afterthought_models::inference::{DecoderRow, InferenceModel};
use anyhow::Context;
use serde::Deserialize;

use crate::args::ModelLogitsArgs;
use crate::commands::adapter::Adapter;
use crate::commands::loaded::needs_decoder;
use crate::commands::missing::require_file;
use crate::commands::model_path::resolve;
use crate::console::{Console, print_text};
use crate::exit::UsageError;

/// Most logits of a file: 4 GiB.
const MOST: usize = 1 << 30;

/// Runs every row through the model by itself and writes the logits.
pub(crate) fn run(args: &ModelLogitsArgs, console: &Console) -> anyhow::Result<()> {
    let directory = resolve(&args.model, console)?;
    require_file(&args.ids)?;
    let rows = Rows::read(&args.ids)?;
    let adapter = args.adapter.as_deref();
    if hub::is_encoder_decoder(&directory)? {
        return match adapter {
            Some(_) => Err(needs_decoder(&directory).into()),
            None => encoder_decoder(args, &directory, rows),
        };
    }
    let adapter = adapter.map(|given| Adapter::open(given, console)).transpose()?;
    if rows.decoder_ids.is_some() {
        let message =
            format!("{} has decoder_ids, but the model has no encoder", args.ids.display());
        return Err(UsageError::new(message).hint("leave them out").into());
    }
    let (config, checkpoint) = hub::open(&directory)?;
    check(&rows.ids, config.vocab_size, config.max_positions(), &args.ids)?;
    let vocab_size = config.vocab_size;
    let longest = rows.ids.iter().map(Vec::len).max().unwrap_or(0);
    let shape = [rows.ids.len(), longest, vocab_size];
    check_size(shape, &args.ids)?;
    let model = match &adapter {
        Some(adapter) => adapter.inference(config, &checkpoint)?,
        None => hub::inference_model(config, &checkpoint)?,
    };
    write(args, shape, rows.ids.iter().map(|ids| logits_of(&model, ids)))
}

/// Runs every row of `ids` through the encoder and the row of `decoder_ids` beside it through the
/// decoder; logits are those of the decoder's positions.
fn encoder_decoder(args: &ModelLogitsArgs, directory: &Path, rows: Rows) -> anyhow::Result<()> {
    let path = args.ids.display();
    let example = r#"for example {"ids": [[5, 9, 1]], "decoder_ids": [[0, 7]]}"#;
    let Some(inputs) = rows.decoder_ids else {
        let message = format!("{path} has no decoder_ids, which an encoder-decoder needs");
        return Err(UsageError::new(message).hint(example).into());
    };
    let (config, checkpoint) = hub::open_encoder_decoder(directory)?;
    let (vocab_size, positions) = (config.vocab_size, EncoderDecoderConfig::MAX_POSITIONS);
    check(&rows.ids, vocab_size, positions, &args.ids)?;
    check(&inputs, vocab_size, positions, &args.ids)?;
    if inputs.len() != rows.ids.len() {
        let (sources, targets) = (rows.ids.len(), inputs.len());
        let message = format!("{path} has {sources} rows of ids and {targets} of decoder_ids");
        return Err(UsageError::new(message).hint(example).into());
    }
    let longest = inputs.iter().map(Vec::len).max().unwrap_or(0);
    let shape = [inputs.len(), longest, vocab_size];
    check_size(shape, &args.ids)?;
    let model = hub::seq2seq_model(config, &checkpoint)?;
    write(
        args,
        shape,
        rows.ids.iter().zip(&inputs).map(|(ids, inputs)| {
            let mut logits = Vec::new();
            for source in model.encode(&[ids])? {
                let wanted: Vec<usize> = (0..inputs.len()).collect();
                let cache = &mut model.new_cache(&source, inputs.len());
                let row = DecoderRow { cache, tokens: inputs, wanted: &wanted };
                model.decode_into(&mut [row], &mut logits)?;
            }
            Ok(logits)
        }),
    )
}

/// Refuses more logits than a file may hold.
fn check_size(shape: [usize; 3], path: &Path) -> Result<(), UsageError> {
    let count = shape.into_iter().fold(1usize, usize::saturating_mul);
    if count > MOST {
        let message = format!("{}: {count} logits are too many for one file", path.display());
        return Err(UsageError::new(message).hint(format!("the most is {MOST}")));
    }
    Ok(())
}

/// Writes the logits of each row, those of shorter ones filled up with zeros.
fn write(
    args: &ModelLogitsArgs,
    shape: [usize; 3],
    rows: impl Iterator<Item = anyhow::Result<Vec<f32>>>,
) -> anyhow::Result<()> {
    let [count, longest, vocab_size] = shape;
    let mut logits = vec![0.0; count * longest * vocab_size];
    for (row, to) in rows.zip(logits.chunks_mut(longest * vocab_size)) {
        let row = row?;
        to[..row.len()].copy_from_slice(&row);
    }
    write_logits(&args.out, &logits, shape)?;
    let mut line = format!("{}: logits {count} x {longest} x {vocab_size}", args.out.display());
    if let Some(adapter) = &args.adapter {
        line += &format!(", with the adapter {}", adapter.display());
    }
    Ok(print_text(&line)?)
}

fn logits_of(model: &InferenceModel, ids: &[u32]) -> anyhow::Result<Vec<f32>> {
    let wanted: Vec<usize> = (0..ids.len()).collect();
    Ok(model.logits(&[(ids, &wanted)])?)
}

/// The ids of each row, and for encoder-decoder models those of the decoder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    ids: Vec<Vec<u32>>,
    #[serde(default)]
    decoder_ids: Option<Vec<Vec<u32>>>,
}

impl Rows {
    /// A list of lists, or an object with it as `ids`.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let list = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let rows = match list {
            true => serde_json::from_slice(&text).map(|ids| Self { ids, decoder_ids: None }),
            false => serde_json::from_slice(&text),
        };
        Ok(rows.map_err(|error| {
            let message = format!("{} is not a list of lists of token ids", path.display());
            UsageError::caused_by(message, error).hint("for example [[1, 5, 9], [7]]")
        })?)
    }
}

/// Checks the ids against the model.
fn check(
    rows: &[Vec<u32>],
    vocab_size: usize,
    positions: usize,
    path: &Path,
) -> anyhow::Result<()> {
    let path = path.display();
    let fail = |message: String, hint: &str| Err(UsageError::new(message).hint(hint).into());
    if rows.is_empty() {
        return fail(format!("{path} has no row"), "for example [[1, 5, 9], [7]]");
    }
    for (index, row) in rows.iter().enumerate() {
        if row.is_empty() {
            return fail(format!("{path}: row {index} is empty"), "leave it out");
        }
        if row.len() > positions {
            let message = format!(
                "{path}: row {index} has {} ids, the model {positions} positions",
                row.len()
            );
            return fail(message, "shorten it");
        }
        if let Some(at) = row.iter().position(|id| *id as usize >= vocab_size) {
            let message = format!(
                "{path}: row {index}, position {at}: token id {} is not below the vocabulary size {vocab_size}",
                row[at]
            );
            return fail(message, "was it made by the tokenizer of another model?");
        }
    }
    Ok(())
}
