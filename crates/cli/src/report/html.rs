//! `report.html`: one file that needs nothing else, in light and dark.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::document::{Claim, Report, Sample, Unit};
use super::escape::escape;
use super::machine::Machine;
use super::number::{count, show};
use super::{svg, table};

const STYLE: &str = include_str!("style.css");

/// The product's mark: masks that become tokens.
const MARK: &str = "<svg class=\"mark\" viewBox=\"0 0 30 12\" aria-hidden=\"true\">\
                    <circle cx=\"5\" cy=\"6\" r=\"3.5\" class=\"hollow\"/>\
                    <circle cx=\"15\" cy=\"6\" r=\"3.5\" class=\"half\"/>\
                    <circle cx=\"25\" cy=\"6\" r=\"4.2\"/></svg>";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let sections = [
        Section { id: "claims", title: "Claims", body: claims(&report.claims) },
        Section { id: "results", title: "Results", body: tables(report) },
        Section { id: "curves", title: "Curves", body: curves(report) },
        Section { id: "samples", title: "Samples", body: samples(&report.samples) },
        Section { id: "run", title: "Machine and recipe", body: run(report) },
        Section { id: "warnings", title: "Warnings", body: warnings(&report.warnings) },
        Section { id: "hints", title: "Hints", body: hints(&report.hints) },
    ];
    let shown = || sections.iter().filter(|section| !section.body.is_empty());
    let links: String = shown().map(Section::link).collect();
    let bodies: String = shown().map(Section::html).collect();
    // The policy forbids every request and script, whatever a model managed to write.
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · afterthought</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <nav><a class=\"brand\" href=\"#top\">{MARK}afterthought</a><span>{links}</span></nav>\n\
         <main id=\"top\">\n{head}{bodies}</main>\n\
         <footer>Schema <code>{schema}</code>. The same numbers are in <code>report.json</code> \
         beside this file.</footer>\n</body>\n</html>\n",
        title = escape(&report.command),
        head = head(report),
        schema = escape(&report.schema),
    )
}

struct Section {
    id: &'static str,
    title: &'static str,
    body: String,
}

impl Section {
    fn link(&self) -> String {
        format!("<a href=\"#{}\">{}</a>", self.id, self.title)
    }

    fn html(&self) -> String {
        format!("<section id=\"{0}\"><h2>{1}</h2>\n{2}</section>\n", self.id, self.title, self.body)
    }
}

/// Title, summary, facts of the run, and how many claims hold.
fn head(report: &Report) -> String {
    let summary = report.summary.as_deref().map(escape).unwrap_or_default();
    let own = report.facts.iter().map(|(name, value)| (name, escape(value)));
    let mut facts: Vec<(&str, String)> = match report.facts.is_empty() {
        true => vec![("preset", escape(&report.preset))],
        false => own.collect(),
    };
    facts.extend([
        ("seed", report.seed.to_string()),
        ("time", show(report.elapsed_s, Some(Unit::Seconds))),
        ("processor", machine_line(&report.machine)),
    ]);
    if !report.warnings.is_empty() {
        // They stand at the end of the page and must not be missed.
        let link = format!("<a class=\"more\" href=\"#warnings\">{}</a>", report.warnings.len());
        facts.push(("warnings", link));
    }
    let mut html = format!("<header><h1>{}</h1><p class=\"summary\">{summary}</p><dl>", {
        escape(&report.command)
    });
    // Writing to a String cannot fail, here and below.
    for (name, value) in facts {
        let name = escape(name);
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>");
    if !report.claims.is_empty() {
        let holding = report.claims.iter().filter(|claim| claim.holds).count();
        let ticks: String = report
            .claims
            .iter()
            .map(|claim| format!("<i class=\"{}\"></i>", verdict(claim.holds)))
            .collect();
        let _ = write!(
            html,
            "<p class=\"score\"><b>{holding} of {}</b> claims hold \
             <span class=\"ticks\" aria-hidden=\"true\">{ticks}</span></p>",
            report.claims.len()
        );
    }
    html.push_str("</header>\n");
    html
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "fails" }
}

fn claims(claims: &[Claim]) -> String {
    if claims.is_empty() {
        return String::new();
    }
    let mut html = String::from("<ul class=\"claims\">");
    for claim in claims {
        let (sign, words) = if claim.holds { ("✓", "holds") } else { ("✗", "does not hold") };
        let _ = write!(
            html,
            "<li class=\"{}\" id=\"claim-{}\"><span class=\"verdict\">{sign} {words}</span>\
             <p>{}</p>{}</li>",
            verdict(claim.holds),
            escape(&claim.id),
            escape(&claim.statement),
            evidence(&claim.evidence)
        );
    }
    html.push_str("</ul>\n");
    html
}

fn evidence(evidence: &Map<String, Value>) -> String {
    if evidence.is_empty() {
        return String::new();
    }
    let mut html = String::from("<dl>");
    for (name, value) in evidence {
        let name = escape(&name.replace('_', " "));
        let _ = write!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&plain(value)));
    }
    html.push_str("</dl>");
    html
}

/// A JSON value in words; `{value, low, high}` and `[low, high]` read as numbers with intervals.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => count(whole),
            (None, Some(real)) => show(real, None),
            (None, None) => number.to_string(),
        },
        Value::Array(items) => {
            format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let bounds = (fields.get("low"), fields.get("high"));
            if let (Some(value), (Some(low), Some(high)), 3) =
                (fields.get("value"), bounds, fields.len())
            {
                return format!("{} [{}, {}]", plain(value), plain(low), plain(high));
            }
            let field = |(name, value)| format!("{name} {}", plain(value));
            fields.iter().map(field).collect::<Vec<_>>().join(" · ")
        }
    }
}

fn tables(report: &Report) -> String {
    report.tables.iter().map(|(name, rows)| table::table(name, rows)).collect()
}

fn curves(report: &Report) -> String {
    let mut html = String::new();
    for (name, curve) in report.curves.iter() {
        let title = escape(&name.replace('_', " "));
        let chart = svg::line_chart(name, curve);
        let _ = write!(html, "<figure><figcaption><b>{title}</b></figcaption>{chart}</figure>");
    }
    match html.is_empty() {
        true => html,
        false => format!("<div class=\"curves\">{html}</div>\n"),
    }
}

/// Samples with one title stand side by side under their common prompt.
fn samples(samples: &[Sample]) -> String {
    let mut html = String::new();
    for group in samples.chunk_by(|a, b| a.title == b.title && a.prompt == b.prompt) {
        let Some(first) = group.first() else { continue };
        let _ = write!(
            html,
            "<article><h3>{}</h3><pre class=\"prompt\">{}</pre><div class=\"variants\">",
            escape(&first.title),
            escape(&first.prompt)
        );
        for sample in group {
            html.push_str(&variant(sample));
        }
        html.push_str("</div></article>\n");
    }
    html
}

fn variant(sample: &Sample) -> String {
    let mut facts = String::new();
    if let Some(reward) = sample.reward {
        let _ = write!(facts, "<span class=\"chip\">reward {}</span>", show(reward, None));
    }
    for (name, value) in &sample.more {
        let text = format!("{} {}", name.replace('_', " "), plain(value));
        let _ = write!(facts, "<span class=\"chip\">{}</span>", escape(&text));
    }
    format!(
        "<div><h4>{}{facts}</h4><pre>{}</pre></div>",
        escape(&sample.variant),
        escape(&sample.text)
    )
}

fn machine_line(machine: &Machine) -> String {
    escape(machine.processor.as_deref().unwrap_or("unknown"))
}

fn run(report: &Report) -> String {
    let machine = &report.machine;
    let unknown = || "unknown".to_owned();
    let memory =
        machine.memory_bytes.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)));
    let facts = [
        ("processor", machine_line(machine)),
        ("cores", machine.cores.map_or_else(unknown, |cores| cores.to_string())),
        ("memory", memory.unwrap_or_else(unknown)),
        ("system", escape(&machine.os)),
        ("features", escape(&machine.features.join(" "))),
    ];
    let mut html = String::from("<dl class=\"facts\">");
    for (name, value) in facts {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>\n");
    let mut settings = Vec::new();
    flatten("", &report.recipe, &mut settings);
    if !settings.is_empty() {
        let _ = write!(html, "<details><summary>{} settings</summary><dl>", settings.len());
        for (key, value) in settings {
            let (key, value) = (escape(&key), escape(&value));
            let _ = write!(html, "<div><dt><code>{key}</code></dt><dd>{value}</dd></div>");
        }
        html.push_str("</dl></details>\n");
    }
    html
}

/// Nested settings as dotted keys.
fn flatten(prefix: &str, fields: &Map<String, Value>, into: &mut Vec<(String, String)>) {
    for (name, value) in fields {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) => flatten(&key, inner, into),
            value => into.push((key, plain(value))),
        }
    }
}

fn warnings(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return "<p class=\"none\">None.</p>\n".to_owned();
    }
    let items: String =
        warnings.iter().map(|warning| format!("<li>{}</li>", escape(warning))).collect();
    format!("<ul class=\"warnings\">{items}</ul>\n")
}

fn hints(hints: &[String]) -> String {
    if hints.is_empty() {
        return String::new();
    }
    let items: String = hints.iter().map(|hint| format!("<li>{}</li>", escape(hint))).collect();
    format!("<ul class=\"hints\">{items}</ul>\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::example::example;
    use super::*;

    #[test]
    fn every_tag_that_opens_closes_in_order() {
        let html = page(&example());
        let (head, rest) = html.split_once("<style>").unwrap();
        let (_, body) = rest.split_once("</style>").unwrap();
        let mut open: Vec<&str> = Vec::new();
        for tag in [head, body].iter().flat_map(|part| part.split('<').skip(1)) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '\n']).next().unwrap();
            match name.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed)),
                None if tag.ends_with('/') || ["!doctype", "meta"].contains(&name) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "never closed: {open:?}");
    }

    #[test]
    fn the_page_asks_for_nothing() {
        let html = page(&example());
        for request in
            ["http://", "https://", "<script", "<link", "<img", "<iframe", "@import", "url("]
        {
            assert!(!html.contains(request), "{request}");
        }
    }

    #[test]
    fn what_a_model_wrote_is_only_text() {
        let mut report = example();
        let attack = "</pre><script>alert(1)</script>\"'><img src=x onerror=y>";
        report.samples[0].text = attack.into();
        report.samples[0].prompt = attack.into();
        report.samples[0].title = attack.into();
        report.samples[0].variant = attack.into();
        report.samples[0].more.insert(attack.into(), attack.into());
        report.warnings.push(attack.into());
        report.hints.push(attack.into());
        report.facts.insert(attack, attack.into());
        report.claims[0].statement = attack.into();
        report.claims[0].id = attack.into();
        report.claims[0].evidence.insert(attack.into(), attack.into());
        report.command = attack.into();
        let html = page(&report);
        assert!(!html.contains("<script") && !html.contains("<img"));
        assert!(html.contains("&lt;/pre&gt;&lt;script&gt;alert(1)"));
    }

    #[test]
    fn the_head_counts_the_warnings() {
        let html = page(&example());
        assert!(html.contains("<a class=\"more\" href=\"#warnings\">2</a>"));
        assert!(!page(&Report::new("train", "x", 1)).contains("class=\"more\""));
    }

    #[test]
    fn claims_say_whether_they_hold() {
        let html = page(&example());
        assert!(html.contains("<b>2 of 3</b> claims hold"));
        assert_eq!(html.matches("✓ holds").count(), 2);
        assert_eq!(html.matches("✗ does not hold").count(), 1);
        assert!(html.contains("0.134 [0.081, 0.187]"));
    }

    #[test]
    fn samples_of_one_title_share_a_prompt() {
        let html = page(&example());
        assert_eq!(html.matches("<pre class=\"prompt\">").count(), 2);
        assert_eq!(html.matches("<h4>").count(), 6);
    }

    #[test]
    fn an_empty_report_has_no_empty_sections() {
        let html = page(&Report::new("reproduce d1", "smoke", 1));
        for id in ["claims", "results", "curves", "samples", "hints"] {
            assert!(!html.contains(&format!("id=\"{id}\"")), "{id}");
        }
        assert!(html.contains("id=\"warnings\"") && html.contains("None."));
    }

    /// `AFTERTHOUGHT_EXAMPLE_REPORT=DIR cargo test example_report` writes the example to look at.
    #[test]
    fn the_example_report_can_be_looked_at() {
        let Some(directory) = std::env::var_os("AFTERTHOUGHT_EXAMPLE_REPORT") else {
            return;
        };
        std::fs::create_dir_all(&directory).unwrap();
        example().write(directory.as_ref()).unwrap();
    }
}
