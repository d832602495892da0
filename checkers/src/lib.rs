//! What to ask a real server, how to ask it, and when.
//!
//! ```text
//!   Probe = Target + Spec + timing ──► Runner ──► Observation = Outcome + latency
//!                                        │
//!              schedule (pure) ──when──► check, one deadline over all of it
//!                                        ├─ socket ─ tls ─ http, stream ─ dns
//!                                        ├─ socket ─ datagram ─ dns, radius, udp, ping, ntp
//!                                        ├─ trace: how far it came
//!                                        └─ failure: whose fault an error is
//! ```
//!
//! [`Spec`] and [`Outcome`] are pure: what is asked and what came of it. Everything that a server sends is bounded in
//! size and time, and what of it gets into an [`Outcome`] is cut and escaped.

mod agent;
mod check;
mod checksum;
mod clock;
mod command;
mod datagram;
mod dialogue;
mod dns;
mod failure;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod grpc;
mod half_open;
mod http;
mod ldap;
mod lean;
mod mqtt;
mod ntp;
mod outcome;
mod ping;
mod probe;
mod radius;
mod runner;
mod schedule;
mod script;
mod secret;
mod sip;
mod socket;
mod spec;
mod sql;
mod stream;
mod text;
mod tls;
mod trace;
mod udp;
mod websocket;

pub use agent::AgentSpec;
pub use command::{Command, Ended, User};
pub use dialogue::{DialogueSpec, Expectation, Login, Pattern, Preset, Security, Step};
pub use dns::{DnsAnswer, DnsExpected, DnsName, DnsRcode, DnsRecord, DnsSpec, DnsTransport};
pub use file::{FileMeaning, FileSpec};
pub use grpc::GrpcSpec;
pub use ipnet::IpNet;
pub use ldap::{LdapFilter, LdapScope, LdapSearch, LdapSpec};
pub use mqtt::MqttSpec;
pub use ntp::NtpSpec;
pub use outcome::{Advice, Outcome};
pub use ping::PingSpec;
pub use probe::{Observation, Probe, Target};
pub use radius::{RadiusAttribute, RadiusCode, RadiusMethod, RadiusRequest, RadiusSpec};
pub use regex::Regex;
pub use runner::{Runner, Settings, run};
pub use schedule::Stats;
pub use script::ScriptSpec;
pub use secret::Secret;
pub use sip::{SipSpec, SipTransport, is_sip_uri};
pub use spec::{
    Body, HttpSpec, HttpVersion, Spec, StatusRange, TlsSpec, is_header, is_host, is_method, is_path,
    is_server_name, is_tunnel,
};
pub use sql::{SqlProtocol, SqlSpec};
pub use tls::PemFile;
pub use udp::{UdpPattern, UdpSpec};
pub use websocket::{WebsocketSpec, is_subprotocol, is_websocket_header};
