//! One run of one probe, from the first packet to the outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::stream::Tls;
use crate::tls::{self, Contexts};
use crate::trace::Trace;
use crate::{
    HttpVersion, Observation, Outcome, Probe, Spec, agent, clock, dialogue, dns, file, grpc, http, ldap,
    mqtt, ntp, ping, radius, script, sip, sql, udp, websocket,
};

/// What a program that is killed at its deadline still has for our own work with it.
const GRACE: Duration = Duration::from_secs(1);

/// A probe with what its runs share.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    probe: Arc<Probe>,
    tls: Option<Arc<tls::Context>>,
}

impl Check {
    pub(crate) fn new(probe: Arc<Probe>, contexts: &mut Contexts) -> Self {
        let alpn = match &*probe.spec {
            Spec::Http(spec) => tls::alpn(spec.version),
            Spec::Grpc(_) => tls::alpn(HttpVersion::Http2),
            Spec::Websocket(_) => tls::alpn(HttpVersion::Http11),
            _ => &[],
        };
        let tls = probe.spec.tls().map(|tls| contexts.get(tls, alpn));
        Self { probe, tls }
    }

    pub(crate) async fn run(&self) -> Observation {
        let tls = match self.tls().await {
            Ok(tls) => tls,
            Err(outcome) => return self.observation(outcome, Duration::ZERO),
        };
        let trace = Trace::new();
        let start = clock::now();
        let deadline = start + self.probe.timeout;
        // A program has this deadline for itself, to be killed at it; what it wrote takes a moment more.
        let grace = if let Spec::Script(_) = *self.probe.spec { GRACE } else { Duration::ZERO };
        let answer = timeout_at((deadline + grace).into(), self.ask(tls, &trace)).await;
        let outcome = match answer {
            Ok(Ok(outcome) | Err(outcome)) => outcome,
            Err(_) => self.timed_out(deadline + grace, &trace),
        };
        let outcome = if let Spec::Agent(_) = *self.probe.spec { agent::unheard(outcome) } else { outcome };
        self.observation(outcome, clock::now() - start)
    }

    fn timed_out(&self, deadline: Instant, trace: &Trace) -> Outcome {
        let timeout = self.probe.timeout;
        match lag(clock::now().saturating_duration_since(deadline), timeout) {
            Some(lag) => lag,
            None if matches!(*self.probe.spec, Spec::File(_) | Spec::Script(_)) => {
                Outcome::NotRun(format!("we could not do it within {timeout:?}: this system is too slow"))
            }
            None => trace.timed_out(timeout),
        }
    }

    /// The configuration for TLS. Waiting for it is no time of the server's, but it does not last for ever either.
    async fn tls(&self) -> Result<Option<Arc<rustls::ClientConfig>>, Outcome> {
        let Some(context) = &self.tls else {
            return Ok(None);
        };
        let deadline = clock::now() + self.probe.timeout;
        match timeout_at(deadline.into(), context.config()).await {
            Ok(config) => config.map(Some).map_err(Outcome::NotRun),
            Err(_) => Err(Outcome::NotRun("the certificate files are still being read".to_owned())),
        }
    }

    async fn ask(
        &self,
        config: Option<Arc<rustls::ClientConfig>>,
        trace: &Trace,
    ) -> Result<Outcome, Outcome> {
        let (target, spec) = (&self.probe.target, &*self.probe.spec);
        let tls = spec
            .tls()
            .zip(config)
            .map(|(tls, config)| Tls::new(tls, spec.host(), config, target))
            .transpose()?;
        let tls = tls.as_ref();
        match spec {
            Spec::Tcp | Spec::TcpHalfOpen => {
                Err(Outcome::NotRun("this check runs on a thread of its own".to_owned()))
            }
            Spec::Http(spec) => http::ask(target, spec, tls, trace).await,
            Spec::Dialogue(spec) => dialogue::ask(target, spec, tls, trace).await,
            Spec::Dns(spec) => dns::ask(target, spec, tls, trace).await,
            Spec::Radius(spec) => radius::ask(target, spec, trace).await,
            Spec::Udp(spec) => udp::ask(target, spec, trace).await,
            Spec::Ping(spec) => ping::ask(target, spec, trace).await,
            Spec::Ntp(spec) => ntp::ask(target, spec, trace).await,
            Spec::Sql(spec) => sql::ask(target, spec, tls, trace).await,
            Spec::Ldap(spec) => ldap::ask(target, spec, tls, trace).await,
            Spec::Grpc(spec) => grpc::ask(target, spec, tls, trace).await,
            Spec::Websocket(spec) => websocket::ask(target, spec, tls, trace).await,
            Spec::Mqtt(spec) => mqtt::ask(target, spec, tls, trace).await,
            Spec::Sip(spec) => sip::ask(target, spec, tls, trace).await,
            Spec::Agent(spec) => agent::ask(target, spec, tls, trace).await,
            Spec::File(spec) => Ok(file::look(spec, target).await),
            Spec::Script(spec) => Ok(script::run(spec, target, self.probe.timeout).await),
        }
    }

    fn observation(&self, outcome: Outcome, latency: Duration) -> Observation {
        Observation { probe: self.probe.id, outcome, latency }
    }
}

/// When our own timer fired much too late the answer may have been waiting for us, so the timeout proves nothing.
pub(crate) fn lag(late: Duration, timeout: Duration) -> Option<Outcome> {
    let bound = Duration::from_millis(200) + timeout / 10;
    (late > bound).then(|| Outcome::NotRun(format!("our own event loop was {} ms late", late.as_millis())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_timer_is_our_own_fault() {
        let (ms, timeout) = (Duration::from_millis, Duration::from_secs(1));
        assert_eq!(lag(ms(300), timeout), None);
        assert_eq!(
            lag(ms(301), timeout),
            Some(Outcome::NotRun("our own event loop was 301 ms late".to_owned()))
        );
    }
}
