use crate::DecoderConfig;

/// A tensor of a decoder: its name, in the words of Hugging Face's Llama and Qwen classes, and its
/// shape.
pub type NamedShape = (String, Vec<usize>);

/// The name of the output head.
pub(crate) const HEAD: &str = "lm_head.weight";
/// The name of the embedding table.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";

impl DecoderConfig {
    /// Every tensor that a decoder of these settings is built from, which must have been
    /// [validated](Self::validate).
    pub fn tensors(&self) -> Vec<NamedShape> {
        let (hidden, vocab) = (self.hidden_size, self.vocab_size);
        let mut tensors = vec![(EMBEDDING.to_owned(), vec![vocab, hidden])];
        for layer in 0..self.num_hidden_layers {
            self.layer_tensors(&format!("model.layers.{layer}"), &mut tensors);
        }
        tensors.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !self.tie_word_embeddings {
            tensors.push((HEAD.to_owned(), vec![vocab, hidden]));
        }
        tensors
    }

    fn layer_tensors(&self, prefix: &str, tensors: &mut Vec<NamedShape>) {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let queries = self.num_attention_heads * self.head_dim;
        let keys = self.num_key_value_heads * self.head_dim;
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push((format!("{prefix}.{name}"), shape.to_vec()));
        };
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            add(&format!("{norm}.weight"), &[hidden]);
        }
        for (name, inputs, outputs, bias) in [
            ("self_attn.q_proj", hidden, queries, self.attention_bias),
            ("self_attn.k_proj", hidden, keys, self.attention_bias),
            ("self_attn.v_proj", hidden, keys, self.attention_bias),
            ("self_attn.o_proj", queries, hidden, self.output_bias),
            ("mlp.gate_proj", hidden, inner, self.mlp_bias),
            ("mlp.up_proj", hidden, inner, self.mlp_bias),
            ("mlp.down_proj", inner, hidden, self.mlp_bias),
        ] {
            add(&format!("{name}.weight"), &[outputs, inputs]);
            if bias {
                add(&format!("{name}.bias"), &[outputs]);
            }
        }
        if self.qk_norm {
            for norm in ["q_norm", "k_norm"] {
                add(&format!("self_attn.{norm}.weight"), &[self.head_dim]);
            }
        }
    }
}
