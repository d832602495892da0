//! Clients that come whether or not those before them were served.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::now;

/// How clients behave.
#[derive(Debug, Clone, Copy)]
pub struct Clients {
    /// Whom they ask.
    pub to: SocketAddr,
    /// How long each attempt may take.
    pub patience: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Between two attempts.
    pub pause: Duration,
}

/// So many new clients a second for so long.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// Clients per second, come at random.
    pub rate: f64,
    /// For how long.
    pub seconds: u32,
}

/// What came of it, by the second in which it did.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Answers of real servers.
    pub real: Vec<u32>,
    /// Attempts that got another answer, or none.
    pub failed: Vec<u32>,
    phases: Vec<Phase>,
}

#[derive(Debug, Default)]
struct Times {
    real: Vec<Instant>,
    failed: Vec<Instant>,
}

impl Clients {
    /// Patience of 3 s, two retries, a second apart.
    pub fn new(to: SocketAddr) -> Self {
        Self { to, patience: Duration::from_secs(3), retries: 2, pause: Duration::from_secs(1) }
    }

    /// Sends them in, on the calling thread. Arrivals depend on the seed alone.
    pub fn run(self, phases: &[Phase], seed: u64) -> Answers {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let times = Arc::<Mutex<Times>>::default();
        let (start, length) = (now(), phases.iter().map(|it| it.seconds).sum::<u32>());
        runtime.block_on(async {
            for at in arrivals(phases, seed) {
                tokio::time::sleep_until((start + at).into()).await;
                tokio::spawn(self.client(Arc::clone(&times)));
            }
            tokio::time::sleep_until((start + Duration::from_secs(length.into())).into()).await;
        });
        let times = times.lock().expect("times");
        let by_second = |times: &[Instant]| {
            let mut seconds = vec![0; length as usize];
            for at in times {
                if let Some(count) = seconds.get_mut((*at - start).as_secs() as usize) {
                    *count += 1;
                }
            }
            seconds
        };
        Answers { real: by_second(&times.real), failed: by_second(&times.failed), phases: phases.to_vec() }
    }

    async fn client(self, times: Arc<Mutex<Times>>) {
        for attempt in 0..=self.retries {
            if attempt > 0 {
                tokio::time::sleep(self.pause).await;
            }
            let served = tokio::time::timeout(self.patience, ask(self.to)).await;
            let served = matches!(served, Ok(Ok(true)));
            let mut times = times.lock().expect("times");
            if served {
                return times.real.push(now());
            }
            times.failed.push(now());
        }
    }
}

async fn ask(to: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.ends_with(b"real"))
}

/// As those of many clients that know nothing of each other.
fn arrivals(phases: &[Phase], seed: u64) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut arrivals, mut begin) = (Vec::new(), 0.0);
    for phase in phases {
        let (mut at, end) = (begin, begin + f64::from(phase.seconds));
        loop {
            at += -(1.0 - random.f64()).ln() / phase.rate;
            if at >= end {
                break;
            }
            arrivals.push(Duration::from_secs_f64(at));
        }
        begin = end;
    }
    arrivals
}

impl Answers {
    /// Answers of real servers per second in a phase, without its first `skip` seconds.
    pub fn rate(&self, phase: usize, skip: usize) -> f64 {
        let seconds = self.seconds(phase);
        let counted = &self.real[(seconds.start + skip).min(seconds.end)..seconds.end];
        f64::from(counted.iter().sum::<u32>()) / counted.len().max(1) as f64
    }

    fn seconds(&self, phase: usize) -> Range<usize> {
        let start = self.phases[..phase].iter().map(|it| it.seconds).sum::<u32>() as usize;
        start..start + self.phases[phase].seconds as usize
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, phase) in self.phases.iter().enumerate() {
            let seconds = self.seconds(number);
            writeln!(
                f,
                "  {:>6}/s offered: {:6.1}/s answered, by second {:?}, failed {:?}",
                phase.rate,
                self.rate(number, 0),
                &self.real[seconds.clone()],
                &self.failed[seconds]
            )?;
        }
        Ok(())
    }
}
