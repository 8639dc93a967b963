//! The name that a misspelled name probably stands for.

/// Returns the candidate with the fewest edits from `name`, if a third of its characters or fewer differ.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Counts the insertions, deletions, substitutions and swaps of neighbours between two words.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut fewest = substitution.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                fewest = fewest.min(rows[i - 2][j - 2] + 1);
            }
            row.push(fewest);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn closest_name_is_suggested_only_if_it_is_close() {
        let candidates = ["name", "repairs", "rounds", "mail"];
        for (name, expected) in [
            ("nmae", Some("name")),
            ("repair", Some("repairs")),
            ("Mail", Some("mail")),
            ("round", Some("rounds")),
            ("maze", None),
            ("temperature", None),
            ("x", None),
        ] {
            assert_eq!(closest(name, candidates), expected, "{name}");
        }
    }
}
