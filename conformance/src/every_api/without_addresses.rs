//! What a text of a broker must be like behind doorkeeper.

/// The text with `[upstream]` in the place of a host and of the port behind it.
pub(super) fn without_host(text: &str, host: &str) -> String {
    let mut parts = text.split(host);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, behind| {
        // A colon without a port belongs to the text: `kafka-1.internal: gone`.
        let port = behind.strip_prefix(':');
        let port = port.filter(|port| port.starts_with(|c: char| c.is_ascii_digit()));
        let behind = port.map_or(behind, |port| port.trim_start_matches(char::is_numeric));
        format!("{before}[upstream]{behind}")
    })
}

/// The text with `[upstream]` in the place of whatever host and port stand behind `://`.
pub(super) fn without_listeners(text: &str) -> String {
    let mut parts = text.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, behind| {
        // A bracket that the address did not open belongs to the text around it.
        let ends = |c: char| c.is_whitespace() || "/,;'\"()<>{}]".contains(c);
        let literal = behind.starts_with('[').then(|| behind.find(']')).flatten();
        let from = literal.map_or(0, |closing| closing + 1);
        let rest = behind.get(from..).unwrap_or_default();
        let (address, behind) = behind.split_at(from + rest.find(ends).unwrap_or(rest.len()));
        let address = if address.is_empty() { "" } else { "[upstream]" };
        format!("{before}://{address}{behind}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_goes_with_its_port_and_leaves_any_other_colon() {
        for (text, expected) in [
            (
                "at b.internal:9092, b.internal",
                "at [upstream], [upstream]",
            ),
            ("b.internal: gone", "[upstream]: gone"),
            ("b.internal:9092: gone", "[upstream]: gone"),
            ("b.internal:", "[upstream]:"),
        ] {
            assert_eq!(without_host(text, "b.internal"), expected);
        }
    }
}
