//! What nobody may see: a password, a key, a token.

use std::fmt;

/// Bytes that are never printed, logged or recorded. They cannot be compared here either: a
/// comparison that stops at the first difference tells how far it came.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Keeps these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for whoever has to use them. What is done with them must not outlive the use.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::new(*b"hunter2");
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "Secret(..) Some(Secret(..))"
        );
        assert_eq!(secret.expose(), b"hunter2");
    }
}
