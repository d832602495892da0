use proptest::prelude::*;

use super::packet::{Packet, message_authenticator, response_authenticator};
use super::request::hide;
use super::*;

const RANDOM: Random = Random { identifier: 7, authenticator: [9; 16], challenges: [[1; 16], [2; 16]] };

fn spec(request: RadiusRequest) -> RadiusSpec {
    RadiusSpec {
        request,
        secret: Secret::new("xyzzy5461"),
        attributes: Vec::new(),
        expected: vec![RadiusCode::ACCESS_ACCEPT],
        reply: Vec::new(),
        message_authenticator: true,
    }
}

fn access(method: RadiusMethod) -> RadiusSpec {
    spec(RadiusRequest::Access { user: "nemo".to_owned(), password: Secret::new("arctangent"), method })
}

/// The reply of a server with this secret.
fn reply(request: &Request, code: RadiusCode, attributes: &[u8], secret: &str, with_mac: bool) -> Vec<u8> {
    let length = 20 + attributes.len() + if with_mac { 18 } else { 0 };
    let mut bytes = vec![code.0, request.identifier(), 0, length as u8];
    bytes.extend(request.authenticator());
    bytes.extend(attributes);
    if with_mac {
        bytes.extend([80, 18]);
        bytes.extend([0; 16]);
        let mac = message_authenticator(&bytes, secret.as_bytes());
        bytes[length - 16..].copy_from_slice(&mac);
    }
    let signature = response_authenticator(&bytes, request.authenticator(), secret.as_bytes());
    bytes[4..20].copy_from_slice(&signature);
    bytes
}

fn read(bytes: &[u8], request: &Request, spec: &RadiusSpec) -> Result<String, String> {
    reply::judge(&reply::read(bytes, request, spec)?, request, spec)
}

/// RFC 2865 §7.1: nemo logs in with arctangent.
#[test]
fn a_hidden_password_of_the_rfc() {
    let authenticator = *b"\x0f\x40\x3f\x94\x73\x97\x80\x57\xbd\x83\xd5\xcb\x98\xf4\x22\x7a";
    let hidden = hide(b"arctangent", &authenticator, b"xyzzy5461");
    assert_eq!(hidden, b"\x0d\xbe\x70\x8d\x93\xd4\x13\xce\x31\x96\xe4\x3f\x78\x2a\x0a\xee");
    assert_eq!(hide(b"", &authenticator, b"s").len(), 16);
    assert_eq!(hide(&[b'x'; 17], &authenticator, b"s").len(), 32);
}

#[test]
fn an_access_request_on_the_wire() {
    let request = Request::new(&access(RadiusMethod::Pap), &RANDOM).unwrap();
    let bytes = request.bytes();
    assert_eq!(&bytes[..4], [1, 7, 0, bytes.len() as u8]);
    assert_eq!(&bytes[4..22], [[9; 16].as_slice(), &[80, 18]].concat(), "the Message-Authenticator is first");
    assert!(bytes[38..].starts_with(b"\x01\x06nemo\x02\x12"));
    assert!(bytes.ends_with(b"\x20\x0atidegate"));
    let packet = Packet::parse(bytes).unwrap();
    assert_eq!(packet.has_message_authenticator(&[9; 16], b"xyzzy5461"), Some(true));
}

#[test]
fn accounting_requests_are_signed_as_a_whole() {
    let attribute = RadiusAttribute::text("NAS-Identifier", "lb1").unwrap();
    let spec = RadiusSpec { attributes: vec![attribute], ..spec(RadiusRequest::Accounting) };
    let request = Request::new(&spec, &RANDOM).unwrap();
    assert!(Packet::parse(request.bytes()).unwrap().is_signed(&[0; 16], b"xyzzy5461"));
    assert!(request.bytes().ends_with(b"\x28\x06\0\0\0\x03\x2c\x10tidegate-check\x20\x05lb1"));
}

#[test]
fn a_reply_is_believed_only_with_both_proofs() {
    let spec = spec(RadiusRequest::Status);
    let request = Request::new(&spec, &RANDOM).unwrap();
    let accept =
        |secret, with_mac| reply(&request, RadiusCode::ACCESS_ACCEPT, b"\x12\x04hi", secret, with_mac);
    assert_eq!(read(&accept("xyzzy5461", true), &request, &spec), Ok("Access-Accept \"hi\"".to_owned()));

    let refused = |bytes: &[u8], because: &str| {
        let why = read(bytes, &request, &spec).unwrap_err();
        assert!(why.contains(because), "{why}");
    };
    refused(&accept("other", true), "Response Authenticator is wrong");
    refused(&accept("xyzzy5461", false), "without a Message-Authenticator");
    let mut forged = accept("xyzzy5461", true);
    let end = forged.len() - 1;
    forged[end] ^= 1;
    let signature = {
        let mut bytes = forged.clone();
        bytes[4..20].copy_from_slice(request.authenticator());
        response_authenticator(&bytes, request.authenticator(), b"xyzzy5461")
    };
    forged[4..20].copy_from_slice(&signature);
    refused(&forged, "Message-Authenticator is wrong");

    // What was right for another request is wrong for this one.
    let later = Request::new(&spec, &Random { authenticator: [8; 16], ..RANDOM }).unwrap();
    let why = read(&accept("xyzzy5461", true), &later, &spec).unwrap_err();
    assert!(why.contains("forged or a replay"), "{why}");
    let later = Request::new(&spec, &Random { identifier: 8, ..RANDOM }).unwrap();
    let why = read(&accept("xyzzy5461", true), &later, &spec).unwrap_err();
    assert!(why.contains("identifier is 7 instead of 8"), "{why}");

    let trusting = RadiusSpec { message_authenticator: false, ..spec.clone() };
    assert!(read(&accept("xyzzy5461", false), &request, &trusting).is_ok());
    assert!(read(&forged, &request, &trusting).is_err(), "one that is there must be right");
}

#[test]
fn codes_and_attributes() {
    let class = RadiusAttribute::text("class", "gold").unwrap();
    let spec = RadiusSpec { reply: vec![class], ..access(RadiusMethod::Chap) };
    let request = Request::new(&spec, &RANDOM).unwrap();
    let judged = |code, attributes: &[u8]| {
        read(&reply(&request, code, attributes, "xyzzy5461", true), &request, &spec)
    };
    assert!(judged(RadiusCode::ACCESS_ACCEPT, b"\x19\x06lead\x19\x06gold").is_ok());
    assert_eq!(
        judged(RadiusCode::ACCESS_ACCEPT, b"\x19\x06lead"),
        Err("Access-Accept, but not with Class = \"gold\": it is \"lead\"".to_owned())
    );
    assert_eq!(
        judged(RadiusCode::ACCESS_ACCEPT, b""),
        Err("Access-Accept, but Class = \"gold\" is missing".to_owned())
    );
    assert_eq!(
        judged(RadiusCode::ACCESS_REJECT, b"\x12\x04no"),
        Err("Access-Reject \"no\" instead of Access-Accept".to_owned())
    );
}

/// Who has the shared secret, but not the user's password, is not the server that was asked for.
#[test]
fn ms_chap_needs_the_servers_proof() {
    let spec = access(RadiusMethod::MsChapV2);
    let request = Request::new(&spec, &RANDOM).unwrap();
    let accept = reply(&request, RadiusCode::ACCESS_ACCEPT, b"", "xyzzy5461", true);
    assert!(read(&accept, &request, &spec).unwrap_err().contains("MS-CHAP2-Success"));
}

#[test]
fn attributes_as_written() {
    for (attribute, shown) in [
        (RadiusAttribute::text("filter-id", "a\n"), "Filter-Id = \"a\\n\""),
        (RadiusAttribute::text("8", "192.0.2.1"), "Framed-IP-Address = 192.0.2.1"),
        (RadiusAttribute::integer("Session-Timeout", 60), "Session-Timeout = 60"),
        (RadiusAttribute::text("200", "x"), "200 = \"x\""),
    ] {
        assert_eq!(attribute.unwrap().to_string(), shown);
    }
    for (name, value) in [("Nonsense", "x"), ("0", "x"), ("256", "x"), ("User-Password", "x"), ("80", "x")] {
        assert!(RadiusAttribute::text(name, value).is_err(), "{name}");
    }
    assert!(RadiusAttribute::text("Class", "").is_err());
    assert!(RadiusAttribute::text("Class", &"x".repeat(254)).is_err());
    assert!(RadiusAttribute::text("NAS-Port", "1").is_err() && RadiusAttribute::integer("Class", 1).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_reply(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let spec = spec(RadiusRequest::Status);
        let request = Request::new(&spec, &RANDOM).unwrap();
        prop_assert!(read(&bytes, &request, &spec).is_err());
    }

    /// Attributes of every form, right or wrong, in a packet that is signed as it should be.
    #[test]
    fn signed_attributes(attributes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let spec = RadiusSpec { message_authenticator: false, ..access(RadiusMethod::MsChapV2) };
        let request = Request::new(&spec, &RANDOM).unwrap();
        let bytes = reply(&request, RadiusCode::ACCESS_REJECT, &attributes, "xyzzy5461", false);
        let text = read(&bytes, &request, &spec).unwrap_err();
        prop_assert!(text.chars().count() < 400 && !text.contains(char::is_control), "{text}");
    }

    /// No bit of a reply can be changed by somebody without the secret.
    #[test]
    fn mutated_replies(at in 0_usize..42, bit in 0_u8..8) {
        let spec = spec(RadiusRequest::Status);
        let request = Request::new(&spec, &RANDOM).unwrap();
        let mut bytes = reply(&request, RadiusCode::ACCESS_ACCEPT, b"\x12\x04hi", "xyzzy5461", true);
        bytes[at] ^= 1 << bit;
        prop_assert!(read(&bytes, &request, &spec).is_err());
    }
}
