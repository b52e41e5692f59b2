use super::final_answer::before_end;

/// What a forgiving reader takes for the answer where none is marked as one: the rest of the text
/// behind an `<answer>` or `\boxed{` that never closes, as in a completion that was cut short; else
/// the last formula between dollar signs; else the last word that holds a digit. `None` where that is
/// empty.
pub(crate) fn unmarked_answer(completion: &str) -> Option<&str> {
    let text = before_end(completion);
    let opened = ["<answer>", "\\boxed{"]
        .iter()
        .filter_map(|marker| text.rfind(marker).map(|at| at + marker.len()))
        .max()
        .map(|start| text[start..].trim());
    opened
        .filter(|rest| !rest.is_empty())
        .or_else(|| last_formula(text))
        .or_else(|| last_word_with_digit(text))
}

/// The last nonempty text between two dollar signs, single or double, that are not escaped.
fn last_formula(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut signs: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let width = match bytes[at..] {
            [b'\\', ..] => 2,
            [b'$', b'$', ..] => 2,
            _ => 1,
        };
        if bytes[at] == b'$' {
            signs.push((at, at + width));
        }
        at += width;
    }
    // They open and close in turn.
    let mut formulas = signs.chunks_exact(2).map(|pair| text[pair[0].1..pair[1].0].trim());
    formulas.rfind(|formula| !formula.is_empty())
}

fn last_word_with_digit(text: &str) -> Option<&str> {
    let word = text.split_whitespace().rfind(|word| word.contains(|c: char| c.is_ascii_digit()))?;
    Some(word.trim_start_matches('*').trim_end_matches(['.', ',', ';', ':', '!', '?', '*']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thing_that_could_be_an_answer() {
        for (text, expected) in [
            ("<answer>\n\\frac{1}{2}", Some("\\frac{1}{2}")),
            ("so \\boxed{12", Some("12")),
            ("with $x$ it is $\\frac12$.", Some("\\frac12")),
            ("with $y$ thus $$x = 5$$", Some("x = 5")),
            ("costs \\$5 or **7**.", Some("7")),
            ("it is 3.5.", Some("3.5")),
            ("5<|eot_id|>6", Some("5")),
            ("nothing", None),
            ("<answer>", None),
        ] {
            assert_eq!(unmarked_answer(text), expected, "{text}");
        }
    }
}
