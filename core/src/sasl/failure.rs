//! Why a login failed: one typed reason, the same in the log and in a metric.

use std::fmt;

macro_rules! failures {
    ($($(#[doc = $doc:literal])+ $failure:ident = $name:literal,)+) => {
        /// What ended a login.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LoginFailure {
            $($(#[doc = $doc])+ $failure,)+
        }

        impl LoginFailure {
            /// All of them, for tables.
            pub const ALL: &'static [Self] = &[$(Self::$failure,)+];

            /// The name that logs and metric labels use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$failure => $name,)+ }
            }
        }
    };
}

failures! {
    /// The client wants a mechanism that is not offered.
    MechanismNotOffered = "mechanism_not_offered",
    /// Something else came where a token was due; the reason of the close says what.
    UnexpectedRequest = "unexpected_request",
    /// A token is not what its mechanism says that it is.
    MalformedToken = "malformed_token",
    /// There is no such user. The client cannot tell it from a wrong password.
    UnknownUser = "unknown_user",
    /// The password, or the proof of it, is wrong.
    WrongPassword = "wrong_password",
    /// The client wants to act as somebody else (an authorization id that is not its user name).
    AuthorizationId = "authorization_id",
    /// The client wants channel binding, or says that it saw none offered; Kafka has none.
    ChannelBinding = "channel_binding",
    /// The client offers a delegation token, which only the cluster could verify.
    DelegationToken = "delegation_token",
    /// A part of the token must be understood, and is not (`m=` of RFC 5802).
    UnsupportedExtension = "unsupported_extension",
    /// The bearer token does not hold.
    InvalidToken = "invalid_token",
    /// The client logged in again as somebody else.
    PrincipalChanged = "principal_changed",
    /// The client logged in again by another mechanism.
    MechanismChanged = "mechanism_changed",
    /// Whoever verifies logins gave no decision.
    VerifierUnavailable = "verifier_unavailable",
}

impl fmt::Display for LoginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
