//! Names of subjects in any bytes.

use doorkeeper_core::certificate::distinguished_name::DistinguishedName;
use doorkeeper_core::certificate::principal::{CertificateNames, PrincipalSource};

/// Input: what claims to be the DER of a name.
pub fn distinguished_name(data: &[u8]) {
    let name = DistinguishedName::from_der(data);
    let names = CertificateNames {
        subject: data,
        alternative: Vec::new(),
    };
    let principal = PrincipalSource::distinguished_name().principal(&names);
    let Ok(name) = name else {
        assert!(principal.is_err(), "what is no name is nobody");
        return;
    };
    let text = name.to_string();
    // At most three letters for a byte that is no UTF-8, and as many digits for one of a number.
    assert!(
        text.len() <= 8 * data.len(),
        "a text of {} bytes",
        text.len()
    );
    for keyword in ["CN", "O", "ST"] {
        let _ = name.values(keyword);
    }
    if let Ok(principal) = principal {
        assert_eq!(principal.as_str(), format!("User:{text}"));
        assert!(!text.contains(char::is_control), "a log of two lines");
    }
}
