use crate::{DecoderConfig, Error};
use std::f64::consts::PI;

/// How rotary frequencies are stretched for positions beyond those of pre-training: the types of
/// `rope_parameters` (`rope_scaling` in older files) of Hugging Face configurations.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RopeScaling {
    /// Type `default`: not at all.
    #[default]
    None,
    /// Frequencies divided by `factor` (position interpolation, arXiv:2306.15595).
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// The base grows with the length of the sequence once it exceeds `max_position_embeddings`
    /// ("dynamic NTK").
    Dynamic {
        /// At least 1.
        factor: f64,
    },
    /// High frequencies kept, low ones divided, a ramp between (Llama 3.1).
    Llama3(Llama3),
    /// The same idea in rotations over the window, and a factor on the scores (arXiv:2309.00071).
    Yarn(Yarn),
}

/// Settings of type `llama3`.
#[derive(Clone, Debug, PartialEq)]
pub struct Llama3 {
    /// Divisor of the low frequencies.
    pub factor: f64,
    /// The ramp begins where this many wavelengths fit the original window.
    pub low_freq_factor: f64,
    /// The ramp ends where this many do.
    pub high_freq_factor: f64,
    /// Positions of pre-training.
    pub original_max_position_embeddings: usize,
}

/// Settings of type `yarn`.
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// Divisor of the low frequencies; if absent, the ratio of the two windows.
    pub factor: Option<f64>,
    /// Positions of pre-training.
    pub original_max_position_embeddings: usize,
    /// Factor on cosines and sines, if it is not to follow from `factor`.
    pub attention_factor: Option<f64>,
    /// Rotations over the original window above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations below which it is divided by `factor`.
    pub beta_slow: f64,
    /// Weights of the attention factor's logarithm (DeepSeek).
    pub mscale: Option<f64>,
    /// The denominator's weight.
    pub mscale_all_dim: Option<f64>,
    /// Whether the bounds of the ramp are rounded to whole dimensions.
    pub truncate: bool,
}

impl Yarn {
    /// The default of `beta_fast`.
    pub const BETA_FAST: f64 = 32.0;
    /// The default of `beta_slow`.
    pub const BETA_SLOW: f64 = 1.0;

    fn factor(&self, max_position_embeddings: usize) -> f64 {
        let ratio =
            max_position_embeddings as f64 / self.original_max_position_embeddings.max(1) as f64;
        self.factor.unwrap_or(ratio)
    }

    /// Factor on cosines and sines.
    fn attention(&self, factor: f64) -> f64 {
        let mscale = |weight: f64| match factor <= 1.0 {
            true => 1.0,
            false => 0.1 * weight * factor.ln() + 1.0,
        };
        match (self.attention_factor, self.mscale, self.mscale_all_dim) {
            (Some(given), _, _) => given,
            (None, Some(over), Some(under)) if over != 0.0 && under != 0.0 => {
                mscale(over) / mscale(under)
            }
            _ => mscale(1.0),
        }
    }
}

/// Inverse frequencies, and the factor on cosines and sines.
pub(crate) struct Frequencies {
    /// Radians a position for each pair of dimensions.
    pub(crate) inverse: Vec<f64>,
    pub(crate) attention_factor: f64,
}

impl RopeScaling {
    /// Most positions of a model with `window` ones before stretching.
    pub(crate) fn positions(&self, window: usize) -> usize {
        let stretched = |original: usize, factor: f64| (original as f64 * factor) as usize;
        match self {
            Self::None => window,
            Self::Linear { factor } | Self::Dynamic { factor } => stretched(window, *factor),
            Self::Llama3(Llama3 { factor, original_max_position_embeddings, .. }) => {
                window.max(stretched(*original_max_position_embeddings, *factor))
            }
            Self::Yarn(yarn) => {
                let original = yarn.original_max_position_embeddings;
                window.max(stretched(original, yarn.factor(window)))
            }
        }
    }

    /// Whether frequencies depend on the length of a sequence beyond `window`.
    pub(crate) fn depends_on_length(&self) -> bool {
        matches!(self, Self::Dynamic { .. })
    }

    pub(crate) fn validate(&self, config: &DecoderConfig) -> Result<(), Error> {
        let fail = |problem| Err(Error::Config { key: "rope_parameters", problem });
        let window = config.max_position_embeddings;
        let (factor, original) = match self {
            Self::None => return Ok(()),
            Self::Linear { factor } | Self::Dynamic { factor } => (*factor, 1),
            Self::Llama3(llama3) => (llama3.factor, llama3.original_max_position_embeddings),
            Self::Yarn(yarn) => (yarn.factor(window), yarn.original_max_position_embeddings),
        };
        if !(1.0..=1e6).contains(&factor) {
            return fail(format!("have factor {factor}; expected 1 to 1e6"));
        }
        if original == 0 || original > 1 << 24 {
            let key = "original_max_position_embeddings";
            return fail(format!("have {key} {original}; expected 1 to {}", 1 << 24));
        }
        if self.positions(window) > 1 << 26 {
            return fail(format!("stretch {window} positions by {factor}: too many"));
        }
        match self {
            Self::Dynamic { .. } if config.head_dim < 4 => {
                fail("of type dynamic need heads of at least 4 dimensions".to_owned())
            }
            Self::Llama3(Llama3 { low_freq_factor: low, high_freq_factor: high, .. })
                if !(*low > 0.0 && *high > *low && high.is_finite()) =>
            {
                fail(format!("have low_freq_factor {low} and high_freq_factor {high}"))
            }
            Self::Yarn(Yarn { beta_fast: fast, beta_slow: slow, .. })
                if !(*slow > 0.0 && *fast >= *slow && fast.is_finite()) =>
            {
                fail(format!("have beta_fast {fast} and beta_slow {slow}"))
            }
            Self::Yarn(_) if config.rope_theta <= 1.0 => {
                fail(format!("of type yarn need a base above 1, not {}", config.rope_theta))
            }
            Self::Yarn(yarn) => {
                let given = [yarn.attention_factor, yarn.mscale, yarn.mscale_all_dim];
                match given.into_iter().flatten().find(|value| !(0.0..=1e3).contains(value)) {
                    Some(value) => fail(format!("have an attention factor or mscale of {value}")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Frequencies for sequences of `length` positions.
    pub(crate) fn frequencies(&self, config: &DecoderConfig, length: usize) -> Frequencies {
        let (theta, dim) = (config.rope_theta, config.head_dim);
        let window = config.max_position_embeddings;
        let standard = |theta: f64| -> Vec<f64> {
            (0..dim / 2).map(|i| theta.powf(-2.0 * i as f64 / dim as f64)).collect()
        };
        let (inverse, attention_factor) = match self {
            Self::None => (standard(theta), 1.0),
            Self::Linear { factor } => (standard(theta).iter().map(|f| f / factor).collect(), 1.0),
            Self::Dynamic { factor } => {
                let stretch = length.max(window) as f64 / window as f64;
                let grown = factor * stretch - (factor - 1.0);
                let exponent = dim as f64 / (dim as f64 - 2.0);
                (standard(theta * grown.powf(exponent)), 1.0)
            }
            Self::Llama3(llama3) => {
                (standard(theta).iter().map(|f| llama3_frequency(llama3, *f)).collect(), 1.0)
            }
            Self::Yarn(yarn) => {
                let factor = yarn.factor(window);
                let keep = yarn_keep(yarn, theta, dim);
                let mix = standard(theta).into_iter().zip(keep);
                let mix = mix.map(|(f, keep)| f / factor * (1.0 - keep) + f * keep);
                (mix.collect(), yarn.attention(factor))
            }
        };
        Frequencies { inverse, attention_factor }
    }
}

fn llama3_frequency(settings: &Llama3, frequency: f64) -> f64 {
    let Llama3 { factor, low_freq_factor: low, high_freq_factor: high, .. } = settings;
    // Wavelengths that fit the original window.
    let fit = settings.original_max_position_embeddings as f64 * frequency / (2.0 * PI);
    if fit > *high {
        return frequency;
    }
    if fit < *low {
        return frequency / factor;
    }
    let smooth = (fit - low) / (high - low);
    (1.0 - smooth) * frequency / factor + smooth * frequency
}

/// For each frequency, how much of it is kept (1) rather than divided (0).
fn yarn_keep(yarn: &Yarn, theta: f64, dim: usize) -> Vec<f64> {
    let original = yarn.original_max_position_embeddings as f64;
    // The dimension that makes this many rotations over the original window.
    let dimension =
        |rotations: f64| dim as f64 * (original / (rotations * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let (mut low, mut high) = (dimension(yarn.beta_fast), dimension(yarn.beta_slow));
    if yarn.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.0), high.min(dim as f64 - 1.0));
    if low == high {
        high += 0.001;
    }
    (0..dim / 2).map(|i| 1.0 - ((i as f64 - low) / (high - low)).clamp(0.0, 1.0)).collect()
}
