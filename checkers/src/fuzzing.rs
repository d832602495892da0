//! What the targets in `fuzz/` do with bytes that a server might send: everything that a check does with them.
//!
//! There is no network: a conversation is held with a server that has [`Said`] all of it beforehand. What comes of it
//! must be short and harmless, see [`fit_for_logs`].

#![allow(clippy::panic)] // that is how a finding is told

use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf, join, sink};

use crate::http::Answering;
use crate::stream::Stream;
use crate::trace::Trace;
use crate::{
    AgentSpec, Body, Ended, GrpcSpec, HttpSpec, HttpVersion, LdapScope, LdapSearch, LdapSpec, Login,
    MqttSpec, Outcome, Pattern, Preset, Regex, Secret, Security, SipSpec, SipTransport, SqlProtocol, SqlSpec,
    StatusRange, Target, UdpPattern, UdpSpec, WebsocketSpec, agent, dialogue, dns, file, grpc, half_open,
    http, ldap, mqtt, ntp, ping, radius, script, sip, sql, text, udp, websocket,
};

/// The line of an agent.
pub fn agent(bytes: &[u8]) {
    let spec = AgentSpec { send: String::new(), tls: None };
    judge(now(agent::talk(stream(bytes), &spec)));
}

/// The answer of a proxy to CONNECT.
pub fn connect(bytes: &[u8]) {
    if let Err(outcome) = now(http::tunnel::ask(stream(bytes), "www.example:80")) {
        judge(Err(outcome));
    }
}

/// Each well-known conversation; the first byte says which.
pub fn dialogue(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    thread_local! {
        // Expressions take long to compile.
        static SPECS: [crate::DialogueSpec; 9] =
            Preset::ALL.map(|preset| preset.dialogue(Security::None, Some(&login()), "director.example"));
    }
    SPECS.with(|specs| {
        let spec = &specs[usize::from(*first) % specs.len()];
        let trace = Trace::new();
        let outcome = now(dialogue::talk(traced(bytes, &trace), spec, None, &trace));
        // Such servers repeat what they were told.
        assert!(!format!("{outcome:?}").contains(PASSWORD), "the password is shown: {outcome:?}");
        judge(outcome);
    });
}

/// A DNS message.
pub fn dns(bytes: &[u8]) {
    for said in dns::fuzz(bytes).into_iter().flatten() {
        fit_for_logs(&said);
    }
}

/// A file with a weight.
pub fn file(bytes: &[u8]) {
    judge(Ok(file::weight_of(bytes, Path::new("/weight"))));
}

/// HTTP/2 with an answer of gRPC's, and that answer alone.
pub fn grpc(bytes: &[u8]) {
    let spec = GrpcSpec { service: "shop".to_owned(), host: None, tls: None };
    let trace = Trace::new();
    judge(on_tokio(grpc::exchange(Answering::new(Said::new(bytes)), &target(), &spec, &trace)));
    judge(grpc::serving(bytes));
}

/// What a raw socket hears.
pub fn half_open(bytes: &[u8]) {
    half_open::fuzz(bytes);
}

/// HTTP; the first byte says which version.
pub fn http(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    thread_local! {
        static BODY: Option<Body> = Regex::new("ok$").ok().map(Body::Matches);
    }
    let version = if first % 2 == 0 { HttpVersion::Http11 } else { HttpVersion::Http2 };
    let spec = HttpSpec {
        tls: None,
        version,
        tunnel: None,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: None,
        headers: Vec::new(),
        status: vec![StatusRange { first: 200, last: 299 }],
        body: BODY.with(Clone::clone),
        max_body: 1000,
    };
    let trace = Trace::new();
    let outcome = on_tokio(http::exchange(Answering::new(Said::new(bytes)), &target(), &spec, &trace));
    // Where the short way has an answer it is the same.
    let short = http::plain::answer(&spec, bytes).filter(|_| version == HttpVersion::Http11);
    if let (Some(short), Ok(long) | Err(long)) = (short, &outcome) {
        assert_eq!(short, *long);
    }
    judge(outcome);
}

/// A bind and a search.
pub fn ldap(bytes: &[u8]) {
    let search = LdapSearch {
        base: String::new(),
        scope: LdapScope::Base,
        filter: Default::default(),
        min_entries: 2,
    };
    let spec = LdapSpec { login: None, search: Some(search), security: Security::None };
    judge(now(ldap::talk(stream(bytes), &spec, None)));
}

/// A broker's acceptance.
pub fn mqtt(bytes: &[u8]) {
    judge(now(mqtt::talk(stream(bytes), &MqttSpec { login: Some(login()), tls: None })));
}

/// A login to MySQL and a query.
pub fn mysql(bytes: &[u8]) {
    sql(SqlProtocol::Mysql, bytes);
}

/// A packet of a time server.
pub fn ntp(bytes: &[u8]) {
    fit_for_logs(&ntp::fuzz(bytes));
}

/// What an ICMP socket hears.
pub fn ping(bytes: &[u8]) {
    fit_for_logs(&ping::fuzz(bytes));
}

/// A login to PostgreSQL and a query.
pub fn postgres(bytes: &[u8]) {
    sql(SqlProtocol::Postgres, bytes);
}

/// A RADIUS packet.
pub fn radius(bytes: &[u8]) {
    for said in radius::fuzz(bytes) {
        fit_for_logs(&said);
    }
}

/// What a program wrote.
pub fn script(bytes: &[u8]) {
    let ended = Ended { status: None, output: text::quote(bytes) };
    judge(Ok(script::judge(&ended, true, Duration::from_secs(1))));
}

/// An answer to OPTIONS.
pub fn sip(bytes: &[u8]) {
    let status = vec![StatusRange { first: 200, last: 299 }];
    let spec = SipSpec { transport: SipTransport::Tcp, uri: None, status };
    judge(now(sip::talk(stream(bytes), &spec, "OPTIONS", "call")));
}

/// A datagram, and a pattern for it.
pub fn udp(bytes: &[u8]) {
    let (pattern, reply) = bytes.split_at(bytes.len().min(8));
    let Ok(expected) = UdpPattern::text(&String::from_utf8_lossy(pattern)) else { return };
    let spec = UdpSpec {
        payload: Vec::new(),
        expected: Some(expected),
        min_length: 2,
        max_length: 64,
        icmp_only: false,
    };
    fit_for_logs(&either(udp::judge(reply, &spec)));
}

/// An answer to the handshake of a WebSocket, and frames.
pub fn websocket(bytes: &[u8]) {
    let spec = WebsocketSpec {
        tls: None,
        path: "/".to_owned(),
        host: None,
        headers: Vec::new(),
        subprotocol: Some("chat".to_owned()),
    };
    judge(now(websocket::talk(stream(bytes), &target(), &spec, [0; 16])));
}

fn sql(protocol: SqlProtocol, bytes: &[u8]) {
    thread_local! {
        static EXPECT: Option<Pattern> = regex::bytes::Regex::new("^4.$").ok().map(Pattern);
    }
    let spec = SqlSpec {
        protocol,
        login: login(),
        database: Some("shop".to_owned()),
        query: Some("SELECT 42".to_owned()),
        expect: EXPECT.with(Clone::clone),
        tls: None,
    };
    let trace = Trace::new();
    judge(now(sql::talk(traced(bytes, &trace), &spec, None, &trace)));
}

fn login() -> Login {
    Login { name: "probe".to_owned(), password: Secret::new(PASSWORD) }
}

/// Nothing that a server says by chance.
const PASSWORD: &str = "correct horse battery staple";

fn target() -> Target {
    Target { address: ([192, 0, 2, 1], 80).into(), bind: None, fwmark: None }
}

fn stream(bytes: &[u8]) -> Stream {
    traced(bytes, &Trace::new())
}

fn traced(bytes: &[u8], trace: &Trace) -> Stream {
    Stream::over(join(Said::new(bytes), sink()), trace)
}

/// What a server says whatever is said to it, a few bytes at a time.
struct Said {
    bytes: Vec<u8>,
    at: usize,
}

impl Said {
    const PIECE: usize = 13;

    fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0 }
    }
}

impl AsyncRead for Said {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.bytes[self.at..];
        let piece = &rest[..rest.len().min(Self::PIECE).min(buffer.remaining())];
        buffer.put_slice(piece);
        self.at += piece.len();
        Poll::Ready(Ok(()))
    }
}

/// With such a server nothing has to be waited for.
fn now<T>(conversation: impl Future<Output = T>) -> T {
    match pin!(conversation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits although all has been said"),
    }
}

/// For what runs tasks beside it.
fn on_tokio<T>(conversation: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().unwrap_or_else(|error| panic!("{error}"));
    }
    RUNTIME.with(|runtime| runtime.block_on(conversation))
}

fn either(said: Result<String, String>) -> String {
    said.unwrap_or_else(|why| why)
}

fn judge(outcome: Result<Outcome, Outcome>) {
    let (Ok(outcome) | Err(outcome)) = outcome;
    match outcome {
        Outcome::Refused | Outcome::ConnectTimeout => {}
        Outcome::Passed(text)
        | Outcome::Advised(text, _)
        | Outcome::Reset(text)
        | Outcome::AnswerTimeout(text)
        | Outcome::Unreachable(text)
        | Outcome::Tls(text)
        | Outcome::WrongAnswer(text)
        | Outcome::NotRun(text) => fit_for_logs(&text),
    }
}

/// One short line without what drives a terminal.
fn fit_for_logs(text: &str) {
    assert!(text.chars().count() < 800, "{text:?} is too long");
    assert!(!text.contains(char::is_control), "{text:?} has control characters");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Judge = fn(&[u8]);

    /// Each with its name in `fuzz/`.
    const TARGETS: [(&str, Judge); 19] = [
        ("agent", agent),
        ("connect", connect),
        ("dialogue", dialogue),
        ("dns", dns),
        ("file", file),
        ("grpc", grpc),
        ("half_open", half_open),
        ("http", http),
        ("ldap", ldap),
        ("mqtt", mqtt),
        ("mysql", mysql),
        ("ntp", ntp),
        ("ping", ping),
        ("postgres", postgres),
        ("radius", radius),
        ("script", script),
        ("sip", sip),
        ("udp", udp),
        ("websocket", websocket),
    ];

    /// By the number of their target.
    fn seeds() -> Vec<(usize, Vec<u8>)> {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let of = |(target, (name, _)): (usize, (&str, Judge))| {
            let files = std::fs::read_dir(seeds.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            files.map(move |file| (target, std::fs::read(file.unwrap().path()).unwrap()))
        };
        TARGETS.into_iter().enumerate().flat_map(of).collect()
    }

    /// Right answers of which something from here to there, or some bytes, or none, are something else.
    fn damaged() -> impl Strategy<Value = (usize, Vec<u8>)> {
        let place = any::<prop::sample::Index>;
        let damage = (
            place(),
            prop_oneof![Just(None), place().prop_map(Some)],
            prop::collection::vec(any::<u8>(), 0..4),
        );
        (prop::sample::select(seeds()), prop::collection::vec(damage, 0..4)).prop_map(
            |((target, mut bytes), damages)| {
                for (from, to, instead) in damages {
                    let from = from.index(bytes.len() + 1);
                    let to = to.map_or(instead.len(), |to| to.index(bytes.len() + 1 - from));
                    bytes.splice(from..(from + to).min(bytes.len()), instead);
                }
                (target, bytes)
            },
        )
    }

    proptest! {
        #[test]
        fn right_answers_that_were_damaged_can_be_judged((target, bytes) in damaged()) {
            TARGETS[target].1(&bytes);
        }

        #[test]
        fn any_bytes_can_be_judged(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for (_, judge) in TARGETS {
                judge(&bytes);
            }
        }
    }
}
