use super::EncoderDecoderConfig;
use crate::NamedShape;
use crate::family::t5::{EMBEDDING, HEAD};

impl EncoderDecoderConfig {
    /// Every tensor that a model of these settings is built from, which must have been
    /// [validated](Self::validate).
    pub fn tensors(&self) -> Vec<NamedShape> {
        let table = vec![self.vocab_size, self.d_model];
        let mut tensors = vec![(EMBEDDING.to_owned(), table.clone())];
        for (stack, layers) in [("encoder", self.num_layers), ("decoder", self.num_decoder_layers)]
        {
            self.stack_tensors(stack, layers, &mut tensors);
        }
        if !self.tie_word_embeddings {
            tensors.push((HEAD.to_owned(), table));
        }
        tensors
    }

    fn stack_tensors(&self, stack: &str, layers: usize, tensors: &mut Vec<NamedShape>) {
        let (width, inner) = (self.d_model, self.inner_width());
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push((format!("{stack}.{name}.weight"), shape.to_vec()));
        };
        let buckets = self.relative_attention_num_buckets;
        add("block.0.layer.0.SelfAttention.relative_attention_bias", &[buckets, self.num_heads]);
        let attentions = match stack {
            "decoder" => &["SelfAttention", "EncDecAttention"][..],
            _ => &["SelfAttention"],
        };
        let into: &[&str] = if self.is_gated_act { &["wi_0", "wi_1"] } else { &["wi"] };
        for layer in 0..layers {
            let part = |part: usize| format!("block.{layer}.layer.{part}");
            for (index, attention) in attentions.iter().enumerate() {
                add(&format!("{}.layer_norm", part(index)), &[width]);
                for (matrix, shape) in [
                    ("q", [inner, width]),
                    ("k", [inner, width]),
                    ("v", [inner, width]),
                    ("o", [width, inner]),
                ] {
                    add(&format!("{}.{attention}.{matrix}", part(index)), &shape);
                }
            }
            let last = part(attentions.len());
            add(&format!("{last}.layer_norm"), &[width]);
            for matrix in into {
                add(&format!("{last}.DenseReluDense.{matrix}"), &[self.d_ff, width]);
            }
            add(&format!("{last}.DenseReluDense.wo"), &[width, self.d_ff]);
        }
        add("final_layer_norm", &[width]);
    }
}
