//! `{% generation %}` blocks, which the template engine does not know.
//!
//! Source: the `AssistantTracker` extension of transformers' `chat_template_utils.py`. There the
//! body is a macro of its own, so names set inside do not reach outside; `with` does the same here.

/// The filter that the body of a generation block is passed through.
pub(super) const FILTER: &str = "generation_block";

/// A tag that has no partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unbalanced {
    /// Line, from 1.
    pub(super) line: usize,
    /// `generation` or `endgeneration`.
    pub(super) tag: &'static str,
}

/// Replaces the tags by ones that the engine knows, on the same lines and with the same effect on
/// the white space around them; the flag says whether there were any.
pub(super) fn replace_tags(source: &str) -> Result<(String, bool), Unbalanced> {
    let mut replaced = String::with_capacity(source.len());
    let (mut rest, mut open) = (source, Vec::new());
    let mut found = false;
    while let Some(at) = rest.find('{') {
        replaced.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match rest.as_bytes().get(1) {
            Some(b'#') => rest.find("#}").map_or(rest.len(), |end| end + 2),
            Some(b'{') => quoted_end(rest, "}}"),
            Some(b'%') => quoted_end(rest, "%}"),
            _ => 1,
        };
        let line = || source[..source.len() - rest.len()].matches('\n').count() + 1;
        match Tag::read(&rest[..length]) {
            Some(Tag { name: "generation", left, right }) => {
                open.push(line());
                found = true;
                replaced.push_str(&format!("{{%{left} filter {FILTER} %}}{{% with {right}%}}"));
            }
            Some(Tag { name: "endgeneration", left, right }) => {
                if open.pop().is_none() {
                    return Err(Unbalanced { line: line(), tag: "endgeneration" });
                }
                replaced.push_str(&format!("{{%{left} endwith %}}{{% endfilter {right}%}}"));
            }
            Some(Tag { name: "raw", .. }) => {
                // What is raw is text, whatever it looks like.
                let end = rest.find("endraw").unwrap_or(rest.len());
                replaced.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            _ => replaced.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    replaced.push_str(rest);
    match open.first() {
        Some(&line) => Err(Unbalanced { line, tag: "generation" }),
        None => Ok((replaced, found)),
    }
}

/// A block tag of one word.
struct Tag<'a> {
    name: &'a str,
    /// `-`, `+` or nothing.
    left: &'a str,
    right: &'a str,
}

impl<'a> Tag<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix("{%")?.strip_suffix("%}")?;
        let sign = |found: Option<char>| usize::from(matches!(found, Some('-' | '+')));
        let (left, inner) = inner.split_at(sign(inner.chars().next()));
        let (inner, right) = inner.split_at(inner.len() - sign(inner.chars().next_back()));
        let name = inner.trim();
        (!name.contains(char::is_whitespace)).then_some(Self { name, left, right })
    }
}

/// Length of the tag that `text` begins with: to `end` outside quotes.
fn quoted_end(text: &str, end: &str) -> usize {
    let (bytes, mut at, mut quote) = (text.as_bytes(), 2, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if text.as_bytes()[at..].starts_with(end.as_bytes()) => {
                return at + end.len();
            }
            (None, _) => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_their_dashes_and_lines() {
        let (text, found) = replace_tags("a\n{%- generation -%}\nb{%endgeneration +%}").unwrap();
        assert!(found);
        let expected = "a\n{%- filter generation_block %}{% with -%}\nb\
                        {% endwith %}{% endfilter +%}";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_only_looks_like_a_tag_stays() {
        for source in [
            "{{ '{% generation %}' }}",
            "{# {% generation %} #}",
            "{% raw %}{% generation %}{% endraw %}",
            "{% set x = \"%}{% generation %}\\\"\" %}{",
            "é{ generation }{% generations %}",
            "{% if",
        ] {
            assert_eq!(replace_tags(source).unwrap(), (source.to_owned(), false));
        }
    }

    #[test]
    fn tags_without_a_partner_are_named() {
        let error = |source| replace_tags(source).unwrap_err();
        assert_eq!(error("\n{% generation %}\n"), Unbalanced { line: 2, tag: "generation" });
        let end = Unbalanced { line: 3, tag: "endgeneration" };
        assert_eq!(error("{% generation %}\n{% endgeneration %}\n{% endgeneration %}"), end);
    }
}
