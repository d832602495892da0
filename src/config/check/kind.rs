//! The types of checks, and which keys belong to which.

use tidegate_checkers::{Preset, SqlProtocol};

use super::{
    agent, dialogue, dns, file, grpc, http, ldap, login, ntp, ping, preset, radius, script, security, sip,
    sql, tls, udp, websocket,
};
use crate::config::place::At;
use crate::config::reader::Table;
use crate::config::values::{listed, one_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    TcpHalfOpen,
    Http,
    Https,
    Dns,
    Radius,
    Udp,
    Ping,
    Ntp,
    Dialogue,
    Sql(SqlProtocol),
    Ldap,
    Grpc,
    Websocket,
    Mqtt,
    Sip,
    Script,
    Agent,
    File,
    Preset(Preset),
    None,
}

const KINDS: &[(&str, Kind)] = &[
    ("tcp", Kind::Tcp),
    ("tcp-half-open", Kind::TcpHalfOpen),
    ("http", Kind::Http),
    ("https", Kind::Https),
    ("dns", Kind::Dns),
    ("radius", Kind::Radius),
    ("udp", Kind::Udp),
    ("ping", Kind::Ping),
    ("ntp", Kind::Ntp),
    ("dialogue", Kind::Dialogue),
    ("smtp", Kind::Preset(Preset::Smtp)),
    ("submission", Kind::Preset(Preset::Submission)),
    ("imap", Kind::Preset(Preset::Imap)),
    ("pop3", Kind::Preset(Preset::Pop3)),
    ("ftp", Kind::Preset(Preset::Ftp)),
    ("nntp", Kind::Preset(Preset::Nntp)),
    ("redis", Kind::Preset(Preset::Redis)),
    ("memcached", Kind::Preset(Preset::Memcached)),
    ("sieve", Kind::Preset(Preset::Sieve)),
    ("mysql", Kind::Sql(SqlProtocol::Mysql)),
    ("postgres", Kind::Sql(SqlProtocol::Postgres)),
    ("ldap", Kind::Ldap),
    ("grpc", Kind::Grpc),
    ("websocket", Kind::Websocket),
    ("mqtt", Kind::Mqtt),
    ("sip", Kind::Sip),
    ("script", Kind::Script),
    ("agent", Kind::Agent),
    ("file", Kind::File),
    ("none", Kind::None),
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// `http`, `http-2`: by the number of checks of that type before.
    pub(super) fn ordinal(self, before: &[Self]) -> String {
        let same = before.iter().filter(|kind| **kind == self).count();
        if same == 0 { self.name().to_owned() } else { format!("{}-{}", self.name(), same + 1) }
    }

    /// The keys that are not every check's.
    fn keys(self) -> impl Iterator<Item = &'static str> {
        let keys: &[&[&str]] = match self {
            Self::Tcp | Self::TcpHalfOpen | Self::None => &[],
            Self::Http => &[&http::KEYS],
            Self::Https => &[&http::KEYS, &tls::KEYS],
            Self::Sql(_) => &[&sql::KEYS, &login::KEYS, &security::KEYS],
            Self::Ldap => &[&ldap::KEYS, &login::KEYS, &security::KEYS],
            Self::Grpc => &[&grpc::KEYS, &security::KEYS],
            Self::Websocket => &[&websocket::KEYS, &security::KEYS],
            Self::Mqtt => &[&login::KEYS, &security::KEYS],
            Self::Sip => &[&sip::KEYS, &tls::KEYS],
            Self::Script => &[&script::KEYS],
            Self::Agent => &[&agent::KEYS, &security::KEYS],
            Self::File => &[&file::KEYS],
            Self::Dialogue => &[&dialogue::KEYS, &security::KEYS],
            Self::Preset(Preset::Smtp | Preset::Submission) => {
                &[&security::KEYS, &login::KEYS, &preset::HELO]
            }
            Self::Preset(_) => &[&security::KEYS, &login::KEYS],
            Self::Dns => &[&dns::KEYS, &tls::KEYS],
            Self::Radius => &[&radius::KEYS, &login::KEYS],
            Self::Udp => &[&udp::KEYS],
            Self::Ping => &[&ping::KEYS],
            Self::Ntp => &[&ntp::KEYS],
        };
        keys.iter().copied().flatten().copied()
    }
}

pub(super) fn read(table: &mut Table<'_>) -> Option<At<Kind>> {
    table.take("type", one_of(KINDS))
}

/// `"tcp", "http"`: every type.
pub(super) fn all() -> String {
    listed(KINDS)
}

/// Refuses the keys of other types that were not read. `why` is told a key and the types that have it; without a
/// reason the key is passed over.
pub(super) fn refuse_others(table: &mut Table<'_>, why: impl Fn(&str, &str) -> Option<String>) {
    for written in table.unread() {
        let has = |kind: Kind| kind.keys().any(|key| key == written);
        let owners: Vec<_> = KINDS.iter().filter(|(_, kind)| has(*kind)).copied().collect();
        let key = owners.first().and_then(|(_, kind)| kind.keys().find(|key| *key == written));
        if let Some(key) = key {
            match why(key, &either(&owners)) {
                Some(why) => table.refuse(key, why),
                None => table.pass_over(key),
            }
        }
    }
}

/// `"http" or "https"`
fn either(kinds: &[(&'static str, Kind)]) -> String {
    let (others, last) = kinds.split_at(kinds.len().saturating_sub(1));
    let comma = if others.is_empty() { "" } else { " or " };
    format!("{}{comma}{}", listed(others), listed(last))
}
