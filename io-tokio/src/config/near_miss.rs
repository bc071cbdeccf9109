//! The known name that a misspelt one probably stands for.

/// The word that differs least from `written`, if one is near enough to be meant.
pub(super) fn near_miss<'a>(
    written: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let enough = (written.chars().count() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (distance(written, word), word))
        .filter(|(distance, _)| *distance <= enough)
        .min()
        .map(|(_, word)| word)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let fold =
        |text: &str| -> Vec<char> { text.to_lowercase().replace('-', "_").chars().collect() };
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let replaced = at(&last, j) + usize::from(x != y);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swaps = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if swaps {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let words = ["bootstrap", "dial", "limits", "broker_ids"];
        for (written, meant) in [
            ("bootsrap", "bootstrap"),
            ("bootstarp", "bootstrap"),
            ("Limits", "limits"),
            ("broker-ids", "broker_ids"),
            ("dail", "dial"),
        ] {
            assert_eq!(near_miss(written, words), Some(meant));
        }
        assert_eq!(near_miss("tls", words), None);
        assert_eq!(near_miss("", words), None);
    }
}
