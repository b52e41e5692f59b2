//! `--adapter`: a PEFT directory, merged into the weights of its base as they are loaded.

use std::path::{Path, PathBuf};

use afterthought_adapters::{merge, peft};
use afterthought_models::hub::{self, Checkpoint};
use afterthought_models::inference::InferenceModel;
use afterthought_models::{Decoder, DecoderConfig};
use burn::tensor::Device;
use serde::Serialize;

use crate::commands::model_path::resolve;
use crate::console::Console;

/// A low-rank adapter and whether its base is known.
///
/// Its terms are added to the weights in f32, `W + scale B A`, as `model merge` does; packed weights
/// are rounded once, after that.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Adapter {
    /// The directory.
    pub(crate) directory: PathBuf,
    /// Whether the adapter records which base weights it belongs to, so that others are refused.
    base_checked: bool,
}

impl Adapter {
    /// Finds an adapter; the base decides later whether it fits.
    ///
    /// # Errors
    /// A usage error for a directory that is not there; a failure for one without an adapter.
    pub(crate) fn open(given: &Path, console: &Console) -> anyhow::Result<Self> {
        let directory = resolve(given, console)?;
        let base_checked = peft::recorded_base(&directory)?.is_some();
        if !base_checked {
            warn_unchecked(&directory, console);
        }
        Ok(Self { directory, base_checked })
    }

    /// The base with the adapter, in f32.
    ///
    /// # Errors
    /// The weights cannot be read, or the adapter is not one for them: [`peft::load`] says why.
    pub(crate) fn decoder(
        &self,
        config: DecoderConfig,
        checkpoint: &Checkpoint,
    ) -> anyhow::Result<Decoder> {
        let mut decoder = hub::decoder(config, checkpoint, &Device::flex())?;
        peft::load(&mut decoder, &self.directory)?;
        merge(&mut decoder)?;
        Ok(decoder)
    }

    /// The base with the adapter, packed for decoding. Weights that the adapter leaves alone keep
    /// the precision that they are stored in.
    ///
    /// # Errors
    /// Those of [`Self::decoder`].
    pub(crate) fn inference(
        &self,
        config: DecoderConfig,
        checkpoint: &Checkpoint,
    ) -> anyhow::Result<InferenceModel> {
        let mut decoder = hub::frozen_decoder(config, checkpoint, &Device::flex())?;
        peft::load(&mut decoder, &self.directory)?;
        // Packing merges each adapted weight by itself.
        Ok(InferenceModel::from_decoder(&decoder)?)
    }
}

/// Says that an adapter does not name its base.
pub(crate) fn warn_unchecked(adapter: &Path, console: &Console) {
    console.warn(&format!(
        "{} records no hash of its base weights: only names and shapes were checked",
        adapter.display()
    ));
}
