//! The only source of ids and choices: a seeded splitmix64 stream.

use uuid::Uuid;

/// A deterministic stream of ids and choices. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream of the same seed: drawing from one does not move the other.
    #[must_use]
    pub const fn stream(seed: u64, number: u64) -> Self {
        let mut rng = Self(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let first = rng.next_u64();
        Self(first)
    }

    /// A number below `bound`; 0 if there is none.
    pub const fn below(&mut self, bound: u64) -> u64 {
        match self.next_u64().checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }

    /// True in one of `of` cases.
    pub const fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A random (version 4) id, as Kafka's topic ids and the tails of member ids are.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let high = u128::from(self.next_u64()) << 64;
        uuid::Builder::from_random_bytes((high | u128::from(self.next_u64())).to_be_bytes())
            .into_uuid()
    }

    /// A cluster id: 16 bytes as 22 characters of URL-safe base 64, as Kafka writes them.
    pub(crate) fn cluster_id(&mut self) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = self.uuid().as_u128();
        let character = |i: u32| {
            // 22 characters carry 132 bits: the last one has four zero bits at its end.
            let sextet = if i < 21 {
                bits >> (122 - 6 * i)
            } else {
                bits << 4
            } & 0x3f;
            usize::try_from(sextet)
                .ok()
                .and_then(|at| ALPHABET.get(at))
                .copied()
                .map(char::from)
        };
        (0..22).filter_map(character).collect()
    }

    /// A positive fetch session id.
    pub(crate) fn session_id(&mut self) -> i32 {
        let bits = (self.next_u64() >> 33) & 0x7fff_ffff;
        i32::try_from(bits).unwrap_or(i32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_eq!(a.cluster_id(), b.cluster_id());
        assert_eq!(a.cluster_id().len(), 22);
        assert_ne!(a.session_id(), 0);
    }
}
