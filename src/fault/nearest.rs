//! The known word that a misspelt one probably means.

/// Finds what was probably meant by `word`: the candidate that takes the fewest changes, if they are few.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let changes_max = if word.len() <= 4 { 1 } else { 2 };
    let changes = candidates.into_iter().map(|candidate| (changes(word.as_bytes(), candidate.as_bytes()), candidate));
    changes.filter(|(count, _)| *count <= changes_max).min_by_key(|(count, _)| *count).map(|(_, candidate)| candidate)
}

/// Counts the octets to insert, drop, replace or swap with their neighbour to turn one word into the other, whatever
/// the letter case.
fn changes(left: &[u8], right: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(!a.eq_ignore_ascii_case(b));
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let is_swap = row > 0
                && column > 0
                && a.eq_ignore_ascii_case(&right[column - 1])
                && left[row - 1].eq_ignore_ascii_case(b);
            if is_swap {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_changes_are_forgiven_and_many_are_not() {
        for (left, right, count) in
            [("", "", 0), ("a", "A", 0), ("ab", "ba", 1), ("mx", "mxx", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(changes(left.as_bytes(), right.as_bytes()), count, "{left} {right}");
            assert_eq!(changes(right.as_bytes(), left.as_bytes()), count, "{right} {left}");
        }
        assert_eq!(nearest("AAA", ["MX", "AAAA", "A"]), Some("AAAA"));
        assert_eq!(nearest("flurb", ["MX", "AAAA", "A"]), None);
    }
}
