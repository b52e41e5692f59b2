use crate::{Field, Kind, Layout, Presence, Sections};

/// The reference page of a layout, Markdown.
pub fn reference(layout: &Layout) -> String {
    let mut page = format!(
        "# Recipes of `afterthought {}`\n\nMade from the program's own table of settings \
         (`afterthought train --print reference`); a test compares the two.\n\n",
        layout.command
    );
    page += &table(layout.top);
    for section in layout.sections {
        let name = section.name;
        page += &match section.sections {
            Sections::Repeated(_) => format!("\n## `[[{name}]]`\n\n"),
            Sections::Always | Sections::IfGiven => format!("\n## `[{name}]`\n\n"),
        };
        page += section.doc;
        if !section.only.is_empty() {
            page += &format!(" Only with {}.", section.only.join(", "));
        }
        page += match section.sections {
            Sections::Always => "\n\n",
            Sections::IfGiven => " Without this table there is none.\n\n",
            Sections::Repeated(_) => " May stand any number of times.\n\n",
        };
        page += &table(section.fields);
    }
    page
}

fn table(fields: &[Field]) -> String {
    let mut text = "| key | value | default | what |\n|---|---|---|---|\n".to_owned();
    for field in fields {
        let presence = match field.presence {
            Presence::Required => "must be given".to_owned(),
            Presence::Optional => "none".to_owned(),
            Presence::Default(value) => format!("`{value}`"),
        };
        let mut doc = field.doc.to_owned();
        if let Kind::Choice(words) = field.kind {
            let words: Vec<String> = (words.iter())
                .filter(|(_, meaning)| !meaning.is_empty())
                .map(|(word, meaning)| format!("`{word}`: {meaning}"))
                .collect();
            if !words.is_empty() {
                doc += &format!(" {}.", words.join("; "));
            }
        }
        if !field.only.is_empty() {
            doc += &format!(" Only with {}.", field.only.join(", "));
        }
        let kind = field.kind.expected().replace('|', "\\|");
        text +=
            &format!("| `{}` | {kind} | {presence} | {} |\n", field.key, doc.replace('|', "\\|"));
    }
    text
}
