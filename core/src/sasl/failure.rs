//! Why a login failed, on either leg: one typed reason, the same in the log and in a metric.

use std::fmt;

macro_rules! failures {
    (
        $(#[doc = $about:literal])+
        $type:ident {
            $($(#[doc = $doc:literal])+ $failure:ident = $name:literal,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[doc = $doc])+ $failure,)+
        }

        impl $type {
            /// All of them, for tables.
            pub const ALL: &'static [Self] = &[$(Self::$failure,)+];

            /// The name that logs and metric labels use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$failure => $name,)+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

failures! {
    /// What ended the login of a client.
    LoginFailure {
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
        /// The client wants to act as somebody else (an authorization id that is not its user
        /// name).
        AuthorizationId = "authorization_id",
        /// The client wants channel binding, or says that it saw none offered; Kafka has none.
        ChannelBinding = "channel_binding",
        /// The client offers a delegation token, which only the cluster could verify.
        DelegationToken = "delegation_token",
        /// A part of the token must be understood, and is not (`m=` of RFC 5802).
        UnsupportedExtension = "unsupported_extension",
        /// The bearer token is longer than it may be.
        TokenTooLong = "token_too_long",
        /// It is no signed JWT, wants to be understood in a way that it is not, or does not say
        /// when it expires.
        TokenMalformed = "token_malformed",
        /// It is signed by an algorithm that is not allowed, or not at all.
        TokenAlgorithm = "token_algorithm",
        /// The key that it names is not among the known ones.
        TokenUnknownKey = "token_unknown_key",
        /// The key that it names is not known, and the keys could not be fetched.
        TokenKeysUnavailable = "token_keys_unavailable",
        /// Its signature is wrong.
        TokenSignature = "token_signature",
        /// It has expired.
        TokenExpired = "token_expired",
        /// It holds only later, or was issued later than now.
        TokenNotYetValid = "token_not_yet_valid",
        /// It was issued for longer than is allowed.
        TokenLifetime = "token_lifetime",
        /// Somebody else has issued it.
        TokenIssuer = "token_issuer",
        /// It is meant for somebody else.
        TokenAudience = "token_audience",
        /// It lacks a scope.
        TokenScope = "token_scope",
        /// It does not say whose it is.
        TokenPrincipal = "token_principal",
        /// The client logged in again as somebody else.
        PrincipalChanged = "principal_changed",
        /// The client logged in again by another mechanism.
        MechanismChanged = "mechanism_changed",
        /// Whoever verifies logins gave no decision.
        VerifierUnavailable = "verifier_unavailable",
    }
}

failures! {
    /// What ended a login of doorkeeper's own at a broker.
    BrokerLoginFailure {
        /// The broker does not have the mechanism of the credentials.
        MechanismNotEnabled = "login_mechanism_not_enabled",
        /// The broker says that the credentials are wrong.
        Rejected = "login_rejected",
        /// What the broker sent belongs to no login.
        Malformed = "login_malformed",
        /// The broker has not proved that it knows the password, or responds to somebody else.
        NotAuthentic = "login_broker_not_authentic",
        /// The broker wants fewer iterations than are safe, or more than anybody needs.
        Iterations = "login_iterations",
        /// The broker ended the connection in the middle of the login.
        Ended = "login_ended",
        /// The login did not end in time.
        TimedOut = "login_timed_out",
        /// Nothing is configured that the client's principal could log in with.
        NoCredentials = "login_no_credentials",
        /// The credentials cannot be had at the moment: whoever gives tokens gives none.
        CredentialsUnavailable = "login_credentials_unavailable",
    }
}

impl BrokerLoginFailure {
    /// Whether another attempt may end otherwise, although nothing has been configured anew.
    #[must_use]
    pub(crate) const fn may_pass(self) -> bool {
        match self {
            Self::Ended | Self::TimedOut | Self::CredentialsUnavailable => true,
            Self::MechanismNotEnabled
            | Self::Rejected
            | Self::Malformed
            | Self::NotAuthentic
            | Self::Iterations
            | Self::NoCredentials => false,
        }
    }
}
