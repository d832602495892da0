//! Between the wire's attributes and the table's types. Pure.

mod address;
mod destination;
mod service;
mod stats;
mod sync;

pub use destination::{decode_destination, destination_key, encode_destination};
pub use service::{decode_service, encode_service, service_key};
pub use sync::{decode_daemon, decode_info, decode_timeouts, encode_daemon, encode_timeouts};
