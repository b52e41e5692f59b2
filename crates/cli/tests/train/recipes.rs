//! What is wrong with a recipe, `--dry-run`, the checked-in recipes.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::workplace::{Workplace, metrics};

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The reference page and the schema are made from the program's own table.
#[test]
fn row_14_the_reference_and_the_schema_are_those_of_the_program() {
    let workplace = Workplace::new();
    for (what, file) in [("reference", "docs/recipes.md"), ("schema", "docs/train.schema.json")] {
        let (printed, _) = workplace.train(&["--print", what], 0);
        let kept = fs::read_to_string(repository(file)).unwrap();
        assert!(
            printed.trim_end() == kept.trim_end(),
            "{file} is out of date: afterthought train --print {what} > {file}"
        );
    }
}

/// A directory with the settings and shapes of LLaDA-8B-Instruct, a byte-level tokenizer with its
/// special tokens, and weights that take no space: nothing but their header is ever read.
pub(crate) fn llada_8b(directory: &Path) {
    fs::create_dir(directory).unwrap();
    let config = json!({
        "model_type": "llada", "architectures": ["LLaDAModelLM"], "block_type": "llama",
        "d_model": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 32, "mlp_hidden_size": 12288,
        "mlp_ratio": 4, "activation_type": "silu", "layer_norm_type": "rms", "rms_norm_eps": 1e-5,
        "rope": true, "rope_theta": 500000.0, "rope_full_precision": true, "include_bias": false,
        "include_qkv_bias": false, "weight_tying": false, "vocab_size": 126464,
        "embedding_size": 126464, "max_sequence_length": 4096, "eos_token_id": 126081,
        "pad_token_id": 126081, "mask_token_id": 126336, "torch_dtype": "bfloat16",
    });
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    let special = [126080, 126081, 126336, 126346, 126347, 126348];
    let names = [
        "<|startoftext|>",
        "<|endoftext|>",
        "<|mdm_mask|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ];
    // The alphabet of byte-level tokenizers: printable bytes as they are, the others shifted.
    let printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut shifted = 256;
    let mut vocabulary = Map::new();
    for byte in 0..256u32 {
        let code = if printable(byte) { byte } else { shifted };
        shifted += u32::from(!printable(byte));
        vocabulary.insert(char::from_u32(code).unwrap().to_string(), byte.into());
    }
    for id in 256..126464u32 {
        if !special.contains(&id) {
            vocabulary.insert(format!("unused-{id}"), id.into());
        }
    }
    for (name, id) in names.iter().zip(special) {
        vocabulary.insert((*name).to_owned(), id.into());
    }
    let added: Vec<Value> = (names.iter().zip(special))
        .map(|(name, id)| {
            json!({"id": id, "content": name, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": byte_level, "post_processor": null,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                  "ignore_merges": false, "vocab": vocabulary, "merges": []},
    });
    fs::write(directory.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let template = "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n\
                    {{ m.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}\
                    <|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";
    fs::write(directory.join("chat_template.jinja"), template).unwrap();

    let (wide, inner, words) = (4096u64, 12288u64, 126464u64);
    let mut tensors = vec![
        ("model.transformer.wte.weight".to_owned(), vec![words, wide]),
        ("model.transformer.ln_f.weight".to_owned(), vec![wide]),
        ("model.transformer.ff_out.weight".to_owned(), vec![words, wide]),
    ];
    for block in 0..32 {
        for (name, shape) in [
            ("attn_norm", vec![wide]),
            ("ff_norm", vec![wide]),
            ("q_proj", vec![wide, wide]),
            ("k_proj", vec![wide, wide]),
            ("v_proj", vec![wide, wide]),
            ("attn_out", vec![wide, wide]),
            ("ff_proj", vec![inner, wide]),
            ("up_proj", vec![inner, wide]),
            ("ff_out", vec![wide, inner]),
        ] {
            tensors.push((format!("model.transformer.blocks.{block}.{name}.weight"), shape));
        }
    }
    let (mut header, mut end) = (Map::new(), 0u64);
    for (name, shape) in tensors {
        let begin = end;
        end += 2 * shape.iter().product::<u64>();
        header.insert(name, json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let mut text = Value::Object(header).to_string();
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    let mut file = fs::File::create(directory.join("model.safetensors")).unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_len(8 + text.len() as u64 + end).unwrap();
}

/// The paper's recipes: settings, data, reward on one sample, memory and time, on a model of the
/// shape of LLaDA-8B-Instruct.
#[test]
fn the_recipes_of_the_paper_pass_their_dry_run() {
    let workplace = Workplace::new();
    llada_8b(&workplace.path("llada"));
    workplace.write(
        "countdown.jsonl",
        "{\"input\": \"30,100,93\", \"output\": \"23\"}\n{\"input\": \"5,26,7\", \"output\": \"38\"}\n",
    );
    let rl = repository("recipes/d1/paper.toml").display().to_string();
    let shared = ["--dry-run", "--json", "--set", "model.path=llada"];
    let files = ["--set", "data.train=countdown.jsonl", "--set", "data.validation=countdown.jsonl"];
    let length = ["--set", "data.max_length=2000"];
    let arguments = [&[rl.as_str()], &shared[..], &files, &length].concat();
    let plan: Value = serde_json::from_str(&workplace.train(&arguments, 0).0).unwrap();
    // Two embeddings of 518.0 M and 32 blocks (2 norms, 4 x 4096^2, 3 x 4096 x 12288).
    assert_eq!(plan["model"]["parameters"], 8_015_581_184u64);
    // All seven layers of every block, by LLaDA's names, and not the head of the same name.
    let adapter = plan["adapter"].as_array().unwrap();
    assert_eq!(adapter.len(), 7 * 32);
    assert!(adapter.iter().all(|path| path != "model.transformer.ff_out"));
    assert_eq!(plan["estimate"]["trainable"], 335_544_320u64);
    assert_eq!(plan["reward"]["total"], 0.0);
    assert_eq!(plan["data"][0]["rows"], 2);
    assert!(plan["estimate"]["state_bytes"].as_u64().unwrap() > 16_031_000_000);
    assert!(plan["estimate"]["step_seconds"].as_f64().unwrap() > 0.0);
    let prompt = plan["sample"]["view"].as_str().unwrap();
    assert!(prompt.contains("<|start_header_id|>") && prompt.contains("<|eot_id|>"), "{prompt}");
    let (text, _) = workplace.train(
        &[&[rl.as_str(), "--dry-run", "--set", "model.path=llada"], &files[..], &length].concat(),
        0,
    );
    assert!(text.contains("8.016 B parameters, 16.0 GB on disk"), "{text}");

    let row = "{\"prompt\": \"What is 1 + 1?\", \"completion\": \"<reasoning>1 + 1 = 2</reasoning>\\n<answer>2</answer>\"}\n";
    workplace.write("s1k.jsonl", row);
    let sft = repository("recipes/d1/paper-sft.toml").display().to_string();
    let files = ["--set", "data.train=s1k.jsonl", "--set", "data.validation=s1k.jsonl"];
    let plan = workplace.train(&[&[sft.as_str()], &shared[..], &files].concat(), 0).0;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["adapter"].as_array().unwrap().len(), 3 * 32);
    assert!(plan["sample"]["learnt"].as_u64().unwrap() > 40);
}

/// Rollouts with a cache and a threshold, on a model that knows the words of the tasks.
#[test]
fn a_policy_learns_with_the_cache_that_it_is_decoded_with() {
    let workplace = Workplace::new();
    workplace.write("words.txt", &(afterthought_tasks::writers::vocabulary().join("\n") + "\n"));
    let new = ["model", "new", "--out", "base", "--words", "words.txt", "--hidden", "32"];
    workplace.run(&[&new[..], &["--layers", "1", "--intermediate", "48"]].concat(), 0);
    let recipe = repository("recipes/d1/cached.toml").display().to_string();
    let mut settings = vec![recipe.as_str()];
    for set in [
        "model.path=base",
        "data.problems=20",
        "data.validation_limit=4",
        "rl.prompts=2",
        "rl.group_size=2",
        "rl.inner_updates=1",
        "run.steps=2",
    ] {
        settings.extend(["--set", set]);
    }
    workplace.train(&[&settings[..], &["--out", "a"]].concat(), 0);
    let calls = |run: &str| {
        let lines = metrics(&workplace.path(run));
        lines.iter().find_map(|line| line["model_calls"].as_f64()).unwrap()
    };
    // A threshold of 0 writes each block at once.
    let at_once = ["--set", "sampling.threshold=0", "--out", "b"];
    workplace.train(&[&settings[..], &at_once].concat(), 0);
    assert!(calls("b") <= 10.0 && calls("a") > calls("b"), "{} {}", calls("a"), calls("b"));
    let wrong = [
        ("sampling.tokens_per_step=2", "`sampling.tokens_per_step` exclude each other"),
        ("rl.estimator=trace_replay", "`sampling.cache` must be \"exact\""),
        (
            "sampling.cache=prefix",
            "`sampling.cache_ahead` has no effect without `cache = \"dual\"`",
        ),
        ("sampling.cache=exact", "`sampling.cache_refresh` has no effect"),
        ("sampling.remasking=random", "needs `remasking = \"low_confidence\"`"),
    ];
    for (set, expected) in wrong {
        let arguments = [&settings[..], &["--set", set, "--out", "c"]].concat();
        let (_, error) = workplace.train(&arguments, 2);
        assert!(error.contains(expected), "{error}");
    }
}

/// Row 14: all problems at once, with place and nearest name, before anything is opened.
#[test]
fn row_14_all_problems_of_a_recipe_come_at_once() {
    let workplace = Workplace::new();
    let text = "method = \"sft\"\n[model]\npath = \"nowhere\"\n[optimiser]\nlearning_rate = 1\n\
                [run]\nsteps = \"many\"\n[data]\ntrain = \"rows.jsonl\"\n";
    workplace.write("wrong.toml", text);
    let (_, error) = workplace.train(&["wrong.toml"], 2);
    assert!(error.contains("the recipe has 3 problems"), "{error}");
    assert!(
        error.contains("wrong.toml:4:2: unknown key `optimiser` (did you mean `optimizer`?)"),
        "{error}"
    );
    assert!(error.contains("wrong.toml:7:1: `run.steps` is \"many\""), "{error}");
    let (_, error) = workplace.train(&["srt.toml"], 2);
    assert!(error.contains("did you mean sft.toml?"), "{error}");
}

#[test]
fn a_dry_run_plans_and_trains_nothing() {
    let workplace = Workplace::new();
    let (text, _) = workplace.train(&["sft.toml", "--dry-run", "--out", "a"], 0);
    assert!(text.contains("rows.jsonl: 90 rows of 7 to 10 tokens"), "{text}");
    assert!(text.contains("(=)[0][<eos>]"), "{text}");
    assert!(text.contains("memory") && text.contains("time"), "{text}");
    assert!(!workplace.path("a").exists());
    let (text, _) = workplace.train(&["diffu-grpo.toml", "--dry-run", "--json"], 0);
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["reward"]["parts"]["regex"], 0.0);
    assert_eq!(plan["data"][0]["rows"], 24);
    let lora =
        ["mdlm.toml", "--dry-run", "--json", "--set", "lora.targets=[\"q_proj\", \"vv_proj\"]"];
    let (_, error) = workplace.train(&lora, 1);
    assert!(error.contains("vv_proj") && error.contains("v_proj"), "{error}");
}

#[test]
fn a_method_and_a_model_of_another_kind_do_not_go_together() {
    let workplace = Workplace::new();
    let (_, error) = workplace.train(&["sft.toml", "--set", "model.path=diffusion"], 2);
    assert!(error.contains("not a causal model") && error.contains("mdlm"), "{error}");
    let (_, error) = workplace.train(&["mdlm.toml", "--set", "model.path=causal"], 2);
    assert!(error.contains("not a masked-diffusion model"), "{error}");
}

/// What is trained is a model directory like any other, and an adapter is a PEFT directory.
#[test]
fn results_are_directories_for_other_commands() {
    let workplace = Workplace::new();
    workplace.train(&["sft.toml", "--set", "run.steps=2", "--out", "full"], 0);
    let report = fs::read_to_string(workplace.path("full/report.html")).unwrap();
    assert!(report.contains("complete after 2 of 2 steps"));
    workplace
        .run(&["generate", "--model", "full/final", "--prompt", "1+1=", "--max-tokens", "3"], 0);
    let lora = ["sft.toml", "--set", "run.steps=2", "--set", "lora.rank=2", "--out", "lora"];
    workplace.train(&lora, 0);
    let merge =
        ["model", "merge", "--model", "causal", "--adapter", "lora/final", "--out", "merged"];
    workplace.run(&merge, 0);
}
