//! User names within messages (`saslname` of RFC 5802): a comma is `=2C`, an equals sign `=3D`.

/// The name that is meant. Nothing if it is empty, has a NUL, or an equals sign that begins
/// neither of both.
pub(crate) fn decode(encoded: &str) -> Option<String> {
    if encoded.is_empty() || encoded.contains(['\0', ',']) {
        return None;
    }
    let mut parts = encoded.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = if let Some(rest) = part.strip_prefix("2C") {
            name.push(',');
            rest
        } else {
            name.push('=');
            part.strip_prefix("3D")?
        };
        name.push_str(rest);
    }
    Some(name)
}

/// A name as it stands in a message.
pub(super) fn encode(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_equals_signs_are_encoded() {
        for name in ["user", "a,b", "a=b", "=2C", ",,==", "\u{fc}ser"] {
            assert_eq!(decode(&encode(name)).as_deref(), Some(name));
        }
        assert_eq!(encode("a,b=c"), "a=2Cb=3Dc");
    }

    #[test]
    fn any_other_equals_sign_is_malformed() {
        for encoded in ["", "a=", "a=2", "a=2c", "a=3d", "a==3D", "a,b", "a\0"] {
            assert_eq!(decode(encoded), None, "{encoded}");
        }
    }
}
