use proptest::prelude::*;

use super::*;

fn spec() -> DnsSpec {
    DnsSpec {
        transport: DnsTransport::Udp,
        name: "www.example".parse().unwrap(),
        record: DnsRecord::A,
        recursion: false,
        rcodes: vec![DnsRcode::NO_ERROR],
        min_answers: 1,
        expected: Some(DnsExpected::AllOf(vec![DnsAnswer::new(DnsRecord::A, "192.0.2.1").unwrap()])),
    }
}

/// The answer that a server gives: the query with QR and one record, whose name points to the question's
/// (RFC 1035 §4.1.4).
fn answer(query: &Query, address: [u8; 4]) -> Vec<u8> {
    let mut bytes = query.bytes().to_vec();
    bytes[2] |= 0x80;
    bytes[7] = 1;
    bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    bytes.extend(address);
    bytes
}

#[test]
fn a_query_on_the_wire() {
    let query = Query::new(&spec()).unwrap();
    assert_eq!(&query.bytes()[2..], b"\0\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01");
    assert_eq!(query.framed(), [&[0, 29], query.bytes()].concat());
    let asking = Query::new(&DnsSpec { recursion: true, ..spec() }).unwrap();
    assert_eq!(asking.bytes()[2], 1);
}

#[test]
fn no_room_is_made_for_questions_that_are_only_counted() {
    let query = Query::new(&spec()).unwrap();
    let mut bytes = answer(&query, [192, 0, 2, 1]);
    bytes[4..6].fill(0xff);
    assert_eq!(query.read(&bytes).unwrap_err(), "a message with 65535 questions");
}

#[test]
fn ids_are_not_the_same() {
    let ids =
        || -> Vec<u8> { (0..8).flat_map(|_| Query::new(&spec()).unwrap().bytes()[..2].to_vec()).collect() };
    assert_ne!(ids(), ids());
}

#[test]
fn an_answer_is_read() {
    let query = Query::new(&spec()).unwrap();
    let judged = |address| answer::judge(&query.read(&answer(&query, address)).unwrap(), &spec());
    assert_eq!(judged([192, 0, 2, 1]), Ok("NOERROR, 1 A record".to_owned()));
    assert!(judged([192, 0, 2, 2]).is_err());
}

/// A server may not pass for right by telling the right address of another name.
#[test]
fn records_of_other_names_do_not_count() {
    let query = Query::new(&spec()).unwrap();
    let mut bytes = answer(&query, [192, 0, 2, 1]);
    let name = query.bytes().len();
    bytes.splice(name..name + 2, *b"\x05other\0");
    let judged = answer::judge(&query.read(&bytes).unwrap(), &spec());
    assert_eq!(judged, Err("NOERROR, 0 A records instead of at least 1".to_owned()));
}

/// Aliases that lead to each other have an end.
#[test]
fn aliases_in_a_circle() {
    let query = Query::new(&spec()).unwrap();
    let mut bytes = answer(&query, [192, 0, 2, 1]);
    bytes.truncate(query.bytes().len());
    bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]);
    let judged = answer::judge(&query.read(&bytes).unwrap(), &spec());
    assert_eq!(judged, Err("NOERROR, 0 A records instead of at least 1".to_owned()));
}

#[test]
fn records_by_name_and_number() {
    for (text, shown) in [("a", "A"), ("TYPE28", "AAAA"), ("type65280", "TYPE65280")] {
        assert_eq!(text.parse::<DnsRecord>().unwrap().to_string(), shown);
    }
    for text in ["", "ANY", "AXFR", "OPT", "TYPE0", "TYPE255", "TYPE65536", "B"] {
        assert!(text.parse::<DnsRecord>().is_err(), "{text}");
    }
}

#[test]
fn response_codes_by_name_and_number() {
    for (text, shown) in [("NoError", "NOERROR"), ("3", "NXDOMAIN"), ("15", "RCODE15")] {
        assert_eq!(text.parse::<DnsRcode>().unwrap().to_string(), shown);
    }
    assert!("16".parse::<DnsRcode>().is_err() && "".parse::<DnsRcode>().is_err());
}

#[test]
fn expected_data_is_of_its_type() {
    let aaaa: DnsRecord = "AAAA".parse().unwrap();
    assert!(DnsAnswer::new(DnsRecord::A, "2001:db8::1").is_err());
    assert_eq!(DnsAnswer::new(aaaa, "2001:DB8:0::1"), DnsAnswer::new(aaaa, "2001:db8::1"));
    assert!(
        "".parse::<DnsName>().is_err()
            && ".".parse::<DnsName>().is_ok()
            && "a..b".parse::<DnsName>().is_err()
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_answer(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let query = Query::new(&spec()).unwrap();
        let read = query.read(&bytes);
        prop_assert!(read.is_err());
    }

    /// Whatever becomes of an answer on its way, it is judged without a panic and in few words.
    #[test]
    fn mutated_answers(
        changes in proptest::collection::vec((2_usize..45, any::<u8>()), 0..6),
        tail in proptest::collection::vec(any::<u8>(), 0..40),
        record in any::<u8>(),
    ) {
        let record = format!("TYPE{record}").parse().unwrap_or(DnsRecord::A);
        let spec = DnsSpec { record, ..spec() };
        let query = Query::new(&spec).unwrap();
        let mut bytes = answer(&query, [192, 0, 2, 1]);
        bytes[query.bytes().len() + 3] = u16::from(record.0) as u8;
        for (at, byte) in changes {
            let end = bytes.len() - 1;
            bytes[at.min(end)] = byte;
        }
        bytes.extend(tail);
        let text = match query.read(&bytes) {
            Ok(message) => answer::judge(&message, &spec),
            Err(why) => Err(why),
        };
        let text = text.unwrap_or_else(|why| why);
        prop_assert!(text.chars().count() < 1000 && !text.contains(char::is_control), "{text}");
    }
}
