//! TLS errors in an operator's words.

use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use crate::text::quote;

/// What went wrong; text of the server's is quoted.
pub(crate) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => alerted(*alert),
        Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        Error::NoApplicationProtocol => {
            "the server agreed on none of the offered protocols (ALPN)".to_owned()
        }
        other => quote(other.to_string().as_bytes()),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate has expired on {}", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", date(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no names".to_owned() } else { quote(names.join(", ").as_bytes()) };
            format!("the certificate is not for {:?}: it has {names}", expected.to_str())
        }
        CertificateError::UnknownIssuer => "the certificate's issuer is none of the roots".to_owned(),
        CertificateError::BadSignature => {
            "a signature is wrong: the issuer has the name of a root but not its key, or the server has not the \
             certificate's key"
                .to_owned()
        }
        other => format!("the certificate is not acceptable: {}", quote(other.to_string().as_bytes())),
    }
}

/// The verifier writes names as `DnsName("www.example.com")` and `IpAddress(192.0.2.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn alerted(alert: AlertDescription) -> String {
    let hint = match alert {
        AlertDescription::CertificateRequired => ": it wants a client certificate",
        AlertDescription::NoApplicationProtocol => ": it speaks none of the offered protocols (ALPN)",
        AlertDescription::UnrecognisedName => ": it does not know the name (SNI)",
        AlertDescription::ProtocolVersion => ": it speaks neither TLS 1.2 nor 1.3",
        _ => "",
    };
    format!("the server ended TLS with alert {alert:?}{hint}")
}

/// As in HTTP: `Fri, 31 Jan 2025 12:00:00 GMT`. Certificates know no year after 9999 (RFC 5280 §4.1.2.5).
fn date(time: UnixTime) -> String {
    const LAST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LAST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;

    #[test]
    fn certificates() {
        let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
        let expired =
            CertificateError::ExpiredContext { time: at(2_000_000_000), not_after: at(1_738_324_800) };
        assert_eq!(explain(&expired.into()), "the certificate has expired on Fri, 31 Jan 2025 12:00:00 GMT");
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(u64::MAX) };
        assert!(explain(&early.into()).ends_with("before Fri, 31 Dec 9999 23:59:59 GMT"));
        let wrong = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("www.example.com").unwrap(),
            presented: vec![
                "DnsName(\"a.example\")".to_owned(),
                "IpAddress(192.0.2.1)".to_owned(),
                "\x1b[2J".to_owned(),
            ],
        };
        assert_eq!(
            explain(&wrong.into()),
            r#"the certificate is not for "www.example.com": it has "a.example, 192.0.2.1, \u{1b}[2J""#
        );
    }

    #[test]
    fn alerts() {
        let text = explain(&Error::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(
            text,
            "the server ended TLS with alert CertificateRequired: it wants a client certificate"
        );
        let text = explain(&Error::AlertReceived(AlertDescription::Unknown(200)));
        assert_eq!(text, "the server ended TLS with alert AlertDescription(0xc8)");
    }
}
