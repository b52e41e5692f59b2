use super::keys::{Keys, index, unexpected};
use crate::targets::is_suffix;
use crate::{Error, Init, LoraConfig, Modules, Targets};
use safetensors::Dtype;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The keys that [`LoraConfig`] holds.
const HONOURED: [&str; 13] = [
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "init_lora_weights",
    "bias",
];

/// Keys that say where an adapter comes from or how PEFT handles it, and do not change what it
/// computes. They are kept as they are.
const WITHOUT_EFFECT: [&str; 12] = [
    "task_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "megatron_core",
    "qalora_group_size",
    "runtime_config",
    "eva_config",
    "ensure_weight_tying",
    "loftq_config",
];

/// Initialisations that leave the base weights as they are; others subtract from them, so that the
/// adapter alone does not give the model.
const HARMLESS_INITS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// An `adapter_config.json`: its settings, and everything else it says.
#[derive(Clone, Debug)]
pub struct AdapterConfig {
    lora: LoraConfig,
    json: Map<String, Value>,
    /// Types of the tensors that were loaded with it.
    pub(super) dtypes: HashMap<String, Dtype>,
    pub(super) base_checked: bool,
}

impl AdapterConfig {
    /// The config of a new adapter that was put on the layers at `paths` of a model whose output
    /// head is at `head`. `base` is what PEFT shall load the base model from.
    ///
    /// Names that would make PEFT adapt the head too (LLaDA's `ff_out`) are followed by its
    /// exclusion; `all-linear` is written as the names it stands for.
    pub fn new(lora: &LoraConfig, paths: &[String], head: &str, base: Option<&str>) -> Self {
        let mut lora = lora.clone();
        if lora.targets.modules == Modules::AllLinear {
            let mut names: Vec<String> = Vec::new();
            for path in paths {
                let name = path.rsplit('.').next().unwrap_or(path);
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            lora.targets.modules = Modules::Names(names);
        }
        let targets = &mut lora.targets;
        if matches!(&targets.modules, Modules::Names(names) if names.iter().any(|n| is_suffix(n, head)))
        {
            match &mut targets.exclude {
                Some(Modules::Names(names)) => names.push(head.to_owned()),
                Some(_) => {}
                None => targets.exclude = Some(Modules::Names(vec![head.to_owned()])),
            }
        }
        let json = to_json(&lora, base);
        Self { lora, json, dtypes: HashMap::new(), base_checked: false }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], and [`Error::Setting`] for a setting that is malformed, out
    /// of range or would change the result in a way that is not supported.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Io {
            action: "read",
            path: path.into(),
            source,
        })?;
        let json: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|source| Error::Json { path: path.into(), source })?;
        let lora = from_json(&json)?;
        Ok(Self { lora, json, dtypes: HashMap::new(), base_checked: false })
    }

    /// Writes the file: what was read is written again as it was.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(&self.json)
            .map_err(|source| Error::Json { path: path.into(), source })?;
        fs::write(path, text + "\n").map_err(|source| Error::Io {
            action: "write",
            path: path.into(),
            source,
        })
    }

    /// Whether the adapter was loaded from a file that records the hash of its base weights, and the
    /// model's have that hash. Files that PEFT wrote record none: only names and shapes were checked.
    pub fn base_checked(&self) -> bool {
        self.base_checked
    }

    /// The settings.
    pub fn lora(&self) -> &LoraConfig {
        &self.lora
    }
}

fn from_json(json: &Map<String, Value>) -> Result<LoraConfig, Error> {
    let keys = Keys(json);
    let kind = keys.optional("peft_type", "a string", Value::as_str)?;
    if kind != Some("LORA") {
        let found = json.get("peft_type").unwrap_or(&Value::Null);
        return Err(unexpected("peft_type", found, "\"LORA\""));
    }
    refuse_unsupported(json)?;
    let init = match json.get("init_lora_weights").unwrap_or(&Value::Null) {
        Value::String(name) if name == "gaussian" => Init::Gaussian,
        Value::String(name) if HARMLESS_INITS.contains(&name.as_str()) => Init::default(),
        Value::Null | Value::Bool(_) => Init::default(),
        other => {
            let expected = "one that leaves the base weights as they are: convert the adapter with \
                            PEFT (path_initial_model_for_weight_conversion)";
            return Err(unexpected("init_lora_weights", other, expected));
        }
    };
    let Some(modules) = keys.modules("target_modules")? else {
        let found = json.get("target_modules").unwrap_or(&Value::Null);
        return Err(unexpected("target_modules", found, "names, an expression or \"all-linear\""));
    };
    let lora = LoraConfig {
        rank: keys.optional("r", "a rank", index)?.unwrap_or(8),
        alpha: keys.optional("lora_alpha", "a number", Value::as_f64)?.unwrap_or(8.0),
        use_rslora: keys.flag("use_rslora")?,
        dropout: keys.optional("lora_dropout", "a probability", Value::as_f64)?.unwrap_or(0.0),
        targets: Targets {
            modules,
            exclude: keys.modules("exclude_modules")?,
            layers: keys.indices("layers_to_transform")?,
            layers_pattern: keys.strings("layers_pattern")?,
        },
        rank_pattern: keys.patterns("rank_pattern", "an object of ranks", index)?,
        alpha_pattern: keys.patterns("alpha_pattern", "an object of numbers", Value::as_f64)?,
        init,
    };
    lora.validate()?;
    Ok(lora)
}

/// Every other key must say nothing: a setting that is on (DoRA, trained biases, saved modules,
/// replicated layers and whatever comes next) changes what the adapter computes.
fn refuse_unsupported(json: &Map<String, Value>) -> Result<(), Error> {
    for (key, value) in json {
        let known = |list: &[&str]| list.contains(&key.as_str());
        let says_nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            _ => false,
        };
        if key == "bias" {
            if value != "none" && !value.is_null() {
                return Err(unexpected(key, value, "\"none\": trained biases are not supported"));
            }
        } else if !known(&HONOURED) && !known(&WITHOUT_EFFECT) && !says_nothing {
            return Err(unexpected(key, value, "it to be off: it is not supported"));
        }
    }
    Ok(())
}

fn to_json(lora: &LoraConfig, base: Option<&str>) -> Map<String, Value> {
    let modules = |modules: &Modules| match modules {
        Modules::Names(names) => json!(names),
        Modules::Pattern(regex) => json!(regex),
        Modules::AllLinear => json!("all-linear"),
    };
    let patterns = |entries: Vec<(String, Value)>| Value::Object(entries.into_iter().collect());
    let entries = [
        ("task_type", json!("CAUSAL_LM")),
        ("peft_type", json!("LORA")),
        ("auto_mapping", Value::Null),
        ("base_model_name_or_path", json!(base)),
        ("revision", Value::Null),
        ("inference_mode", json!(true)),
        ("r", json!(lora.rank)),
        ("target_modules", modules(&lora.targets.modules)),
        ("exclude_modules", lora.targets.exclude.as_ref().map_or(Value::Null, modules)),
        ("lora_alpha", number(lora.alpha)),
        ("lora_dropout", json!(lora.dropout)),
        ("fan_in_fan_out", json!(false)),
        ("bias", json!("none")),
        ("use_rslora", json!(lora.use_rslora)),
        ("modules_to_save", Value::Null),
        (
            "init_lora_weights",
            match lora.init {
                Init::Uniform => json!(true),
                Init::Gaussian => json!("gaussian"),
            },
        ),
        ("layers_to_transform", json!(lora.targets.layers)),
        (
            "layers_pattern",
            match lora.targets.layers_pattern.is_empty() {
                true => Value::Null,
                false => json!(lora.targets.layers_pattern),
            },
        ),
        (
            "rank_pattern",
            patterns(lora.rank_pattern.iter().map(|(key, r)| (key.clone(), json!(r))).collect()),
        ),
        (
            "alpha_pattern",
            patterns(lora.alpha_pattern.iter().map(|(key, a)| (key.clone(), number(*a))).collect()),
        ),
        ("use_dora", json!(false)),
        ("lora_bias", json!(false)),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Whole numbers as PEFT writes them, without a point.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value < 1e15 {
        true => json!(value as u64),
        false => json!(value),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// What PEFT 0.21.2 writes for `LoraConfig(target_modules=["q_proj"])`, with changes.
    fn peft(changes: Value) -> Result<LoraConfig, Error> {
        let mut json = json!({
            "task_type": null, "peft_type": "LORA", "auto_mapping": null, "peft_version": "0.21.2",
            "base_model_name_or_path": "some/model", "revision": null, "inference_mode": true,
            "r": 8, "target_modules": ["q_proj"], "exclude_modules": null, "lora_alpha": 16,
            "lora_dropout": 0.05, "fan_in_fan_out": false, "bias": "none", "use_rslora": false,
            "modules_to_save": null, "init_lora_weights": true, "layers_to_transform": null,
            "layers_pattern": null, "rank_pattern": {}, "alpha_pattern": {},
            "megatron_config": null, "megatron_core": "megatron.core",
            "trainable_token_indices": null, "loftq_config": {}, "eva_config": null,
            "corda_config": null, "lora_ga_config": null, "use_dora": false,
            "velora_config": null, "alora_invocation_tokens": null, "use_qalora": false,
            "qalora_group_size": 16, "monteclora_config": null, "layer_replication": null,
            "lora_bias": false, "target_parameters": null, "use_bdlora": null,
            "arrow_config": null, "kasa_config": null, "ensure_weight_tying": false,
        });
        for (key, value) in changes.as_object().unwrap() {
            json[key] = value.clone();
        }
        from_json(json.as_object().unwrap())
    }

    #[test]
    fn settings_are_read() {
        let lora = peft(json!({})).unwrap();
        assert_eq!((lora.rank, lora.alpha, lora.dropout), (8, 16.0, 0.05));
        assert_eq!(lora.targets, Targets::names(["q_proj"]));
        let lora = peft(json!({
            "target_modules": "all-linear", "exclude_modules": ".*k_proj", "r": 4,
            "use_rslora": true, "rank_pattern": {"b": 2, "a": 3}, "alpha_pattern": {"x": 1.5},
            "init_lora_weights": "gaussian", "layers_pattern": "h",
        }))
        .unwrap();
        assert_eq!(lora.targets.modules, Modules::AllLinear);
        assert_eq!(lora.targets.exclude, Some(Modules::Pattern(".*k_proj".into())));
        // In the file's order, because the first match counts.
        assert_eq!(lora.rank_pattern, [("b".to_owned(), 2), ("a".to_owned(), 3)]);
        assert_eq!(lora.alpha_pattern, [("x".to_owned(), 1.5)]);
        assert_eq!((lora.init, lora.use_rslora), (Init::Gaussian, true));
        let layers = |value| peft(json!({"layers_to_transform": value})).unwrap().targets.layers;
        assert_eq!(layers(json!(3)), Some(vec![3]));
        assert_eq!(layers(json!([1, 2])), Some(vec![1, 2]));
        assert_eq!(layers(json!([])), None);
    }

    #[test]
    fn whatever_would_change_the_result_is_refused() {
        for changes in [
            json!({"peft_type": "IA3"}),
            json!({"use_dora": true}),
            json!({"bias": "all"}),
            json!({"bias": "lora_only"}),
            json!({"lora_bias": true}),
            json!({"fan_in_fan_out": true}),
            json!({"modules_to_save": ["lm_head"]}),
            json!({"init_lora_weights": "pissa"}),
            json!({"init_lora_weights": "pissa_niter_16"}),
            json!({"init_lora_weights": "olora"}),
            json!({"layer_replication": [[0, 4], [2, 5]]}),
            json!({"target_parameters": ["experts.weight"]}),
            json!({"trainable_token_indices": [1]}),
            json!({"use_qalora": true}),
            json!({"corda_config": {"corda_method": "kpm"}}),
            json!({"a_setting_of_the_future": 1}),
            json!({"target_modules": null}),
            json!({"target_modules": [1]}),
            json!({"r": 0}),
            json!({"r": -1}),
            json!({"r": 1.5}),
            json!({"r": 1u64 << 40}),
            json!({"lora_alpha": "8"}),
            json!({"lora_dropout": 1}),
            json!({"rank_pattern": {"q": "2"}}),
            json!({"layers_to_transform": ["1"]}),
        ] {
            let (key, value) = changes.as_object().unwrap().iter().next().unwrap();
            let error = peft(changes.clone()).expect_err(&changes.to_string());
            let Error::Setting { key: named, problem } = &error else { panic!("{error}") };
            assert!(named == key || (key, named.as_str()) == (&"rank_pattern".into(), key));
            assert!(problem.contains("expected"), "{key} {value}: {problem}");
        }
    }

    #[test]
    fn new_configs_read_back() {
        let mut lora = LoraConfig::new(Targets::names(["q_proj", "ff_out"]));
        (lora.rank, lora.alpha, lora.use_rslora) = (4, 0.5, true);
        lora.rank_pattern = vec![("q_proj".into(), 2)];
        lora.targets.layers = Some(vec![0]);
        let config = AdapterConfig::new(&lora, &[], "model.transformer.ff_out", Some("base"));
        // PEFT would adapt the head as well.
        let exclude = Modules::Names(vec!["model.transformer.ff_out".into()]);
        lora.targets.exclude = Some(exclude);
        assert_eq!(from_json(&config.json).unwrap(), lora);

        let lora = LoraConfig::new(Targets::all_linear());
        let paths = ["m.0.q_proj", "m.0.mlp.up_proj", "m.1.q_proj"].map(str::to_owned);
        let config = AdapterConfig::new(&lora, &paths, "lm_head", None);
        let read = from_json(&config.json).unwrap();
        assert_eq!(read.targets, Targets::names(["q_proj", "up_proj"]));
    }
}
