//! Checks the limits of a listener against each other, and against what all listeners share.

use super::super::Size;
use super::super::schema::{Listener, ListenerLimits};
use super::super::tree::Path;
use super::Compiler;

impl Compiler<'_> {
    /// Warns of proxies that anybody can pass for, and of a header that may come later than the
    /// handshake behind it.
    pub(super) fn check_proxies(&mut self, path: &Path, listener: &Listener) {
        let Some(proxies) = &listener.proxy_protocol else {
            return;
        };
        let path = path.key("proxy_protocol");
        for (i, network) in proxies.trusted.iter().enumerate() {
            if network.0.prefix_len() == 0 {
                let message = "everybody is trusted to say who the client is";
                self.warning(&path.key("trusted").index(i), message);
            }
        }
        let handshake = listener.limits.handshake_timeout;
        if listener.tls.is_some() && proxies.timeout > handshake {
            let message = format!("is never reached: limits.handshake_timeout is {handshake}");
            self.warning(&path.key("timeout"), message);
        }
    }

    /// Warns of limits that others keep from ever being reached.
    pub(super) fn check_limits(&mut self, path: &Path, limits: &ListenerLimits, buffered: Size) {
        let path = path.key("limits");
        let of_address = Size(buffered.0 / 2);
        for (key, what, bytes) in [
            (
                "request_buffer_bytes_max",
                "request",
                limits.request_buffer_bytes_max,
            ),
            (
                "response_buffer_bytes_max",
                "response",
                limits.response_buffer_bytes_max,
            ),
        ] {
            if bytes.0 > of_address.0 {
                let message = format!(
                    "{bytes} are more than connections of one address may buffer, half \
                     of buffered_bytes_max ({of_address}): a longer {what} closes its \
                     connection; raise buffered_bytes_max, or lower {key}"
                );
                self.warning(&path.key(key), message);
            }
        }
        let silent = limits.silent_connections;
        let per_address = limits.silent_connections_per_address;
        for (key, count, bound, most) in [
            (
                "silent_connections",
                silent,
                "connections",
                Some(limits.connections),
            ),
            (
                "silent_connections_per_address",
                per_address,
                "connections_per_address",
                Some(limits.connections_per_address),
            ),
            (
                "silent_connections_per_address",
                per_address,
                "silent_connections",
                silent,
            ),
        ] {
            if let (Some(count), Some(most)) = (count, most)
                && count > most
            {
                let message = format!("{count} are never reached: {bound} is {most}");
                self.warning(&path.key(key), message);
            }
        }
    }
}
