use super::*;
use crate::io::clock;

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_greatest_stays_and_the_recent_one_passes() {
    let start = clock::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut meter = Lateometer::new(start);
    assert_eq!(meter.record(at(1), at(1) + 5 * MS), 5 * MS);
    assert_eq!(meter.record(at(2), at(2) + MS), MS);
    let first = Lateness { adverts: 2, max: 5 * MS, recent_max: 5 * MS, late: 1 };
    assert_eq!(meter.read(at(59)), first);
    // In the second minute the first one counts, in the third it does not.
    assert_eq!(meter.record(at(70), at(70) + 2 * MS), 2 * MS);
    let second = Lateness { adverts: 3, late: 2, ..first };
    assert_eq!(meter.read(at(71)), second);
    assert_eq!(meter.read(at(131)), Lateness { recent_max: 2 * MS, ..second });
    assert_eq!(meter.read(at(400)), Lateness { recent_max: Duration::ZERO, ..second });
}

#[test]
fn an_advert_before_its_time_is_not_late() {
    let start = clock::now();
    assert_eq!(Lateometer::new(start).record(start + MS, start), Duration::ZERO);
}
