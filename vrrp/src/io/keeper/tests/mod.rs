//! A keeper in a network namespace, with a peer in another. Needs root and the Debian package iproute2.

mod addresses;
mod director;
mod drift;
mod guard;
mod macvlan;
mod refusal;
mod routes;

pub(in crate::io::keeper) use director::holding;
