//! Every number of the overload protection, with its reason. Chosen in the simulator on other seeds than those that
//! docs/overload.md shows.

use std::time::Duration;

/// A server shows progress if it took a connection or sent something within this time: longer than two samples of a
/// second, shorter than a check with its timeout.
pub(super) const PROGRESS: Duration = Duration::from_millis(2_500);

/// Who refuses checks and clients and lets nobody in for so long, in seconds, has crashed: a slow server that is full
/// lets somebody in more often.
pub(super) const CRASHED: f64 = 1.0;

/// Samples come once a second or more often. After a longer gap it is the director that stood still.
pub(super) const LATE: Duration = Duration::from_millis(2_500);

/// Without a sample for so long nothing is known, and checks decide alone.
pub(crate) const BLIND: Duration = Duration::from_secs(10);

/// The time constant of the rate of clients turned away that the status shows, in seconds.
pub(super) const DEMAND_SPAN: f64 = 5.0;

/// When more than this share of a pool falls silent at once, the network or the director is the likelier cause: no
/// server is taken for dead before its checks have failed as often as configured.
pub(super) const SILENT_SHARE: f64 = 0.5;

/// Completions that an estimate of the residence covers: the error is some 4 %.
pub(super) const COMPLETIONS: f64 = 600.0;
/// The estimate's time constant, in seconds: an estimate of fewer completions is better than one of another time.
pub(super) const SPAN: (f64, f64) = (3.0, 15.0);
/// The same of the estimate by which a cap is regulated: what it is to find is smaller, and there is more time.
pub(super) const STEADY_SPAN: (f64, f64) = (10.0, 25.0);
/// A quick server shows what it does sooner: so many residences.
pub(super) const RESIDENCES: f64 = 10.0;
/// Fewer completions say nothing.
pub(super) const COMPLETIONS_LEAST: f64 = 20.0;

/// The memory of the residence at rest, in seconds: a peak is shorter, a day's change of habit longer.
pub(super) const MEMORY: f64 = 120.0;
/// But at least so many completions.
pub(super) const MEMORY_COMPLETIONS: f64 = 2_000.0;
/// The memory of the most that a server has done, in seconds.
pub(super) const PEAK_MEMORY: f64 = 120.0;

/// Added to check latencies before they are compared, in seconds: below it differences are the director's own.
pub(super) const LATENCY_NOISE: f64 = 0.002;
/// Checks wait: their latency relative to that at rest. One reaches 1.4 by the slowing alone.
pub(super) const LATENCY_HIGH: f64 = 2.5;
/// Checks do not wait.
pub(super) const LATENCY_LOW: f64 = 1.5;
/// How fast the latency at rest follows a check that was quicker, and one that was slower: a queue only adds.
pub(super) const LATENCY_FALL: f64 = 0.3;
/// See [`LATENCY_FALL`].
pub(super) const LATENCY_RISE: f64 = 0.05;
/// Refused connections between two samples that are no accident.
pub(super) const REFUSALS: u64 = 3;

/// A cut leaves at least this share of what is there: one estimate may be wrong.
pub(super) const CUT_LEAST: f64 = 0.5;
/// A cut because of refused connections leaves at most this share.
pub(super) const CUT_REFUSED: f64 = 0.8;
/// A cut without knowledge of the residence at rest: deep enough to find out.
pub(super) const CUT_UNKNOWN: f64 = 0.6;
/// Connections beyond what the slots hold, so that a slot that becomes free finds work.
pub(super) const HEADROOM: f64 = 1.5;
/// A cap with less of a queue behind it grows: in connections, and as a share of the cap, which is a little more than
/// the error of the estimate.
pub(super) const QUEUE_LEAST: f64 = 2.0;
/// See [`QUEUE_LEAST`].
pub(super) const QUEUE_LEAST_SHARE: f64 = 0.05;
/// A cap with more of a queue behind it is trimmed.
pub(super) const QUEUE_MOST: f64 = 3.0;
/// See [`QUEUE_MOST`].
pub(super) const QUEUE_MOST_SHARE: f64 = 0.08;
/// A cut needs a longer queue than this.
pub(super) const QUEUE_HIGH: f64 = 4.0;
/// How fast a cap grows, as a share of it per second,
pub(super) const GROW: f64 = 0.01;
/// when it is so far, as a share, from the cap that was found last;
pub(super) const AWAY: f64 = 0.1;
/// nearer slower and farther away faster, by these factors at most.
pub(super) const PACE: (f64, f64) = (0.25, 3.0);
/// So long without a queue, in seconds, and it grows at that rate wherever it is.
pub(super) const CALM: f64 = 20.0;
/// The most that one trim takes away, as a share.
pub(super) const TRIM_MOST: f64 = 0.1;
/// In seconds; whose connections last longer is believed before they have all gone.
pub(super) const WAIT_MOST: f64 = 30.0;
/// Trimming is looked at when so much is left of the cap.
pub(super) const TRIMMED: f64 = 0.85;
/// It has done nothing when the residence is still at this share.
pub(super) const NO_SHORTER: f64 = 0.96;
/// A cap holds connections back when so much of it is used.
pub(super) const BINDING: f64 = 0.95;

/// What a server that returns is given at first, as a share of its cap.
pub(super) const RETURN_SHARE: f64 = 0.05;
/// When it is given all of it.
pub(super) const RETURN: Duration = Duration::from_secs(20);

/// A penalty halves in this time.
pub(super) const PENALTY_HALF_LIFE: Duration = Duration::from_secs(60);
/// Each fall adds one; from here on a server that returns is held back.
pub(super) const PENALTY_HOLD: f64 = 2.0;
/// Until it is below this.
pub(super) const PENALTY_FREE: f64 = 1.0;
/// No server waits longer than two minutes.
pub(super) const PENALTY_MOST: f64 = 4.0;

/// Wrong answers of so many servers are not the servers' own.
pub(super) const CORRELATED_SHARE: f64 = 0.3;
/// When they come within this time.
pub(super) const CORRELATED: Duration = Duration::from_secs(8);
/// Soft ejections at the same time, as a share of the pool.
pub(super) const SOFT_SHARE: f64 = 0.25;
/// From one soft ejection to the next, so that the rest shows whether it can bear it.
pub(super) const SOFT_GAP: Duration = Duration::from_secs(2);

/// Who leaves all clients without an answer for so long, in seconds, is cut off.
pub(super) const SILENCE: f64 = 1.0;
/// After it, connects that have timed out and answers that were held up still come.
pub(super) const ECHO: Duration = Duration::from_secs(10);

/// When the checks of so many servers of a pool wait, a server's connections may tell before its own check does.
pub(super) const WAITING_SHARE: f64 = 0.3;

/// A server that has not come down to its cap after so long, and whose checks are quick, bears what it has.
pub(super) const SETTLING: Duration = Duration::from_secs(30);
