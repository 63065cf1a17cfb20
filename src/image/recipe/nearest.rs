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
    synonym().or_else(|| closest(&plain, known.iter().copied()))
}

/// The known name that differs least from a mistyped one, if it differs by little. Capitals are no difference.
pub(crate) fn closest<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let given = given.to_ascii_lowercase();
    // A third of a word may be wrong; a short word has many neighbours.
    let limit = (given.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&given, &known.to_ascii_lowercase()), known))
        .filter(|(distance, known)| *distance <= limit && *distance < known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
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
