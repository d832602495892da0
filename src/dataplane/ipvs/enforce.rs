//! Caps in the kernel's table: read, and set thresholds anew, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Destinations, IpvsDataplane, MOMENT, ServiceKey, regulator, translate};
use crate::clock;
use crate::dataplane::Error;

/// From one round to the next, if a round is quick; else it takes at most this share of the time, one in so many.
const INTERVAL: Duration = Duration::from_millis(50);
const INTERVAL_MOST: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;

/// Rounds over the virtual servers that have caps.
#[derive(Debug)]
pub(super) struct Enforcement {
    /// The services of each virtual server that this round has not come to yet.
    left: std::vec::IntoIter<Vec<ServiceKey>>,
    began: Instant,
    /// How long the last round took.
    took: Duration,
    interval: Duration,
    /// Why caps are not enforced, if so.
    error: Option<Error>,
}

impl Default for Enforcement {
    fn default() -> Self {
        let (began, took) = (clock::now(), Duration::ZERO);
        Self { left: Vec::new().into_iter(), began, took, interval: INTERVAL, error: None }
    }
}

impl IpvsDataplane {
    /// A piece of a round; after how long to go on, if there are any caps.
    pub(super) fn enforce(&mut self) -> Option<Duration> {
        let now = clock::now();
        if self.enforcement.left.len() == 0 {
            self.enforcement.left = self.regulated();
            self.enforcement.began = now;
        }
        let mut result = Ok(());
        while let Some(keys) = self.enforcement.left.next() {
            result = result.and(self.set_thresholds(&keys));
            if clock::now() >= now + MOMENT {
                break;
            }
        }
        self.tell(result.err());
        if self.enforcement.left.len() > 0 {
            return Some(Duration::ZERO);
        }
        let took = clock::now().saturating_duration_since(self.enforcement.began);
        // One that took long may have waited for others; two that did have much to do.
        let before = std::mem::replace(&mut self.enforcement.took, took);
        self.enforcement.interval = (took.min(before) * SHARE).clamp(INTERVAL, INTERVAL_MOST);
        self.regulator.has_work(&self.ours).then_some(self.enforcement.interval)
    }

    /// Takes the thresholds of services that outlive the director back: nobody would set them anew, and they would close
    /// servers as soon as connections end. The first of the errors.
    pub(super) fn lift(&mut self) -> Result<(), Error> {
        each(self.regulator.to_lift(&self.ours), |key| {
            let destinations = self.destinations(&key)?;
            self.request(&regulator::lift(&key, &destinations)).into_iter().collect()
        })
    }

    fn regulated(&self) -> std::vec::IntoIter<Vec<ServiceKey>> {
        let mut services: BTreeMap<_, Vec<ServiceKey>> = BTreeMap::new();
        for (key, service) in self.regulator.services(&self.ours) {
            services.entry(Arc::clone(&service.attributes.group)).or_default().push(key);
        }
        services.into_values().collect::<Vec<_>>().into_iter()
    }

    /// Of one virtual server.
    fn set_thresholds(&mut self, keys: &[ServiceKey]) -> Result<(), Error> {
        let mut services = BTreeMap::new();
        for key in keys {
            services.insert(*key, self.destinations(key)?);
        }
        let requests = self.regulator.requests(&self.ours, &services, self.enforcement.interval);
        self.request(&requests).into_iter().collect()
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Destinations, Error> {
        let Some(kernels) = translate::key(key) else { return Ok(Destinations::new()) };
        let destinations = self.with(|connection| connection.destinations(&kernels))?;
        self.know(key, &destinations);
        Ok(destinations)
    }

    fn tell(&mut self, error: Option<Error>) {
        match &error {
            Some(error) if self.enforcement.error.as_ref() != Some(error) => {
                tracing::error!(%error, "the kernel does not enforce caps as it should; trying again");
            }
            None if self.enforcement.error.is_some() => tracing::info!("the kernel enforces caps again"),
            _ => {}
        }
        self.enforcement.error = error;
    }
}

/// Goes on after an error, and tells the first.
fn each<T>(items: impl IntoIterator<Item = T>, act: impl FnMut(T) -> Result<(), Error>) -> Result<(), Error> {
    items.into_iter().map(act).fold(Ok(()), Result::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_that_cannot_be_read_keeps_no_other_from_being_lifted() {
        let mut asked = Vec::new();
        let result = each(1..=4, |service| {
            asked.push(service);
            if service % 2 == 0 { Err(Error(service.to_string())) } else { Ok(()) }
        });
        assert_eq!((asked, result), (vec![1, 2, 3, 4], Err(Error("2".into()))));
    }
}
