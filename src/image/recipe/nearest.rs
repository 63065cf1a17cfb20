//! The known word that a mistyped one was meant to be.

/// Other tools' words for ours.
const SYNONYMS: [(&str, &str); 26] = [
    ("args", "cmd"),
    ("chown", "owner"),
    ("chmod", "mode"),
    ("cmd", "run"),
    ("command", "cmd"),
    ("command", "run"),
    ("destination", "dest"),
    ("environment", "env"),
    ("expose", "exposed-ports"),
    ("files", "copy"),
    ("from", "base"),
    ("ignore", "exclude"),
    ("path", "src"),
    ("permissions", "mode"),
    ("ports", "exposed-ports"),
    ("port", "exposed-ports"),
    ("root", "rootfs"),
    ("script", "run"),
    ("source", "src"),
    ("sources", "inputs"),
    ("target", "dest"),
    ("target", "platforms"),
    ("task-def", "task-definition"),
    ("variables", "var"),
    ("workdir", "working-dir"),
    ("working-directory", "working-dir"),
];

/// The known word that was probably meant.
pub(super) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = given.to_ascii_lowercase().replace('_', "-");
    let synonym = || {
        SYNONYMS
            .iter()
            .filter(|(other, _)| *other == plain)
            .find_map(|(_, ours)| known.iter().find(|known| *known == ours).copied())
    };
    let squeezed = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    if let Some(same) = known.iter().find(|known| squeezed(known) == squeezed(&plain)) {
        return Some(same);
    }
    synonym().or_else(|| {
        // A third of a word may be wrong; a short word has many neighbours.
        let limit = (plain.chars().count() / 3).clamp(1, 3);
        known
            .iter()
            .map(|known| (distance(&plain, known), *known))
            .filter(|(distance, known)| *distance <= limit && *distance < known.len())
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, known)| known)
    })
}

/// How many characters are added, taken, changed or swapped with their neighbour between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(left != right)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *right && *left == b[j - 1] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::table::{CONFIG, IMAGE, ITEM, LAYER, TOP};
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        for (given, known, meant) in [
            ("entrypint", &CONFIG[..], Some("entrypoint")),
            ("Entrypoint", &CONFIG, Some("entrypoint")),
            ("workingDir", &CONFIG, Some("working-dir")),
            ("working_dir", &CONFIG, Some("working-dir")),
            ("workdir", &CONFIG, Some("working-dir")),
            ("ports", &CONFIG, Some("exposed-ports")),
            ("layers", &TOP, Some("layer")),
            ("from", &IMAGE, Some("base")),
            ("target", &ITEM, Some("dest")),
            ("src", &LAYER, None),
            ("command", &LAYER, Some("run")),
            ("pass_env", &LAYER, Some("pass-env")),
            ("target", &LAYER, Some("dest")),
            ("zzz", &CONFIG, None),
            ("", &CONFIG, None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
    }
}
