//! Two directors, step by step.

use tidegate_vrrp::State;
use tidegate_vrrp::config::{Family, Version};

use crate::support::{Director, SECOND, router, words};

#[test]
fn a_director_takes_over_from_silence_and_gives_way_to_a_higher_one() {
    let (mut director, actions) = Director::new([router("front", Version::V3, Family::Ipv4)]);
    assert_eq!(words(&actions), ["front initialize to backup: Ready"]);
    let skew = SECOND * 156 / 256;
    let actions = director.wait(3 * SECOND + skew);
    let expected = ["advertise front 100", "hold front", "announce front", "front backup to active: Silence"];
    assert_eq!(words(&actions), expected);
    assert_eq!(words(&director.wait(SECOND)), ["advertise front 100"]);
    assert_eq!(words(&director.hear("front", 9, 101)).first().unwrap(), "release front");
    assert_eq!(director.state("front"), State::Backup);
    assert!(director.status("front").counters.refused.iter().all(|(_, count)| count == 0));
}
