//! The configuration: one strict YAML file, its types, its errors, and the plan that it makes.
//!
//! [`load`] reads the file and checks it against the types of [`schema`]; [`compile`] checks that
//! its parts do not contradict each other and makes the [`Plan`](crate::serve::Plan) of it. All
//! problems of both are reported at once, each with its place in the file.

mod compile;
pub mod identity;
pub mod insecure;
mod leaf;
mod load;
mod near_miss;
pub mod oauth;
mod problem;
mod readable;
mod reference;
pub mod sasl;
pub mod schema;
mod shape;
mod sources;
pub mod tls;
mod tree;
mod yaml;

pub use compile::{Compiled, Reach, compile};
pub use leaf::{Address, BindAddress, BindHost, BrokerIds, Network, RouteTarget, Size, Time};
pub use load::{Loaded, environment, load, parse};
pub use problem::{Problem, Problems, Severity};
pub use reference::{json_schema, reference};
pub use sources::Sources;
pub use tree::{Path, Position};
pub use yaml::{to_yaml, written_out};
