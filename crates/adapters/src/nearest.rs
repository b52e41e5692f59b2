/// The candidates most like `word`, at most three, best first, each once.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> =
        candidates.map(|name| (strsim::jaro_winkler(word, name), name)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_likest_comes_first() {
        let names = ["q_proj", "attn_out", "ff_out", "q_proj", "up_proj"];
        let near = super::nearest("o_proj", names.into_iter());
        assert_eq!(near.len(), 3);
        assert!(near[..2].contains(&"q_proj") && near[..2].contains(&"up_proj"), "{near:?}");
    }
}
