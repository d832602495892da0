//! The client/server protocol of MySQL, version 10, as MySQL 5.5 and later and MariaDB speak it.

mod password;
mod wire;

use bytes::{Buf, BufMut};

use self::password::Plugin;
use self::wire::{Greeting, Wire, malformed, nul_terminated, number, refused, value};
use super::{Answer, SqlSpec};
use crate::Outcome;
use crate::stream::{Stream, Tls};
use crate::trace::Trace;

/// Rounds of a login, of which two or three are usual.
const ROUNDS: usize = 8;
/// Columns of a result.
const COLUMNS: u64 = 4096;
/// What the descriptions of these may have together, in bytes; each has some hundred.
const DESCRIPTIONS: usize = 1 << 20;

// Capability flags.
const LONG_PASSWORD: u32 = 1;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;

/// UTF-8 with up to three bytes, which every server knows.
const UTF8: u8 = 33;
const MAX_PACKET: u32 = 1 << 24;

pub(super) async fn talk(
    stream: Stream,
    spec: &SqlSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Answer, Outcome> {
    let mut wire = Wire::new(stream);
    trace.expect("greeting");
    let greeting = Greeting::read(&wire.receive().await?)?;
    if let Some(tls) = tls {
        if greeting.capabilities & SSL == 0 {
            return Err(Outcome::Tls("the server does not offer TLS".to_owned()));
        }
        wire.send(&hello(spec, SSL)).await?;
        wire = wire.start_tls(tls).await?;
    }
    trace.expect("answer to the login");
    log_in(&mut wire, spec, tls.is_some(), greeting).await?;
    let answer = match &spec.query {
        Some(query) => {
            trace.expect("answer to the query");
            self::query(&mut wire, query).await?
        }
        None => Answer::None,
    };
    wire.begin();
    wire.send(&[0x01]).await?; // COM_QUIT
    Ok(answer)
}

/// What a login and a request for TLS begin with.
fn hello(spec: &SqlSpec, further: u32) -> Vec<u8> {
    let database = if spec.database.is_some() { CONNECT_WITH_DB } else { 0 };
    let mut packet = Vec::new();
    packet.put_u32_le(LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH | database | further);
    packet.put_u32_le(MAX_PACKET);
    packet.put_u8(UTF8);
    packet.put_bytes(0, 23);
    packet
}

async fn log_in(
    wire: &mut Wire,
    spec: &SqlSpec,
    inside_tls: bool,
    greeting: Greeting,
) -> Result<(), Outcome> {
    let password = spec.login.password.expose().as_bytes();
    let plugin = Plugin::named(&greeting.plugin).unwrap_or(Plugin::Native);
    let proof = plugin.proof(password, &greeting.seed);
    let mut packet = hello(spec, if inside_tls { SSL } else { 0 });
    packet.put_slice(spec.login.name.as_bytes());
    packet.put_u8(0);
    // Never more than a digest.
    packet.put_u8(proof.len() as u8);
    packet.put_slice(&proof);
    for text in [spec.database.as_deref(), Some(plugin.name())].into_iter().flatten() {
        packet.put_slice(text.as_bytes());
        packet.put_u8(0);
    }
    wire.send(&packet).await?;
    for _ in 0..ROUNDS {
        let answer = wire.receive().await?;
        match answer.split_first() {
            Some((0x00, _)) => return Ok(()),
            Some((0xff, error)) => return Err(refused("login", error)),
            // Another way to prove the password.
            Some((0xfe, mut rest)) if !rest.is_empty() => {
                let name = nul_terminated(&mut rest)?;
                let plugin = Plugin::named(&name).ok_or_else(|| unknown(&name))?;
                wire.send(&plugin.proof(password, rest.strip_suffix(b"\0").unwrap_or(rest))).await?;
            }
            // Of caching_sha2_password: the proof is enough, or the password itself is wanted.
            Some((0x01, [0x03])) => {}
            Some((0x01, [0x04])) if inside_tls => wire.send(&[password, b"\0"].concat()).await?,
            Some((0x01, [0x04])) => {
                return Err(Outcome::NotRun(
                    "the server wants the password itself, which it only gets inside TLS: set tls".to_owned(),
                ));
            }
            _ => return Err(malformed("answer to the login", &answer)),
        }
    }
    Err(Outcome::WrongAnswer(format!("the login is not done after {ROUNDS} rounds")))
}

fn unknown(plugin: &[u8]) -> Outcome {
    let name = crate::text::quote(plugin);
    Outcome::NotRun(format!("the server wants a login by {name}, which a check does not know"))
}

async fn query(wire: &mut Wire, query: &str) -> Result<Answer, Outcome> {
    wire.begin();
    wire.send(&[b"\x03", query.as_bytes()].concat()).await?; // COM_QUERY
    let head = wire.receive().await?;
    let columns = match head.split_first() {
        Some((0x00, _)) => return Ok(Answer::None),
        Some((0xff, error)) => return Err(refused("query", error)),
        // A request for a file of ours.
        Some((0xfb, _)) | None => return Err(malformed("answer to the query", &head)),
        Some(_) => number(&mut &head[..])?,
    };
    if columns > COLUMNS {
        return Err(malformed("answer to the query", &head));
    }
    // Their descriptions, and an end of these.
    let mut size = 0;
    for _ in 0..=columns {
        size += wire.receive().await?.len();
        if size > DESCRIPTIONS {
            return Err(Outcome::WrongAnswer(format!(
                "the answer to the query describes its columns in more than {DESCRIPTIONS} bytes"
            )));
        }
    }
    let row = wire.receive().await?;
    match row.split_first() {
        Some((0xff, error)) => Err(refused("query", error)),
        Some((0xfe, rest)) if rest.remaining() < 8 => Ok(Answer::NoRow),
        _ => Ok(Answer::Row(value(&mut &row[..])?)),
    }
}
