//! `type = "sip"`

use tidegate_checkers::{SipSpec, SipTransport, Spec, StatusRange, is_sip_uri};

use super::tls;
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};
use crate::config::values::{one_of, statuses, text_that};

pub(super) const KEYS: [&str; 3] = ["transport", "uri", "status"];

#[derive(Clone, Copy)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

const TRANSPORTS: [(&str, Transport); 3] =
    [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Spec {
    let transport = match table.take("transport", one_of(&TRANSPORTS)).map(|it| it.value) {
        None | Some(Transport::Udp) => SipTransport::Udp,
        Some(Transport::Tcp) => SipTransport::Tcp,
        Some(Transport::Tls) => SipTransport::Tls(tls::read(table, context)),
    };
    if !matches!(transport, SipTransport::Tls(_)) {
        tls::refuse(table, "transport = \"tls\"");
    }
    let uri = table.take("uri", text_that(is_sip_uri, "a URI such as \"sip:ping@example.com\""));
    let status: Vec<_> = table.list("status", statuses).into_iter().flat_map(|it| it.value).collect();
    Spec::Sip(Box::new(SipSpec {
        transport,
        uri: uri.map(|it| it.value),
        status: if status.is_empty() { vec![StatusRange { first: 200, last: 299 }] } else { status },
    }))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &SipSpec) -> Vec<(&'static str, String)> {
    let (word, tls) = match &spec.transport {
        SipTransport::Udp => ("udp", None),
        SipTransport::Tcp => ("tcp", None),
        SipTransport::Tls(tls) => ("tls", Some(tls)),
    };
    let mut answers = vec![
        ("transport", word.to_owned()),
        ("uri", or_none(spec.uri.as_deref().map(show::quoted))),
        ("status", show::list(&spec.status)),
    ];
    answers.extend(tls.into_iter().flat_map(tls::question));
    answers
}
