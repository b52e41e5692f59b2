use super::checkpoint::{Checkpoint, ExpectedTensor};
use super::config_json::{read_object, write_merged};
use super::load::source;
use super::locate::model_directory;
use super::save::{SaveOptions, collect, save_tensors};
use crate::family::t5;
use crate::inference::Seq2SeqModel;
use crate::{EncoderDecoder, EncoderDecoderConfig, Error};
use burn::tensor::Device;
use std::path::Path;

/// Loads an encoder-decoder from a model directory, in f32, one tensor at a time.
///
/// # Errors
/// Those of [`open_encoder_decoder`].
pub fn load_encoder_decoder(directory: &Path, device: &Device) -> Result<EncoderDecoder, Error> {
    let (config, checkpoint) = open_encoder_decoder(directory)?;
    encoder_decoder(config, &checkpoint, device)
}

/// [`load_encoder_decoder`] for inference: each tensor is packed as it is read, and no second copy
/// of it is kept.
///
/// # Errors
/// Those of [`open_encoder_decoder`].
pub fn load_seq2seq(directory: &Path) -> Result<Seq2SeqModel, Error> {
    let (config, checkpoint) = open_encoder_decoder(directory)?;
    seq2seq_model(config, &checkpoint)
}

/// The model of what [`open_encoder_decoder`] gave, in f32.
///
/// # Errors
/// Those of [`EncoderDecoder::build`].
pub fn encoder_decoder(
    config: EncoderDecoderConfig,
    checkpoint: &Checkpoint,
    device: &Device,
) -> Result<EncoderDecoder, Error> {
    let names = in_file(&config, checkpoint);
    EncoderDecoder::build(config, device, &mut source(checkpoint, names))
}

/// The inference model of what [`open_encoder_decoder`] gave.
///
/// # Errors
/// Those of [`Seq2SeqModel::build`].
pub fn seq2seq_model(
    config: EncoderDecoderConfig,
    checkpoint: &Checkpoint,
) -> Result<Seq2SeqModel, Error> {
    let names = in_file(&config, checkpoint);
    Seq2SeqModel::build(config, &mut source(checkpoint, names))
}

/// Whether a model directory's `config.json` describes an encoder-decoder. That there is none is
/// for whoever opens the directory to say.
///
/// # Errors
/// [`Error::Io`] or [`Error::Json`] if it cannot be read.
pub fn is_encoder_decoder(directory: &Path) -> Result<bool, Error> {
    let path = model_directory(directory)?.join("config.json");
    if !path.exists() {
        return Ok(false);
    }
    let json = read_object(&path)?;
    Ok(json.get("model_type").is_some_and(|value| value == t5::MODEL_TYPE))
}

/// Opens a model directory: settings read, and names, shapes and types of all tensors checked,
/// before any weight is read.
///
/// # Errors
/// [`Error::ConfigFile`], those of [`Checkpoint::open`] and [`Checkpoint::require`], and
/// [`Error::Tensors`] for a copy of the embedding that differs from it.
pub fn open_encoder_decoder(directory: &Path) -> Result<(EncoderDecoderConfig, Checkpoint), Error> {
    let directory = model_directory(directory)?;
    let path = directory.join("config.json");
    let in_config = |error| match error {
        Error::Config { key, problem } => Error::ConfigFile { path: path.clone(), key, problem },
        other => other,
    };
    let json = read_object(&path)?;
    let mut config = t5::read(&json).map_err(in_config)?;
    let checkpoint = Checkpoint::open(&directory)?;
    t5::fit_to_file(&mut config, &|name| shape(&checkpoint, name));
    // `transformers` 5, which writes this key, says of every model that its head is tied, and ties
    // it unless the file has a head that differs.
    if json.contains_key(t5::SCALE_KEY) && config.tie_word_embeddings {
        let embedding = in_file(&config, &checkpoint)(t5::EMBEDDING);
        config.tie_word_embeddings = same_values(&checkpoint, t5::HEAD, &embedding) != Some(false);
    }
    config.validate().map_err(in_config)?;
    check_tensors(&config, &checkpoint)?;
    Ok((config, checkpoint))
}

fn shape<'a>(checkpoint: &'a Checkpoint, name: &str) -> Option<&'a [usize]> {
    checkpoint.get(name).map(|(_, tensor)| &tensor.shape[..])
}

/// The names of a file by ours: they differ in that of the embedding only.
fn in_file(
    config: &EncoderDecoderConfig,
    checkpoint: &Checkpoint,
) -> impl Fn(&str) -> String + use<> {
    let embedding = t5::embedding_name(config, &|name| shape(checkpoint, name));
    move |name| if name == t5::EMBEDDING { embedding } else { name }.to_owned()
}

fn check_tensors(config: &EncoderDecoderConfig, checkpoint: &Checkpoint) -> Result<(), Error> {
    let names = in_file(config, checkpoint);
    let expected: Vec<ExpectedTensor> = (config.tensors().into_iter())
        .map(|(name, shape)| ExpectedTensor { name: names(&name), shape })
        .collect();
    let embedding = names(t5::EMBEDDING);
    let table = vec![config.vocab_size, config.d_model];
    let head = config.tie_word_embeddings.then_some(t5::HEAD);
    let copies: Vec<ExpectedTensor> = ([t5::EMBEDDING].into_iter())
        .chain(t5::EMBEDDING_DUPLICATES)
        .chain(head)
        .filter(|name| *name != embedding)
        .map(|name| ExpectedTensor { name: name.to_owned(), shape: table.clone() })
        .collect();
    checkpoint.require(&expected, &copies, &t5::is_unused)?;
    let problems: Vec<String> = (copies.iter())
        .filter(|copy| same_values(checkpoint, &copy.name, &embedding) == Some(false))
        .map(|copy| match copy.name == t5::HEAD {
            true => {
                format!("{} differs from {embedding}, but tie_word_embeddings is true", copy.name)
            }
            false => format!("{} differs from {embedding}, of which it is a copy", copy.name),
        })
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::Tensors { path: checkpoint.path(), problems }),
    }
}

/// Whether two tensors have the same type and bits; `None` if one of them is not there.
fn same_values(checkpoint: &Checkpoint, name: &str, other: &str) -> Option<bool> {
    let (tensor, other) = (checkpoint.get(name)?, checkpoint.get(other)?);
    let same = tensor.1.dtype == other.1.dtype && tensor.0.data(tensor.1) == other.0.data(other.1);
    tensor.0.release(tensor.1);
    other.0.release(other.1);
    Some(same)
}

/// Writes an encoder-decoder as a directory, so that it appears whole or not at all. Nothing may
/// stand at that name yet.
///
/// # Errors
/// [`Error::Io`], also when `directory` exists.
pub fn save_encoder_decoder(
    model: &EncoderDecoder,
    options: SaveOptions<'_>,
    directory: &Path,
) -> Result<(), Error> {
    let tensors = collect(|visitor| model.clone().visit(visitor));
    save_tensors(tensors, &options, directory, |path| {
        write_merged(t5::write(model.config()), options.dtype.name(), options.base, path)
    })
}
