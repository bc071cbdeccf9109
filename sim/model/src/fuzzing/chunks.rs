//! One way to cut bytes into chunks, chosen by a byte of the input.

/// Pieces of `bytes` in order, none of them empty. 0 does not cut at all; other patterns repeat
/// two sizes, so that long and short pieces alternate.
pub(super) fn chunks(bytes: &[u8], pattern: u8) -> impl Iterator<Item = &[u8]> {
    let sizes = match pattern {
        0 => [usize::MAX; 2],
        _ => [
            usize::from(pattern % 16) + 1,
            usize::from(pattern / 16) * 4 + 1,
        ],
    };
    let mut rest = bytes;
    let mut sizes = sizes.into_iter().cycle();
    std::iter::from_fn(move || {
        let size = sizes.next()?.min(rest.len());
        let (piece, tail) = rest.split_at_checked(size)?;
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_gives_all_bytes_in_order() {
        let bytes: Vec<u8> = (0..=255).collect();
        for pattern in 0..=255 {
            let pieces: Vec<&[u8]> = chunks(&bytes, pattern).collect();
            assert_eq!(pieces.concat(), bytes, "{pattern}");
            assert!(pieces.iter().all(|piece| !piece.is_empty()), "{pattern}");
        }
        assert_eq!(chunks(&bytes, 0).count(), 1);
        assert_eq!(chunks(&[], 7).count(), 0);
    }
}
