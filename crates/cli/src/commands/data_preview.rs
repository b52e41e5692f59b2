//! `afterthought data preview`: rows as a model sees them.

use afterthought_text::{Checker, Encoded, Rows};
use serde::Serialize;

use crate::args::DataPreviewArgs;
use crate::commands::encoding::{encoder, template_missing};
use crate::commands::missing::require_file;
use crate::commands::token_view::{TokenStyle, paint};
use crate::console::{Console, print_json, print_text, printable};
use crate::exit::UsageError;

/// Prints the first rows as tokens.
pub(crate) fn run(args: &DataPreviewArgs, console: &Console) -> anyhow::Result<()> {
    require_file(&args.file)?;
    if args.rows == 0 {
        return Err(UsageError::new("--rows is 0").hint("ask for at least one row").into());
    }
    let encoder = encoder(&args.model, &args.encoding, console)?;
    let file = args.file.display().to_string();
    let mut checker = Checker::default();
    let mut rows = Vec::new();
    for row in Rows::open(&args.file)? {
        let mut row = row?;
        checker.check(&mut row);
        if let Some(problem) = row.fatal() {
            console.warn(&printable(&format!("left out {file}:{problem}")));
        }
        if let Some(record) = &row.record {
            let encoded = encoder.record(record).map_err(|error| {
                match template_missing(&error, &args.model) {
                    Some(missing) => missing.into(),
                    None => anyhow::Error::new(error).context(format!("{file}:{}", row.line)),
                }
            })?;
            rows.push((row.line, encoded));
        }
        if rows.len() == args.rows {
            break;
        }
    }
    if rows.is_empty() {
        anyhow::bail!("{file} has no row that can be used");
    }
    if args.json {
        let rows = rows.iter().map(|(line, encoded)| RowDocument::new(*line, encoded)).collect();
        return print_json(&Document { file, rows });
    }
    let style = TokenStyle { color: console.color_stdout(), ids: args.ids };
    let mut text = match style.color {
        true => String::new(),
        false => "[learnt] and (not learnt) tokens\n\n".to_owned(),
    };
    for (line, encoded) in &rows {
        let (tokens, learnt) = (encoded.ids.len(), encoded.trained());
        text += &format!("{file}:{line}: {tokens} tokens, {learnt} learnt\n");
        for warning in &encoded.warnings {
            text += &format!("  {}: {warning}\n", warning.name());
        }
        text += &paint(encoded, encoder.tokenizer(), style)?;
        text += "\n\n";
    }
    Ok(print_text(text.trim_end())?)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    file: String,
    rows: Vec<RowDocument<'a>>,
}

#[derive(Serialize)]
struct RowDocument<'a> {
    line: u64,
    text: &'a str,
    ids: &'a [u32],
    loss_mask: &'a [bool],
    warnings: Vec<&'static str>,
}

impl<'a> RowDocument<'a> {
    fn new(line: u64, encoded: &'a Encoded) -> Self {
        let Encoded { text, ids, loss_mask, .. } = encoded;
        let warnings = encoded.warnings.iter().map(|warning| warning.name()).collect();
        Self { line, text, ids, loss_mask, warnings }
    }
}
