//! Verifies passwords against keys, which takes milliseconds of a processor each: never on a thread
//! that moves bytes, few at a time, and once for each password that is right.
//!
//! How many wait is bounded by how many connections there may be that have not logged in, in all
//! and of one address, because each waits for one at most; they go on in the order in which they
//! came. What is kept of a password that was right is a keyed hash of it together with the keys
//! that it belongs to, so that other keys make it worthless, and no more than one for each user.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use doorkeeper_core::id::Seed;
use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::scram::credential::ScramCredential;
use doorkeeper_core::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How many passwords are verified at a time: the rest of the processors moves bytes.
const AT_ONCE: usize = 1;

/// Of how many users a password is kept that was right.
const KEPT_MAX: usize = 10_000;

/// Of a password and the keys that it belongs to.
type KeyedHash = [u8; 32];

/// All checks of a process.
#[derive(Clone)]
pub(crate) struct PasswordChecks(Arc<Shared>);

struct Shared {
    /// What hashes are keyed with, which nobody else knows: drawn when it is first needed.
    key: OnceLock<Seed>,
    entropy: Arc<dyn Fn() -> Seed + Send + Sync>,
    permits: Arc<Semaphore>,
    right: Mutex<RightPasswords>,
}

impl fmt::Debug for PasswordChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordChecks(..)")
    }
}

/// The last password of each user that was right.
#[derive(Default)]
struct RightPasswords {
    by_user: BTreeMap<Arc<str>, KeyedHash>,
    /// The oldest one first.
    order: VecDeque<Arc<str>>,
}

impl RightPasswords {
    fn keep(&mut self, user: &str, hash: KeyedHash) {
        if let Some(kept) = self.by_user.get_mut(user) {
            *kept = hash;
            return;
        }
        if self.by_user.len() >= KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_user.remove(&oldest);
        }
        let user: Arc<str> = user.into();
        self.order.push_back(Arc::clone(&user));
        self.by_user.insert(user, hash);
    }
}

/// A password that is being verified. Nobody goes on with it once this is dropped, unless it is
/// being computed already.
#[derive(Debug)]
pub(crate) struct Check(JoinHandle<Result<(), LoginFailure>>);

impl Drop for Check {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for Check {
    type Output = Result<(), LoginFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let joined = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(joined.unwrap_or(Err(LoginFailure::VerifierUnavailable)))
    }
}

impl PasswordChecks {
    /// With entropy for what nobody may guess.
    pub(crate) fn new(entropy: Arc<dyn Fn() -> Seed + Send + Sync>) -> Self {
        Self(Arc::new(Shared {
            key: OnceLock::new(),
            entropy,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            right: Mutex::default(),
        }))
    }

    /// Whether that is the password of the user whose keys these are, or of nobody, where they are
    /// a stand-in: that takes as long. The decision where it is known already, else what to wait
    /// for.
    pub(crate) fn check(
        &self,
        user: Option<&str>,
        credential: ScramCredential,
        password: Secret,
    ) -> Result<Result<(), LoginFailure>, Check> {
        let hash = self.0.hash(&credential, &password);
        if let Some(user) = user
            && self.0.right().by_user.get(user) == Some(&hash)
        {
            return Ok(Ok(()));
        }
        let (shared, user) = (Arc::clone(&self.0), user.map(str::to_owned));
        Err(Check(tokio::spawn(async move {
            let permit = Arc::clone(&shared.permits).acquire_owned().await;
            let permit = permit.map_err(|_| LoginFailure::VerifierUnavailable)?;
            let computed = tokio::task::spawn_blocking(move || {
                let is_right = credential.is_of(&password);
                drop(permit);
                is_right
            });
            let is_right = computed.await;
            match (is_right, user) {
                (Ok(true), Some(user)) => {
                    shared.right().keep(&user, hash);
                    Ok(())
                }
                (Ok(_), None) => Err(LoginFailure::UnknownUser),
                (Ok(false), Some(_)) => Err(LoginFailure::WrongPassword),
                (Err(_), _) => Err(LoginFailure::VerifierUnavailable),
            }
        })))
    }
}

impl Shared {
    fn hash(&self, credential: &ScramCredential, password: &Secret) -> KeyedHash {
        // A key of any length will do.
        let Seed(key) = self.key.get_or_init(|| (self.entropy)());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return KeyedHash::default();
        };
        // The keys have the same length for each hash, and their salt is random.
        mac.update(credential.stored_key().expose());
        mac.update(password.expose());
        mac.finalize().into_bytes().into()
    }

    fn right(&self) -> MutexGuard<'_, RightPasswords> {
        // Nothing that a panic could leave half done is behind this lock.
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use doorkeeper_core::sasl::scram::Hash;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    fn credential(password: &str) -> ScramCredential {
        ScramCredential::derive(Hash::Sha256, &secret(password), b"salt", 4096).unwrap()
    }

    async fn check(
        checks: &PasswordChecks,
        user: Option<&str>,
        credential: &ScramCredential,
        password: &str,
    ) -> (bool, Result<(), LoginFailure>) {
        match checks.check(user, credential.clone(), secret(password)) {
            Ok(decision) => (true, decision),
            Err(check) => (false, check.await),
        }
    }

    #[tokio::test]
    async fn a_password_that_is_right_is_computed_once() {
        let checks = PasswordChecks::new(Arc::new(|| Seed([3; 32])));
        let keys = credential("right");
        let alice = Some("alice");
        assert_eq!(check(&checks, alice, &keys, "right").await, (false, Ok(())));
        assert_eq!(check(&checks, alice, &keys, "right").await, (true, Ok(())));
        let wrong = Err(LoginFailure::WrongPassword);
        assert_eq!(check(&checks, alice, &keys, "wrong").await, (false, wrong));
        // Other keys, other password.
        let keys = credential("new");
        assert_eq!(check(&checks, alice, &keys, "right").await, (false, wrong));
        assert_eq!(check(&checks, alice, &keys, "new").await, (false, Ok(())));
    }

    #[tokio::test]
    async fn keys_of_nobody_let_nobody_in() {
        let checks = PasswordChecks::new(Arc::new(|| Seed([3; 32])));
        let keys = credential("right");
        let unknown = (false, Err(LoginFailure::UnknownUser));
        assert_eq!(check(&checks, None, &keys, "right").await, unknown);
        assert_eq!(check(&checks, None, &keys, "right").await, unknown);
    }

    #[test]
    fn so_many_are_kept_and_the_oldest_goes() {
        let mut right = RightPasswords::default();
        for number in 0..=KEPT_MAX {
            right.keep(&format!("user-{number}"), [1; 32]);
            right.keep("user-1", [2; 32]);
        }
        assert_eq!(
            (right.by_user.len(), right.order.len()),
            (KEPT_MAX, KEPT_MAX)
        );
        assert!(!right.by_user.contains_key("user-0"));
        assert_eq!(right.by_user.get("user-1"), Some(&[2; 32]));
    }
}
