//! The known word that a misspelt one probably means.

use strsim::osa_distance;

/// Finds what was probably meant by `word`, whatever the letter case: the candidate that takes the fewest letters to
/// insert, drop, replace or swap with their neighbour, if they are few.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let changes_max = if word.len() <= 4 { 1 } else { 2 };
    let word = word.to_ascii_lowercase();
    let changes = candidates.into_iter().map(|known| (osa_distance(&word, &known.to_ascii_lowercase()), known));
    changes.filter(|(count, _)| *count <= changes_max).min_by_key(|(count, _)| *count).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_changes_are_forgiven_and_many_are_not() {
        let known = ["MX", "AAAA", "A", "CNAME"];
        for (word, meant) in [
            ("AAA", Some("AAAA")),
            ("cnmae", Some("CNAME")),
            ("xm", Some("MX")),
            ("mxx", Some("MX")),
            ("cnamexx", Some("CNAME")),
            ("cnamexxx", None),
            ("flurb", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
