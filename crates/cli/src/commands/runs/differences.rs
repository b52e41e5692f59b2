//! In which settings recipes differ.

use serde_json::{Map, Value};

/// The settings of a recipe by dotted path, in order.
pub(super) fn flatten(recipe: &Map<String, Value>) -> Vec<(String, Value)> {
    fn walk(prefix: &str, fields: &Map<String, Value>, into: &mut Vec<(String, Value)>) {
        for (name, value) in fields {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Object(inner) if !inner.is_empty() => walk(&key, inner, into),
                value => into.push((key, value.clone())),
            }
        }
    }
    let mut settings = Vec::new();
    walk("", recipe, &mut settings);
    settings
}

/// The settings that are not the same in all recipes: path, and the value in each, if it has one.
pub(super) fn differences(recipes: &[&Map<String, Value>]) -> Vec<(String, Vec<Option<Value>>)> {
    let all: Vec<Vec<(String, Value)>> = recipes.iter().map(|recipe| flatten(recipe)).collect();
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in all.iter().flatten() {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let values = |key: &str| -> Vec<Option<Value>> {
        let find = |recipe: &Vec<(String, Value)>| {
            recipe.iter().find_map(|(known, value)| (known == key).then(|| value.clone()))
        };
        all.iter().map(find).collect()
    };
    let rows = keys.into_iter().map(|key| (key.to_owned(), values(key)));
    rows.filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_left_by_its_path() {
        let recipes = [
            json!({"seed": 1, "rl": {"beta": 0.04, "mu": 4}, "tags": ["a"]}),
            json!({"seed": 1, "rl": {"beta": 0.0, "mu": 4, "clip": 0.2}, "tags": ["a", "b"]}),
        ];
        let maps: Vec<&Map<String, Value>> = recipes.iter().filter_map(Value::as_object).collect();
        assert_eq!(
            differences(&maps),
            [
                ("rl.beta".to_owned(), vec![Some(json!(0.04)), Some(json!(0.0))]),
                ("tags".to_owned(), vec![Some(json!(["a"])), Some(json!(["a", "b"]))]),
                ("rl.clip".to_owned(), vec![None, Some(json!(0.2))]),
            ]
        );
        assert!(differences(&[maps[0], maps[0]]).is_empty());
    }
}
