//! Who we are to a peer: a certificate chain and the key that belongs to it.

use std::str;
use std::sync::Arc;

use doorkeeper_core::secret::Secret;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why no identity can be made of what files hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadIdentity {
    /// The text holds no certificate.
    #[error("no certificate in it: PEM with BEGIN CERTIFICATE is expected")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("a certificate in it cannot be read: {0}")]
    Certificate(String),
    /// The text holds no key.
    #[error("no private key in it: PEM with BEGIN PRIVATE KEY is expected")]
    NoKey,
    /// The key is encrypted in a way that is not standard.
    #[error(
        "its key is encrypted in the old form of OpenSSL (DEK-Info): convert it with \
         `openssl pkcs8 -topk8`"
    )]
    OldEncryption,
    /// The key is encrypted, and there is no password.
    #[error("its key is encrypted, and no password is configured")]
    NoPassword,
    /// The key cannot be decrypted.
    #[error(
        "its key cannot be decrypted: the password is another one, or the algorithm is unknown"
    )]
    Password,
    /// The key is none that can sign.
    #[error("its key cannot be used: {0}")]
    Key(String),
    /// The key belongs to another certificate.
    #[error("the key does not belong to the first certificate of the chain")]
    Mismatch,
    /// The key store cannot be read.
    #[error("the key store cannot be read with this password: {0}")]
    KeyStore(String),
}

/// An identity from PEM: the chain with the certificate of the key first, and the key, which may be
/// PKCS#8, encrypted or not, PKCS#1 or SEC1.
///
/// # Errors
/// [`BadIdentity`].
pub fn from_pem(
    provider: &CryptoProvider,
    chain: &[u8],
    key: &[u8],
    password: Option<&Secret>,
) -> Result<Arc<CertifiedKey>, BadIdentity> {
    certified(provider, certificates(chain)?, private_key(key, password)?)
}

/// An identity from a PKCS#12 key store, as `keytool` and `openssl pkcs12` write it: its first
/// entry with a key.
///
/// # Errors
/// [`BadIdentity`].
pub fn from_pkcs12(
    provider: &CryptoProvider,
    store: &[u8],
    password: &Secret,
) -> Result<Arc<CertifiedKey>, BadIdentity> {
    let password = str::from_utf8(password.expose()).map_err(|_| BadIdentity::Password)?;
    let store = KeyStore::from_pkcs12(store, password, Pkcs12ImportPolicy::Relaxed)
        .map_err(|error| BadIdentity::KeyStore(error.to_string()))?;
    let (_, entry) = store.private_key_chain().ok_or(BadIdentity::NoKey)?;
    let chain = entry.certs().iter();
    let chain = chain.map(|it| CertificateDer::from(it.as_der().to_vec()));
    let key = PrivatePkcs8KeyDer::from(entry.key().as_der().to_vec());
    certified(provider, chain.collect(), key.into())
}

/// When the certificate of a key expires, in seconds since 1970.
pub(crate) fn expiry(key: &CertifiedKey) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(key.cert.first()?).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// All certificates of a PEM text; anything else in it is skipped.
///
/// # Errors
/// There is none, or one cannot be read.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadIdentity> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| BadIdentity::Certificate(error.to_string()))?;
    if all.is_empty() {
        return Err(BadIdentity::NoCertificate);
    }
    Ok(all)
}

fn private_key(
    pem: &[u8],
    password: Option<&Secret>,
) -> Result<PrivateKeyDer<'static>, BadIdentity> {
    if let Ok(key) = PrivateKeyDer::from_pem_slice(pem) {
        return Ok(key);
    }
    let text = str::from_utf8(pem).map_err(|_| BadIdentity::NoKey)?;
    if text.contains("DEK-Info:") {
        return Err(BadIdentity::OldEncryption);
    }
    let block = encrypted_block(text).ok_or(BadIdentity::NoKey)?;
    let password = password.ok_or(BadIdentity::NoPassword)?;
    let key = |error: String| BadIdentity::Key(error);
    let (_, document) = SecretDocument::from_pem(block).map_err(|error| key(error.to_string()))?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| key(error.to_string()))?;
    let plain = encrypted
        .decrypt(password.expose())
        .map_err(|_| BadIdentity::Password)?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}

/// The first encrypted key of a text that may hold other things as well.
fn encrypted_block(text: &str) -> Option<&str> {
    const BEGIN: &str = concat!("-----BEGIN ENCRYPTED PRIVATE", " KEY-----");
    const END: &str = concat!("-----END ENCRYPTED PRIVATE", " KEY-----");
    let (_, rest) = text.split_once(BEGIN)?;
    let from = text.len() - rest.len() - BEGIN.len();
    let to = text.len() - rest.len() + rest.find(END)? + END.len();
    text.get(from..to)
}

fn certified(
    provider: &CryptoProvider,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, BadIdentity> {
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        if let rustls::Error::InconsistentKeys(_) = error {
            BadIdentity::Mismatch
        } else if let rustls::Error::InvalidCertificate(why) = error {
            BadIdentity::Certificate(why.to_string())
        } else {
            BadIdentity::Key(error.to_string())
        }
    })?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests;
