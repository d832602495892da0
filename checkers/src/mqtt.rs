//! MQTT 3.1.1: a CONNECT that is accepted.

use bytes::BufMut;

use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Login, Outcome, Target, TlsSpec, text};

/// How to connect to a broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MqttSpec {
    /// Who logs in, if anybody.
    pub login: Option<Login>,
    /// TLS around the connection.
    pub tls: Option<TlsSpec>,
}

/// Connects and disconnects. Either result is the outcome; an error ended it early.
pub(crate) async fn ask(
    target: &Target,
    spec: &MqttSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    talk(Stream::open(target, tls, trace).await?, spec).await
}

/// What is said over a connection that stands.
pub(crate) async fn talk(mut stream: Stream, spec: &MqttSpec) -> Result<Outcome, Outcome> {
    // A broker ends a session of the same name, which may be the other director's.
    let client = format!("tidegate{:08x}", rand::random::<u32>());
    stream.ask(&connect(&client, spec.login.as_ref()), "answer to CONNECT").await?;
    judge(&stream.exactly(4).await?)?;
    stream.send(&[0xe0, 0]).await?; // DISCONNECT
    Ok(Outcome::Passed(String::new()))
}

/// MQTT 3.1.1 §3.1.
fn connect(client: &str, login: Option<&Login>) -> Vec<u8> {
    const CLEAN_SESSION: u8 = 0x02;
    const USER_AND_PASSWORD: u8 = 0xc0;
    let flags = if login.is_some() { CLEAN_SESSION | USER_AND_PASSWORD } else { CLEAN_SESSION };
    let mut content = b"\0\x04MQTT\x04".to_vec();
    content.put_u8(flags);
    content.put_u16(60); // keep alive, in seconds
    let login = login.map(|login| [login.name.as_str(), login.password.expose()]);
    for text in [client].into_iter().chain(login.into_iter().flatten()) {
        // Bounded by the configuration.
        content.put_u16(text.len() as u16);
        content.put_slice(text.as_bytes());
    }
    let mut packet = vec![0x10];
    let mut left = content.len();
    loop {
        let more = if left > 0x7f { 0x80 } else { 0 };
        packet.push((left & 0x7f) as u8 | more);
        left >>= 7;
        if left == 0 {
            break;
        }
    }
    packet.extend(content);
    packet
}

/// MQTT 3.1.1 §3.2.
fn judge(packet: &[u8]) -> Result<(), Outcome> {
    let [0x20, 2, _, code] = packet else {
        return Err(Outcome::WrongAnswer(format!(
            "the answer to CONNECT is not MQTT's: {}",
            text::quote(packet)
        )));
    };
    let why = match code {
        0 => return Ok(()),
        1 => "the version is not acceptable",
        2 => "the client's name is not acceptable",
        3 => "the server is not available",
        4 => "a wrong user or password",
        5 => "not authorised",
        _ => "for a reason that MQTT does not know",
    };
    Err(Outcome::WrongAnswer(format!("the connection was refused, code {code}: {why}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Secret;

    #[test]
    fn packets() {
        assert_eq!(connect("me", None), b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me");
        let login = Login { name: "a".repeat(120), password: Secret::new("b") };
        let packet = connect("me", Some(&login));
        assert_eq!(packet[..3], [0x10, 0x8b, 1], "139 bytes follow");
        assert_eq!(packet.len(), 3 + 139);
        assert!(packet.ends_with(b"\0\x01b"));
    }

    proptest! {
        #[test]
        fn only_an_acceptance_passes(packet in any::<[u8; 4]>()) {
            prop_assert_eq!(judge(&packet).is_ok(), packet[0] == 0x20 && packet[1] == 2 && packet[3] == 0);
        }
    }
}
