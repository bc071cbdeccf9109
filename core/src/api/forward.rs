//! How the frames of each API are forwarded, and what must be read of them.

use super::row::{Editing, Row, Streaming};
use super::rows::row;
use crate::id::{ApiKey, ApiVersion};
use crate::wire::schema::{Edition, Role, Roles, ThrottlePlace};

/// How a body is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardMode {
    /// Nothing in it concerns us.
    Pass,
    /// Buffer it until these fields have been read.
    Buffer(Roles),
    /// Forward it while it is read. Of a response only what may have to be edited is buffered; of a
    /// request only its end, without which the broker does nothing.
    Stream(Roles),
}

/// What the tables say of a response: looked up once for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseForm {
    pub(crate) row: &'static Row,
    pub(crate) version: ApiVersion,
    pub(crate) edition: &'static Edition,
}

impl ResponseForm {
    /// Of a version that the tables have.
    pub(crate) fn of(row: &'static Row, version: ApiVersion) -> Option<Self> {
        let edition = row.entry.response.edition(version.0)?;
        Some(Self {
            row,
            version,
            edition,
        })
    }

    /// Whether the body has compact lengths and tagged fields.
    pub(crate) fn is_flexible(&self) -> bool {
        self.edition.flexible.contains(self.version.0)
    }

    /// Whether the header has tagged fields.
    pub(crate) fn header_is_flexible(&self) -> bool {
        !self.row.negotiates_versions() && self.is_flexible()
    }

    /// Where it says for how long its broker throttles the client.
    pub(crate) fn throttle_place(&self) -> ThrottlePlace {
        self.edition.throttle_place(self.version.0)
    }
}

/// A longer request is not buffered for a field that only sets a deadline, and a longer streamed
/// response is not buffered for the addresses at its end.
pub(crate) const STREAM_BYTES_MIN: usize = 64 * 1024;

/// What decides whether a request may go on, and whether it gets a response.
const DECIDES: Roles = Roles::of(&[Role::Acks, Role::ReplicaId, Role::KeyType]);
/// For how long a request lets the broker wait.
const WAITS: Roles = Roles::of(&[Role::WaitMs]);

/// What must be read of a request before it may go on, if no rule looks at its topics.
pub(crate) fn request_forward_mode(
    row: &Row,
    version: ApiVersion,
    frame_len: usize,
) -> ForwardMode {
    const READ: Roles = DECIDES.union(WAITS);
    let Some(edition) = row.entry.request.edition(version.0) else {
        return ForwardMode::Pass;
    };
    let decides = edition.body.roles.intersects(DECIDES);
    let says_wait = edition.body.roles.intersects(READ) && frame_len <= STREAM_BYTES_MIN;
    // To buffer a whole long request for its last field would cost memory for as long as its client
    // likes; a broker that never gets the end of the frame never serves it.
    let decides_last = |from| version >= from && frame_len > STREAM_BYTES_MIN;
    if decides && row.decides_last_from.is_some_and(decides_last) {
        ForwardMode::Stream(READ)
    } else if says_wait {
        ForwardMode::Buffer(READ.union(row.timeout_roles))
    } else if decides {
        ForwardMode::Buffer(READ)
    } else {
        ForwardMode::Pass
    }
}

/// Whether a request of this length says for how long it lets the broker wait, and is forwarded
/// without this field being read.
pub(crate) fn request_wait_is_unread(api: ApiKey, version: ApiVersion, frame_len: usize) -> bool {
    let edition = row(api).and_then(|row| row.entry.request.edition(version.0));
    frame_len > STREAM_BYTES_MIN
        && edition
            .is_some_and(|it| it.body.roles.intersects(WAITS) && !it.body.roles.intersects(DECIDES))
}

/// What must be read of a response, because it may contain an address or ranges of versions, or
/// says in an unknown place for how long the client is throttled.
///
/// No more than `request_buffer_bytes_max` may be buffered.
pub(crate) fn response_forward_mode(
    form: &ResponseForm,
    frame_len: usize,
    request_buffer_bytes_max: usize,
    throttle: ThrottlePlace,
) -> ForwardMode {
    const THROTTLE: Roles = Roles::of(&[Role::ThrottleTime]);
    let mode = address_forward_mode(form, frame_len, request_buffer_bytes_max);
    match (throttle, mode) {
        (ThrottlePlace::Nowhere | ThrottlePlace::At(_), mode) => mode,
        (ThrottlePlace::BehindOthers, ForwardMode::Pass) => ForwardMode::Buffer(THROTTLE),
        (ThrottlePlace::BehindOthers, ForwardMode::Buffer(interest)) => {
            ForwardMode::Buffer(interest.union(THROTTLE))
        }
        (ThrottlePlace::BehindOthers, ForwardMode::Stream(interest)) => {
            ForwardMode::Stream(interest.union(THROTTLE))
        }
    }
}

fn address_forward_mode(
    form: &ResponseForm,
    frame_len: usize,
    request_buffer_bytes_max: usize,
) -> ForwardMode {
    const ADDRESSES: Roles = Roles::of(&[
        Role::Endpoints,
        Role::EndpointId,
        Role::ControllerId,
        Role::Host,
        Role::Port,
        Role::Listeners,
        Role::ErrorMessage,
    ]);
    const COORDINATOR: Roles = Roles::of(&[Role::ErrorCode]);
    const CONFIGS: Roles = Roles::of(&[
        Role::ConfigResults,
        Role::ResourceType,
        Role::ConfigEntries,
        Role::ConfigName,
        Role::ConfigValue,
        Role::IsSensitive,
        Role::ConfigSynonyms,
    ]);
    const VERSIONS: Roles = Roles::of(&[
        Role::ApiKeys,
        Role::ApiKey,
        Role::MinVersion,
        Role::MaxVersion,
    ]);
    const FETCHED: Roles = Roles::of(&[Role::Topics]);
    let row = form.row;
    match row.editing {
        Editing::Versions => ForwardMode::Buffer(VERSIONS),
        Editing::Coordinators => ForwardMode::Buffer(ADDRESSES.union(COORDINATOR)),
        Editing::Configs
            if row.streaming == Streaming::InPlace && frame_len > request_buffer_bytes_max =>
        {
            ForwardMode::Stream(ADDRESSES.union(CONFIGS))
        }
        Editing::Configs => ForwardMode::Buffer(ADDRESSES.union(CONFIGS)),
        Editing::Addresses
            if form.version < row.addresses_from
                || !form.edition.body.roles.intersects(ADDRESSES) =>
        {
            ForwardMode::Pass
        }
        Editing::Addresses
            if row.streaming == Streaming::BehindRecords && frame_len > STREAM_BYTES_MIN =>
        {
            ForwardMode::Stream(ADDRESSES.union(FETCHED))
        }
        Editing::Addresses => ForwardMode::Buffer(ADDRESSES),
    }
}
