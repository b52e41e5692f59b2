use super::checkpoint::{Checkpoint, ExpectedTensor};
use super::config_json::read_config;
use super::encoder_decoder::{is_encoder_decoder, open_encoder_decoder};
use super::locate::model_directory;
use crate::family::TensorNames;
use crate::inference::InferenceModel;
use crate::tensors::{EMBEDDING, HEAD};
use crate::{Decoder, DecoderConfig, Error, Network, WeightSource};
use burn::tensor::Device;
use std::collections::VecDeque;
use std::path::Path;

/// Loads a decoder from a model directory, in f32, one tensor at a time.
///
/// # Errors
/// Those of [`open`].
pub fn load(directory: &Path, device: &Device) -> Result<Decoder, Error> {
    let (config, checkpoint) = open(directory)?;
    decoder(config, &checkpoint, device)
}

/// [`load`] for a model that is not trained, or only through adapters: everything is frozen, and
/// matrices that came in bf16 stay so. No copy of the whole model in f32 is ever held.
///
/// # Errors
/// Those of [`open`].
pub fn load_frozen(directory: &Path, device: &Device) -> Result<Decoder, Error> {
    let (config, checkpoint) = open(directory)?;
    frozen_decoder(config, &checkpoint, device)
}

/// [`load`] for inference: each tensor is packed as it is read, and no second copy of it is kept.
///
/// # Errors
/// Those of [`open`].
pub fn load_inference(directory: &Path) -> Result<InferenceModel, Error> {
    let (config, checkpoint) = open(directory)?;
    inference_model(config, &checkpoint)
}

/// The decoder of what [`open`] gave, in f32.
///
/// # Errors
/// Those of [`Decoder::build`].
pub fn decoder(
    config: DecoderConfig,
    checkpoint: &Checkpoint,
    device: &Device,
) -> Result<Decoder, Error> {
    let names = config.tensor_names;
    Decoder::build(config, device, &mut source(checkpoint, move |name| names.in_file(name)))
}

/// [`decoder`] for a model that is not trained, or only through adapters; see [`load_frozen`].
///
/// # Errors
/// Those of [`Decoder::build_frozen`].
pub fn frozen_decoder(
    config: DecoderConfig,
    checkpoint: &Checkpoint,
    device: &Device,
) -> Result<Decoder, Error> {
    let names = config.tensor_names;
    let mut source = source(checkpoint, move |name| names.in_file(name));
    Decoder::build_frozen(config, device, &mut source)
}

/// The inference model of what [`open`] gave.
///
/// # Errors
/// Those of [`InferenceModel::build`].
pub fn inference_model(
    config: DecoderConfig,
    checkpoint: &Checkpoint,
) -> Result<InferenceModel, Error> {
    let names = config.tensor_names;
    InferenceModel::build(config, &mut source(checkpoint, move |name| names.in_file(name)))
}

/// Opens a model directory: settings read, and names, shapes and types of all tensors checked,
/// before any weight is read.
///
/// # Errors
/// Those of [`read_config`], [`Checkpoint::open`] and [`Checkpoint::require`], and
/// [`Error::Tensors`] for a tied head that differs from the embedding.
pub fn open(directory: &Path) -> Result<(DecoderConfig, Checkpoint), Error> {
    let directory = model_directory(directory)?;
    let mut config = read_config(&directory.join("config.json"))?;
    let checkpoint = Checkpoint::open(&directory)?;
    config.tensor_names = TensorNames::detect(checkpoint.names());
    check_tensors(&config, &checkpoint)?;
    Ok((config, checkpoint))
}

/// [`open`] for a model of either architecture.
///
/// # Errors
/// Those of [`open`] and [`open_encoder_decoder`].
pub fn open_network(directory: &Path) -> Result<(Network, Checkpoint), Error> {
    if is_encoder_decoder(directory)? {
        let (config, checkpoint) = open_encoder_decoder(directory)?;
        return Ok((Network::EncoderDecoder(config), checkpoint));
    }
    let (config, checkpoint) = open(directory)?;
    Ok((Network::Decoder(config), checkpoint))
}

fn check_tensors(config: &DecoderConfig, checkpoint: &Checkpoint) -> Result<(), Error> {
    let names = config.tensor_names;
    let in_file =
        |(name, shape): (String, Vec<usize>)| ExpectedTensor { name: names.in_file(&name), shape };
    let expected: Vec<_> = config.tensors().into_iter().map(in_file).collect();
    // Files may hold a tied head as well.
    let tied = config
        .tie_word_embeddings
        .then(|| in_file((HEAD.to_owned(), vec![config.vocab_size, config.hidden_size])));
    let optional: Vec<_> = tied.into_iter().collect();
    checkpoint.require(&expected, &optional, &is_buffer)?;
    let Some(head) = optional.first().and_then(|head| checkpoint.get(&head.name)) else {
        return Ok(());
    };
    let Some(table) = checkpoint.get(&names.in_file(EMBEDDING)) else { return Ok(()) };
    let same = head.1.dtype == table.1.dtype && head.0.data(head.1) == table.0.data(table.1);
    head.0.release(head.1);
    table.0.release(table.1);
    if same {
        return Ok(());
    }
    let (head, table) = (&head.1.name, &table.1.name);
    let problem = format!("{head} differs from {table}, though tie_word_embeddings is true");
    Err(Error::Tensors { path: checkpoint.path(), problems: vec![problem] })
}

/// Tensors of old files that follow from the settings.
pub(super) fn is_buffer(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

/// Tensors that a caller may hold at a time.
const HELD: usize = 4;

/// Gives weights by our names, which `in_file` turns into those of the file; their memory is given
/// back once later ones have been asked for.
pub(super) fn source<'a>(
    checkpoint: &'a Checkpoint,
    in_file: impl Fn(&str) -> String + 'a,
) -> Box<WeightSource<'a>> {
    let mut recent = VecDeque::new();
    Box::new(move |name, shape| {
        let name = in_file(name);
        let values = checkpoint.values(&name, shape)?;
        recent.push_back(name);
        if recent.len() > HELD {
            let oldest = recent.pop_front().and_then(|name| checkpoint.get(&name));
            if let Some((file, tensor)) = oldest {
                file.release(tensor);
            }
        }
        Ok(values)
    })
}
