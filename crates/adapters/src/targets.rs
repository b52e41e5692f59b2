//! Which linear layers of a model a config names. The rules are PEFT's (`target_modules`,
//! `exclude_modules`, `layers_to_transform`, `layers_pattern`), but for two: a name that matches
//! nothing is an error, and only linear layers other than the output head can match.

use crate::Error;
use crate::nearest::nearest;
use crate::pattern::Pattern;

/// A set of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modules {
    /// Those whose path is one of these names, or ends in one of them after a dot.
    Names(Vec<String>),
    /// Those whose whole path matches a regular expression.
    Pattern(String),
    /// Every linear layer but the output head.
    AllLinear,
}

/// Which layers get an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// `target_modules`.
    pub modules: Modules,
    /// `exclude_modules`: never these. Excluding nothing is no error: a config may name what only
    /// some models have.
    pub exclude: Option<Modules>,
    /// `layers_to_transform`: only in blocks of these indices. Only for a list of names.
    pub layers: Option<Vec<usize>>,
    /// `layers_pattern`: what the list of blocks is called, where the first numbered part of a path
    /// is not it.
    pub layers_pattern: Vec<String>,
}

impl Targets {
    /// Layers by name, all blocks.
    pub fn names(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::from_modules(Modules::Names(names.into_iter().map(Into::into).collect()))
    }

    /// Every linear layer but the output head.
    pub fn all_linear() -> Self {
        Self::from_modules(Modules::AllLinear)
    }

    /// These modules, without exceptions.
    pub fn from_modules(modules: Modules) -> Self {
        Self { modules, exclude: None, layers: None, layers_pattern: Vec::new() }
    }

    /// Which of `paths`, the linear layers of a model, are selected.
    ///
    /// # Errors
    /// [`Error::UnmatchedTargets`] for each name, pattern or block index that matches no path;
    /// [`Error::NothingSelected`]; [`Error::Setting`] for a malformed expression.
    pub fn select(&self, paths: &[&str]) -> Result<Vec<bool>, Error> {
        self.check_matched(paths)?;
        let exclude = self.exclude.as_ref();
        let exclude = exclude.map(|set| Matcher::new("exclude_modules", set)).transpose()?;
        let include = Matcher::new("target_modules", &self.modules)?;
        let selected = paths
            .iter()
            .map(|path| {
                if exclude.as_ref().map_or(Ok(false), |exclude| exclude.matches(path))? {
                    return Ok(false);
                }
                // A whole path says which block it means.
                let whole = matches!(&self.modules, Modules::Names(names) if names.iter().any(|n| n == path));
                Ok(include.matches(path)? && (whole || self.in_layers(path)?))
            })
            .collect::<Result<Vec<bool>, Error>>()?;
        match selected.contains(&true) {
            true => Ok(selected),
            false => Err(Error::NothingSelected { targets: self.modules.to_string() }),
        }
    }

    /// The block of a path: its first numbered part below a list, or below a list of the given name.
    fn layer(&self, path: &str) -> Result<Option<usize>, Error> {
        if self.layers_pattern.is_empty() {
            let regex = r"\A.*?\.[^.]*\.(?<index>\d+)\.";
            return Pattern::new("layers_to_transform", regex)?.number(path);
        }
        for pattern in &self.layers_pattern {
            let regex = format!(r"\A(?:|.*?\.){pattern}\.(?<index>\d+)\.");
            if let Some(layer) = Pattern::new("layers_pattern", &regex)?.number(path)? {
                return Ok(Some(layer));
            }
        }
        Ok(None)
    }

    fn in_layers(&self, path: &str) -> Result<bool, Error> {
        match &self.layers {
            None => Ok(true),
            Some(layers) => Ok(self.layer(path)?.is_some_and(|layer| layers.contains(&layer))),
        }
    }

    fn check_matched(&self, paths: &[&str]) -> Result<(), Error> {
        let mut problems = Vec::new();
        match &self.modules {
            Modules::AllLinear => {}
            Modules::Pattern(regex) => {
                let pattern = Pattern::full("target_modules", regex)?;
                let mut found = false;
                for path in paths {
                    found |= pattern.matches(path)?;
                }
                if !found {
                    let example = paths.first().copied().unwrap_or("none");
                    problems.push(format!("  {regex:?} (a whole path, such as {example})"));
                }
            }
            Modules::Names(names) => {
                for name in names {
                    if !paths.iter().any(|path| is_suffix(name, path)) {
                        problems.push(format!("  {name}{}", did_you_mean(name, paths)));
                    }
                }
            }
        }
        if self.layers.is_some() && !matches!(self.modules, Modules::Names(_)) {
            return Err(Error::Setting {
                key: "layers_to_transform".into(),
                problem: "needs target_modules to be a list of names".into(),
            });
        }
        for layer in self.layers.iter().flatten() {
            let mut found = false;
            for path in paths {
                found |= self.layer(path)? == Some(*layer);
            }
            if !found {
                problems.push(format!("  layers_to_transform {layer}"));
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Error::UnmatchedTargets(problems)),
        }
    }
}

impl std::fmt::Display for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Names(names) => write!(f, "[{}]", names.join(", ")),
            Self::Pattern(regex) => write!(f, "{regex:?}"),
            Self::AllLinear => f.write_str("all-linear"),
        }
    }
}

/// [`Modules`] with its expression compiled.
enum Matcher<'a> {
    Names(&'a [String]),
    Pattern(Pattern<'a>),
    All,
}

impl<'a> Matcher<'a> {
    fn new(key: &'a str, modules: &'a Modules) -> Result<Self, Error> {
        Ok(match modules {
            Modules::Names(names) => Self::Names(names),
            Modules::Pattern(regex) => Self::Pattern(Pattern::full(key, regex)?),
            Modules::AllLinear => Self::All,
        })
    }

    fn matches(&self, path: &str) -> Result<bool, Error> {
        match self {
            Self::Names(names) => Ok(names.iter().any(|name| is_suffix(name, path))),
            Self::Pattern(pattern) => pattern.matches(path),
            Self::All => Ok(true),
        }
    }
}

/// Whether `path` is `name` or ends in it after a dot.
pub(crate) fn is_suffix(name: &str, path: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The nearest names, as many components long as `name`.
fn did_you_mean(name: &str, paths: &[&str]) -> String {
    let components = name.split('.').count();
    let endings = paths.iter().map(|path| {
        let cut = path.rmatch_indices('.').nth(components - 1);
        cut.map_or(*path, |(dot, _)| &path[dot + 1..])
    });
    match nearest(name, endings) {
        near if near.is_empty() => String::new(),
        near => format!(" (nearest: {})", near.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn paths(names: &[&str], blocks: usize, list: &str) -> Vec<String> {
        (0..blocks)
            .flat_map(|block| names.iter().map(move |name| format!("{list}.{block}.{name}")))
            .collect()
    }

    fn llama() -> Vec<String> {
        paths(&["self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj"], 12, "model.layers")
    }

    fn selected(targets: &Targets, paths: &[String]) -> Result<Vec<String>, Error> {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let selected = targets.select(&paths)?;
        Ok(paths.iter().zip(selected).filter(|(_, is)| *is).map(|(p, _)| (*p).into()).collect())
    }

    #[test]
    fn a_name_is_the_end_of_a_path_from_a_dot_on() {
        let chosen = selected(&Targets::names(["q_proj", "mlp.up_proj"]), &llama()).unwrap();
        assert_eq!(chosen.len(), 24);
        let error = selected(&Targets::names(["proj"]), &llama()).unwrap_err();
        assert!(error.to_string().contains("  proj (nearest: "), "{error}");
    }

    #[test]
    fn llama_names_on_llada_are_refused_with_the_names_that_exist() {
        // The mistake of d1's training script: three of these seven do not exist in LLaDA.
        let names = ["q_proj", "k_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "ff_out"];
        let llada = paths(&names, 2, "model.transformer.blocks");
        let wrong = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        let Err(Error::UnmatchedTargets(lines)) = selected(&Targets::names(wrong), &llada) else {
            panic!("unmatched targets were accepted");
        };
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  o_proj (nearest: "), "{lines:?}");
        assert_eq!(selected(&Targets::names(names), &llada).unwrap(), llada);
    }

    #[test]
    fn blocks_exclusions_and_patterns() {
        let mut targets = Targets::names(["q_proj", "model.layers.5.mlp.up_proj"]);
        targets.layers = Some(vec![1, 10]);
        let chosen = selected(&targets, &llama()).unwrap();
        // A whole path is chosen whatever the blocks.
        assert_eq!(
            chosen,
            [
                "model.layers.1.self_attn.q_proj",
                "model.layers.5.mlp.up_proj",
                "model.layers.10.self_attn.q_proj"
            ]
        );
        targets.layers_pattern = vec!["layers".into()];
        assert_eq!(selected(&targets, &llama()).unwrap(), chosen);
        targets.layers = Some(vec![12]);
        assert!(matches!(selected(&targets, &llama()), Err(Error::UnmatchedTargets(_))));

        let pattern = r"model\.layers\.\d\.(?!mlp).*".to_owned();
        let mut targets = Targets::from_modules(Modules::Pattern(pattern));
        assert_eq!(selected(&targets, &llama()).unwrap().len(), 20);
        targets.exclude = Some(Modules::Names(vec!["k_proj".into(), "absent".into()]));
        assert_eq!(selected(&targets, &llama()).unwrap().len(), 10);
        targets.exclude = Some(Modules::Pattern(".*".into()));
        assert!(matches!(selected(&targets, &llama()), Err(Error::NothingSelected { .. })));
        assert_eq!(selected(&Targets::all_linear(), &llama()).unwrap(), llama());
        let broken = Targets::from_modules(Modules::Pattern("(".into()));
        assert!(matches!(selected(&broken, &llama()), Err(Error::Setting { .. })));
        // Part of a path is not enough for an expression.
        let part = Targets::from_modules(Modules::Pattern("q_proj".into()));
        assert!(matches!(selected(&part, &llama()), Err(Error::UnmatchedTargets(_))));
    }
}
