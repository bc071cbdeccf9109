//! Chains and keys in each of the forms that people have.

use pkcs8::LineEnding;

use super::*;
use crate::tls::parameters::Parameters;

fn provider() -> Arc<CryptoProvider> {
    Parameters::default().provider().unwrap()
}

/// A certificate that its own key signed, in PEM, and the key.
fn pair() -> (String, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key)
}

fn encrypted(key: &rcgen::KeyPair, password: &[u8]) -> String {
    let plain = pkcs8::PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap();
    let document = plain.encrypt(password).unwrap();
    let pem = document
        .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
        .unwrap();
    pem.to_string()
}

#[test]
fn pem_gives_an_identity_whatever_stands_beside_it() {
    let (chain, key) = pair();
    let key = key.serialize_pem();
    let both = format!("# ours\n{key}\n{chain}");
    for (chain, key) in [(&chain, &key), (&both, &both)] {
        let identity = from_pem(&provider(), chain.as_bytes(), key.as_bytes(), None).unwrap();
        assert_eq!(identity.cert.len(), 1);
    }
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let (chain, key) = pair();
    let pem = format!("{chain}{}", encrypted(&key, b"right"));
    let with = |password: Option<&[u8]>| {
        let password = password.map(|it| Secret::new(it.to_vec()));
        from_pem(
            &provider(),
            pem.as_bytes(),
            pem.as_bytes(),
            password.as_ref(),
        )
        .map(|_| ())
    };
    assert_eq!(with(Some(b"right")), Ok(()));
    assert_eq!(with(Some(b"wrong")), Err(BadIdentity::Password));
    assert_eq!(with(None), Err(BadIdentity::NoPassword));
}

#[test]
fn what_is_wrong_with_files_is_said() {
    let ((chain, key), (_, other)) = (pair(), pair());
    let (key, other) = (key.serialize_pem(), other.serialize_pem());
    let old = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n";
    let old = &format!(
        "-----BEGIN RSA {0}-----\n{old}-----END RSA {0}-----\n",
        "PRIVATE KEY"
    );
    for (chain, key, expected) in [
        (chain.as_str(), other.as_str(), BadIdentity::Mismatch),
        ("", &key, BadIdentity::NoCertificate),
        (&key, &key, BadIdentity::NoCertificate),
        (&chain, "", BadIdentity::NoKey),
        (&chain, &chain, BadIdentity::NoKey),
        (&chain, old, BadIdentity::OldEncryption),
        (&chain, "\u{fffd}", BadIdentity::NoKey),
    ] {
        let made = from_pem(&provider(), chain.as_bytes(), key.as_bytes(), None);
        assert_eq!(made.map(|_| ()), Err(expected));
    }
    let broken = chain.replace('M', "!");
    let made = from_pem(&provider(), broken.as_bytes(), key.as_bytes(), None);
    assert!(matches!(made, Err(BadIdentity::Certificate(_))), "{made:?}");
}

#[test]
fn a_key_store_gives_its_first_entry_with_a_key() {
    use p12_keystore::{Certificate, KeyStoreEntry, LocalKeyId, PrivateKey, PrivateKeyChain};
    let (chain, key) = pair();
    let der = certificates(chain.as_bytes()).unwrap().remove(0);
    let entry = PrivateKeyChain::new(
        LocalKeyId::from(b"1".to_vec()),
        PrivateKey::from_der(key.serialized_der()).unwrap(),
        [Certificate::from_der(&der).unwrap()],
    );
    let mut store = KeyStore::new();
    store.add_entry("doorkeeper", KeyStoreEntry::PrivateKeyChain(entry));
    let bytes = store.writer("changeit").write().unwrap();
    let with = |password: &str| from_pkcs12(&provider(), &bytes, &Secret::new(password.as_bytes()));
    assert_eq!(with("changeit").unwrap().cert, [der]);
    assert!(matches!(with("other"), Err(BadIdentity::KeyStore(_))));
}
