//! What the dataplanes have counted, for the overload protection: asked for again and again, taken in when it comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_engine::{Load, Mode, Traffic};
use tokio::sync::mpsc;

use crate::clock;
use crate::config::{DataplaneKind, Listen, Protocol, VirtualServer};
use crate::dataplane::{CounterSources, Counters, DestinationCounters};

/// From one question to the next, if answering and taking in are quick.
const INTERVAL: Duration = Duration::from_millis(500);
/// At most this share of the time goes into it, for very large tables: one in so many.
const SHARE: u32 = 10;
/// But that the protection does not take the director for one that stood still.
const INTERVAL_MOST: Duration = Duration::from_secs(2);
/// A dataplane that has not answered by then is asked anew.
const DEADLINE: Duration = Duration::from_secs(5);

/// The event loop's end of it.
pub(super) struct Sampler {
    sources: CounterSources,
    /// When to ask next; none while there is a question that is not answered.
    due: Option<Instant>,
    answer: mpsc::Sender<Sample>,
}

/// An answer; no counters if there was none in time.
pub(super) struct Sample {
    counters: Option<Counters>,
    /// When it was asked for.
    asked: Instant,
}

impl Sampler {
    /// And where its answers arrive.
    pub(super) fn new(now: Instant, sources: CounterSources) -> (Self, mpsc::Receiver<Sample>) {
        let (answer, answers) = mpsc::channel(1);
        (Self { sources, due: Some(now), answer }, answers)
    }

    /// Asks if it is time to. Must be called inside the runtime, often.
    pub(super) fn ask(&mut self, now: Instant, virtual_servers: &[Arc<VirtualServer>]) {
        let is_due = self.due.is_some_and(|due| due <= now);
        if !is_due || !virtual_servers.iter().any(|it| it.overload != Mode::Off) {
            return;
        }
        self.due = None;
        let (sources, answer) = (self.sources.clone(), self.answer.clone());
        tokio::spawn(async move {
            let counters = sources.sample(DEADLINE).await;
            // The loop may have ended.
            let (Ok(()) | Err(_)) = answer.send(Sample { counters, asked: now }).await;
        });
    }

    /// To be called when an answer has been taken in.
    pub(super) fn taken(&mut self, asked: Instant) {
        let took = clock::now().saturating_duration_since(asked);
        self.due = Some(asked + (took * SHARE).clamp(INTERVAL, INTERVAL_MOST));
    }
}

impl Sample {
    /// When it was asked for.
    pub(super) fn asked(&self) -> Instant {
        self.asked
    }

    /// In the engine's terms, of the virtual servers that are protected or observed.
    pub(super) fn traffic<'a>(
        &'a self,
        virtual_servers: &'a [Arc<VirtualServer>],
    ) -> impl Iterator<Item = Traffic> + 'a {
        let protected = virtual_servers.iter().filter(|it| it.overload != Mode::Off);
        let counters = self.counters.as_ref();
        protected.filter_map(move |it| Some(traffic(it, counters?)))
    }
}

fn traffic(it: &VirtualServer, counters: &Counters) -> Traffic {
    let counted = counters.of_group(&it.name);
    let given_away = it.sorry_server.and_then(|sorry| Some(counted.get(sorry.address)?.begun));
    let refused = it.listen.iter().filter_map(|key| counters.services.get(key)).map(|it| it.no_destination);
    let is_pool =
        |address: &SocketAddr| it.real_servers.binary_search_by_key(address, |server| server.address).is_ok();
    Traffic {
        virtual_server: Arc::clone(&it.name),
        turned_away: refused.sum::<u64>() + given_away.unwrap_or(0),
        real_servers: counted
            .iter()
            .filter(|(address, counted)| is_pool(address) && can_tell(it, counted))
            .map(|(address, counted)| load(it, address, counted))
            .collect(),
    }
}

/// Whether anything that was counted says that a server lives. To the kernel any client's datagram makes an entry, so of
/// UDP only answers do, and where they go another way the server is not sampled.
fn can_tell(it: &VirtualServer, counted: &DestinationCounters) -> bool {
    let is_udp = |key: &Listen| matches!(key, Listen::Address { protocol: Protocol::Udp, .. });
    counted.answered.is_some() || !it.listen.iter().any(is_udp)
}

fn load(it: &VirtualServer, address: SocketAddr, counted: &DestinationCounters) -> Load {
    let kind = it.dataplane.kind();
    // A datagram that was sent says nothing of who is there.
    let is_tcp = |key: &Listen| matches!(key, Listen::Address { protocol: Protocol::Tcp, .. });
    let shakes_hands = kind == DataplaneKind::Proxy && it.listen.iter().all(is_tcp);
    Load {
        address,
        active: counted.active,
        begun: counted.begun,
        failed: counted.connect_failures,
        established: shakes_hands.then_some(counted.connections),
        bytes_out: counted.answered,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What the engine is told of a server on IPVS that has been sent connections or datagrams.
    fn sampled(protocol: &str, answered: Option<u64>) -> Vec<Load> {
        let text = format!(
            "[[virtual_server]]\nname = \"dns\"\nlisten = \"192.0.2.100:53\"\nprotocol = \"{protocol}\"\n\
             dataplane = \"ipvs\"\nforwarding = \"direct\"\ncheck.type = \"none\"\noverload.mode = \"protect\"\n\
             real_server = [{{ address = \"192.0.2.1:53\" }}]\n"
        );
        let model = crate::config::parse(Path::new("test.toml"), &text).unwrap();
        let place = ("dns".into(), model.virtual_servers[0].real_servers[0].address);
        let counted = DestinationCounters { active: 7, begun: 9, answered, ..DestinationCounters::default() };
        let destinations = vec![(place, counted)];
        traffic(&model.virtual_servers[0], &Counters { destinations, ..Counters::default() }).real_servers
    }

    #[test]
    fn datagrams_to_a_server_whose_answers_are_not_seen_say_nothing_for_it() {
        assert_eq!(sampled("udp", None), []);
        assert_eq!(sampled("udp", Some(0)).len(), 1);
        assert_eq!(sampled("tcp", None)[0].active, 7, "only handshakes make these");
    }
}
