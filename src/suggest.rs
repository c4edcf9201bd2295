//! Names that may have been meant. Pure.

/// Similarity from which on a name is worth proposing; at 0.75 `grafna` finds `grafana`, and `web` does not find `db`.
const NEAR: f64 = 0.75;

/// The names most like `text`, at most three, nearest first.
pub fn near_names<'a>(names: impl Iterator<Item = &'a str>, text: &str) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> =
        names.map(|name| (strsim::jaro_winkler(name, text), name)).filter(|(score, _)| *score >= NEAR).collect();
    scored.sort_by(|(a, left), (b, right)| b.total_cmp(a).then(left.cmp(right)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}
