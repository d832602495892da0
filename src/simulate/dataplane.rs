//! The director's dataplane: chooses a server for each connection and counts.

/// What a policy wants of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Destination {
    /// 0: no new connections.
    pub(super) weight: u32,
    /// The most connections.
    pub(super) cap: Option<u32>,
    /// False: it is not in the table, and its connections are lost.
    pub(super) present: bool,
}

/// Who carries the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sees handshakes, and a connection until the server has ended it; can try another server.
    Proxy,
    /// Connections that are not established, or no longer, are inactive.
    Ipvs,
}

/// Totals of one server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    /// Open now; on the proxy also those on their way.
    pub(super) active: u32,
    /// Given to the server.
    pub(super) begun: u64,
    /// Handshakes.
    pub(super) established: u64,
    /// Attempts that failed.
    pub(super) failed: u64,
    /// Answers that the server has sent.
    pub(super) answers: u64,
}

#[derive(Debug)]
pub(super) struct Dataplane {
    pub(super) kind: Kind,
    pub(super) destinations: Vec<Destination>,
    pub(super) counters: Vec<Counters>,
    /// Turned away because nobody had room, in total.
    pub(super) turned_away: u64,
    /// The server of each persistent client.
    templates: Vec<Option<u32>>,
    turn: usize,
}

impl Dataplane {
    pub(super) fn new(kind: Kind, destinations: &[Destination], persistent: u32) -> Self {
        Self {
            kind,
            destinations: destinations.to_vec(),
            counters: vec![Counters::default(); destinations.len()],
            turned_away: 0,
            templates: vec![None; persistent as usize],
            turn: 0,
        }
    }

    /// The least loaded server for its weight, or the persistent client's own.
    pub(super) fn choose(&mut self, client: u32, tried: &[u32]) -> Option<usize> {
        let kept = self.templates.get(client as usize).copied().flatten().map(|it| it as usize);
        // IPVS asks a template's destination for its weight, and not for its connections.
        let usable = |it: &usize| match self.kind {
            Kind::Proxy => self.has_room(*it) && !tried.contains(&(*it as u32)),
            Kind::Ipvs => self.destinations[*it].weight > 0,
        };
        let chosen = kept.filter(usable).or_else(|| self.least_loaded(tried))?;
        if let Some(template) = self.templates.get_mut(client as usize) {
            *template = Some(chosen as u32);
        }
        self.turn = chosen + 1;
        Some(chosen)
    }

    fn least_loaded(&self, tried: &[u32]) -> Option<usize> {
        let count = self.destinations.len();
        let mut least: Option<(usize, u64, u64)> = None;
        for index in (self.turn..self.turn + count).map(|it| it % count) {
            if !self.has_room(index) || tried.contains(&(index as u32)) {
                continue;
            }
            let active = u64::from(self.counters[index].active);
            let weight = u64::from(self.destinations[index].weight);
            if least.is_none_or(|(_, others, its_weight)| active * its_weight < others * weight) {
                least = Some((index, active, weight));
            }
        }
        least.map(|(index, ..)| index)
    }

    fn has_room(&self, index: usize) -> bool {
        let Destination { weight, cap, .. } = self.destinations[index];
        weight > 0 && cap.is_none_or(|cap| self.counters[index].active < cap)
    }
}
