//! Tokens of a login that are not inside of requests: a length and the token.

use doorkeeper_core::wire::header::PREFIX_BYTES;

use crate::pieces::Pieces;

/// What a client sends between a handshake of version 0 and the end of its login. Lengths are kept,
/// and nothing of a token.
#[derive(Debug, Default)]
pub(super) struct RawTokens {
    /// What has come of a length.
    prefix: Vec<u8>,
    /// What is missing of the token that has begun.
    left: usize,
    /// How many whole tokens nobody has evaluated yet.
    due: usize,
    /// A length was none.
    is_lost: bool,
}

impl RawTokens {
    pub(super) fn take(&mut self, mut input: &[u8], len_max: usize, out: &mut Pieces) {
        while !self.is_lost {
            if self.left > 0 {
                let part = self.left.min(input.len());
                out.mask(part);
                input = input.get(part..).unwrap_or_default();
                self.left -= part;
                if self.left > 0 {
                    return;
                }
                self.due += 1;
            }
            let Some((first, rest)) = input.split_first() else {
                return;
            };
            out.keep(&[*first]);
            input = rest;
            self.prefix.push(*first);
            let Some(prefix) = self.prefix.first_chunk::<PREFIX_BYTES>() else {
                continue;
            };
            match usize::try_from(i32::from_be_bytes(*prefix)) {
                Ok(0) => self.due += 1,
                Ok(len) if len <= len_max => self.left = len,
                Ok(_) | Err(_) => self.is_lost = true,
            }
            self.prefix.clear();
        }
        out.mask(input.len());
    }

    /// The oldest token was not the last one.
    pub(super) const fn challenged(&mut self) {
        self.due = self.due.saturating_sub(1);
    }

    /// Whether the login ends with the last byte that has come. What has come behind that would
    /// have been taken for tokens.
    pub(super) const fn ends_here(&self) -> bool {
        self.due == 1 && self.left == 0 && self.prefix.is_empty() && !self.is_lost
    }
}
