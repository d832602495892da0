//! The frontend/backend protocol of PostgreSQL, version 3.

use std::io;

use bytes::{BufMut, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorResponseBody, Message};
use postgres_protocol::message::frontend;

use super::{Answer, MOST, SqlSpec};
use crate::stream::{Stream, Tls};
use crate::{Outcome, text};

/// Messages of one answer that are looked at: notices and parameters may come before what matters.
const MESSAGES: usize = 256;

pub(super) async fn talk(mut stream: Stream, spec: &SqlSpec, tls: Option<&Tls>) -> Result<Answer, Outcome> {
    if let Some(tls) = tls {
        stream = start_tls(stream, tls).await?;
    }
    let name = spec.login.name.as_str();
    let mut parameters = vec![("user", name), ("application_name", "tidegate")];
    parameters.extend(spec.database.as_deref().map(|database| ("database", database)));
    let mut buffer = BytesMut::new();
    frontend::startup_message(parameters, &mut buffer).map_err(|error| own(&error))?;
    stream.ask(&buffer, "answer to the login").await?;
    log_in(&mut stream, spec).await?;
    let answer = match &spec.query {
        Some(query) => self::query(&mut stream, query).await?,
        None => Answer::None,
    };
    let mut buffer = BytesMut::new();
    frontend::terminate(&mut buffer);
    stream.send(&buffer).await?;
    Ok(answer)
}

async fn start_tls(mut stream: Stream, tls: &Tls) -> Result<Stream, Outcome> {
    let mut buffer = BytesMut::new();
    frontend::ssl_request(&mut buffer);
    stream.ask(&buffer, "answer to the request for TLS").await?;
    match &stream.exactly(1).await?[..] {
        b"S" => stream.start_tls(tls).await,
        b"N" => Err(Outcome::Tls("the server does not offer TLS".to_owned())),
        other => Err(malformed(other)),
    }
}

async fn log_in(stream: &mut Stream, spec: &SqlSpec) -> Result<(), Outcome> {
    let password = spec.login.password.expose().as_bytes();
    let mut scram = None;
    for _ in 0..MESSAGES {
        let mut reply = BytesMut::new();
        match message(stream).await? {
            Message::AuthenticationCleartextPassword => {
                frontend::password_message(password, &mut reply).map_err(|error| own(&error))?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(spec.login.name.as_bytes(), password, body.salt());
                frontend::password_message(hash.as_bytes(), &mut reply).map_err(|error| own(&error))?;
            }
            Message::AuthenticationSasl(body) => {
                let mechanisms: Vec<_> =
                    body.mechanisms().map(|it| Ok(it.to_owned())).collect().map_err(broken)?;
                if !mechanisms.iter().any(|it| it == SCRAM_SHA_256) {
                    let names = text::quote(mechanisms.join(", ").as_bytes());
                    return Err(Outcome::NotRun(format!(
                        "the server wants a login by {names}, which a check does not know"
                    )));
                }
                let begun = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
                frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut reply)
                    .map_err(|error| own(&error))?;
            }
            Message::AuthenticationSaslContinue(body) => {
                let scram = scram.as_mut().ok_or_else(|| malformed(body.data()))?;
                scram.update(body.data()).map_err(broken)?;
                frontend::sasl_response(scram.message(), &mut reply).map_err(|error| own(&error))?;
            }
            // The server proves that it knows the password too.
            Message::AuthenticationSaslFinal(body) => {
                let scram = scram.as_mut().ok_or_else(|| malformed(body.data()))?;
                scram.finish(body.data()).map_err(broken)?;
            }
            Message::ReadyForQuery(_) => return Ok(()),
            Message::ErrorResponse(body) => return Err(refused("login", &body)),
            Message::AuthenticationOk
            | Message::ParameterStatus(_)
            | Message::BackendKeyData(_)
            | Message::NoticeResponse(_) => {}
            _ => return Err(unexpected("login")),
        }
        if !reply.is_empty() {
            stream.send(&reply).await?;
        }
    }
    Err(unexpected("login"))
}

async fn query(stream: &mut Stream, query: &str) -> Result<Answer, Outcome> {
    let mut buffer = BytesMut::new();
    frontend::query(query, &mut buffer).map_err(|error| own(&error))?;
    stream.ask(&buffer, "answer to the query").await?;
    let mut answer = Answer::None;
    for _ in 0..MESSAGES {
        match message(stream).await? {
            Message::RowDescription(_) => answer = Answer::NoRow,
            Message::DataRow(body) => {
                let first = body.ranges().next().map_err(broken)?.flatten();
                return Ok(Answer::Row(first.map(|range| body.buffer()[range].to_vec())));
            }
            Message::ErrorResponse(body) => return Err(refused("query", &body)),
            Message::ReadyForQuery(_) => return Ok(answer),
            Message::CommandComplete(_)
            | Message::EmptyQueryResponse
            | Message::ParameterStatus(_)
            | Message::NoticeResponse(_) => {}
            _ => return Err(unexpected("query")),
        }
    }
    Err(unexpected("query"))
}

/// A tag, four bytes of length, and what is in it.
async fn message(stream: &mut Stream) -> Result<Message, Outcome> {
    let head = stream.exactly(5).await?;
    let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if !(4..=MOST).contains(&size) {
        return Err(malformed(&head));
    }
    let mut whole = BytesMut::with_capacity(1 + size);
    whole.put_slice(&head);
    whole.put_slice(&stream.exactly(size - 4).await?);
    let start = whole.clone();
    match Message::parse(&mut whole) {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(_) => Err(malformed(&start)),
    }
}

fn refused(what: &str, error: &ErrorResponseBody) -> Outcome {
    let (mut code, mut message) = (Vec::new(), Vec::new());
    let mut fields = error.fields();
    while let Ok(Some(field)) = fields.next() {
        match field.type_() {
            b'C' => code = field.value_bytes().to_vec(),
            b'M' => message = field.value_bytes().to_vec(),
            _ => {}
        }
    }
    let (code, message) = (String::from_utf8_lossy(&code).into_owned(), text::quote(&message));
    Outcome::WrongAnswer(format!("the {what} was refused: error {}, {message}", code.escape_debug()))
}

fn malformed(message: &[u8]) -> Outcome {
    Outcome::WrongAnswer(format!("the answer is not PostgreSQL's: {}", text::quote(message)))
}

fn unexpected(what: &str) -> Outcome {
    Outcome::WrongAnswer(format!("the answer to the {what} is a message that has no place there"))
}

fn broken(error: io::Error) -> Outcome {
    Outcome::WrongAnswer(format!(
        "the answer is not PostgreSQL's: {}",
        text::quote(error.to_string().as_bytes())
    ))
}

fn own(error: &io::Error) -> Outcome {
    Outcome::NotRun(format!("cannot make the request: {error}"))
}
