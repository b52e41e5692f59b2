//! What tensors are called in files. Inside, they have the names of Hugging Face's Llama classes.

/// Whose words the names are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameScheme {
    /// `model.layers.0.self_attn.q_proj.weight`: Llama, Mistral, Qwen, Dream, and conversions.
    #[default]
    Llama,
    /// `model.transformer.blocks.0.q_proj.weight`: LLaDA's own files.
    Llada,
}

/// How tensors of a model are called in its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorNames {
    /// Whose words.
    pub scheme: NameScheme,
    /// Whether names begin with `model.`; the head of [`NameScheme::Llama`] never does.
    pub prefixed: bool,
}

impl Default for TensorNames {
    fn default() -> Self {
        Self { scheme: NameScheme::Llama, prefixed: true }
    }
}

/// Modules of a block: our name and LLaDA's.
const BLOCK: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "q_proj"),
    ("self_attn.k_proj", "k_proj"),
    ("self_attn.v_proj", "v_proj"),
    ("self_attn.o_proj", "attn_out"),
    ("post_attention_layernorm", "ff_norm"),
    ("mlp.gate_proj", "ff_proj"),
    ("mlp.up_proj", "up_proj"),
    // The head has the same last word.
    ("mlp.down_proj", "ff_out"),
];

/// Modules outside of the blocks.
const OUTER: [(&str, &str); 3] =
    [("embed_tokens", "transformer.wte"), ("norm", "transformer.ln_f"), HEAD];

/// The head, whose name has no prefix in Llama's words.
const HEAD: (&str, &str) = ("lm_head", "transformer.ff_out");

impl TensorNames {
    /// The names that a file uses, by one of its names after another.
    pub fn detect<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for name in names {
            let bare = name.strip_prefix("model.");
            let rest = bare.unwrap_or(name);
            if rest.starts_with("transformer.") {
                return Self { scheme: NameScheme::Llada, prefixed: bare.is_some() };
            }
            if rest.starts_with("layers.") {
                found.prefixed = bare.is_some();
            }
        }
        found
    }

    /// The name in the file of a tensor or module, with or without a last part such as `.weight`.
    /// Names that are not of a decoder stay as they are.
    pub fn in_file(self, name: &str) -> String {
        let prefix = if self.prefixed { "model." } else { "" };
        let inner = name.strip_prefix("model.");
        match (self.scheme, inner) {
            (NameScheme::Llama, Some(inner)) => format!("{prefix}{inner}"),
            (NameScheme::Llama, None) => name.to_owned(),
            (NameScheme::Llada, _) => {
                let renamed = match inner.and_then(|inner| inner.strip_prefix("layers.")) {
                    Some(block) => rename_block(block, |pair| *pair)
                        .map(|block| format!("transformer.blocks.{block}")),
                    None => rename(inner.unwrap_or(name), &OUTER, |pair| *pair),
                };
                renamed.map_or_else(|| name.to_owned(), |renamed| format!("{prefix}{renamed}"))
            }
        }
    }

    /// Our name of a tensor or module of a file: the inverse of [`in_file`](Self::in_file).
    pub fn canonical(self, name: &str) -> String {
        let bare = match self.prefixed {
            true => name.strip_prefix("model."),
            false => Some(name),
        };
        let Some(bare) = bare else { return name.to_owned() };
        match self.scheme {
            NameScheme::Llama if bare.starts_with("lm_head") => name.to_owned(),
            NameScheme::Llama => format!("model.{bare}"),
            NameScheme::Llada => {
                let back = |pair: &(&'static str, &'static str)| (pair.1, pair.0);
                match bare.strip_prefix("transformer.blocks.") {
                    Some(block) => rename_block(block, back)
                        .map_or_else(|| name.to_owned(), |block| format!("model.layers.{block}")),
                    None => match rename(bare, &OUTER, back) {
                        Some(head) if head.starts_with(HEAD.0) => head,
                        Some(outer) => format!("model.{outer}"),
                        None => name.to_owned(),
                    },
                }
            }
        }
    }
}

type Pair = (&'static str, &'static str);

/// Renames what follows the number of a block.
fn rename_block(block: &str, direction: impl Fn(&Pair) -> Pair) -> Option<String> {
    let (index, module) = block.split_once('.')?;
    Some(format!("{index}.{}", rename(module, &BLOCK, direction)?))
}

/// Replaces the module at the beginning of a name by that of the other scheme.
fn rename(name: &str, pairs: &[Pair], direction: impl Fn(&Pair) -> Pair) -> Option<String> {
    pairs.iter().map(direction).find_map(|(from, to)| match name.strip_prefix(from)? {
        "" => Some(to.to_owned()),
        rest if rest.starts_with('.') => Some(format!("{to}{rest}")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLADA: TensorNames = TensorNames { scheme: NameScheme::Llada, prefixed: true };

    #[test]
    fn names_are_those_of_the_published_files() {
        for (ours, llada) in [
            ("model.embed_tokens.weight", "model.transformer.wte.weight"),
            ("model.norm.weight", "model.transformer.ln_f.weight"),
            ("lm_head.weight", "model.transformer.ff_out.weight"),
            ("model.layers.3.mlp.down_proj.weight", "model.transformer.blocks.3.ff_out.weight"),
            ("model.layers.31.mlp.gate_proj.weight", "model.transformer.blocks.31.ff_proj.weight"),
            (
                "model.layers.0.self_attn.o_proj.weight",
                "model.transformer.blocks.0.attn_out.weight",
            ),
            ("model.layers.0.self_attn.q_proj", "model.transformer.blocks.0.q_proj"),
            (
                "model.layers.0.input_layernorm.weight",
                "model.transformer.blocks.0.attn_norm.weight",
            ),
        ] {
            assert_eq!(LLADA.in_file(ours), llada);
            assert_eq!(LLADA.canonical(llada), ours);
            let bare = TensorNames { prefixed: false, ..LLADA };
            assert_eq!(bare.in_file(ours), llada.replacen("model.", "", 1));
            assert_eq!(bare.canonical(&llada.replacen("model.", "", 1)), ours);
            let plain = TensorNames { scheme: NameScheme::Llama, prefixed: false };
            assert_eq!(plain.canonical(&plain.in_file(ours)), ours);
            assert_eq!(TensorNames::default().in_file(ours), ours);
            assert_eq!(TensorNames::default().canonical(ours), ours);
        }
    }

    #[test]
    fn the_scheme_shows_in_the_names() {
        let detect = |names: &[&str]| TensorNames::detect(names.iter().copied());
        assert_eq!(detect(&["lm_head.weight", "model.transformer.wte.weight"]), LLADA);
        assert!(!detect(&["transformer.ff_out.weight"]).prefixed);
        assert_eq!(detect(&["lm_head.weight", "model.layers.0.x"]), TensorNames::default());
        assert!(!detect(&["embed_tokens.weight", "layers.0.x"]).prefixed);
    }
}
