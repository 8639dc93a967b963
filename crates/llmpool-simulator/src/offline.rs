//! The provider itself, without a socket of its own.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;
use crate::connection::{Link, Socket};
use crate::scenario::{Scenario, ScenarioError};
use crate::service::Service;
use crate::stats::{NotReached, Recorder, Stats};

/// A simulated provider that serves whatever connections it is given, over pipes in memory too. All the time it reads
/// is tokio's, so with such pipes and paused time an hour of limits and outages passes in no time. Clones are the same
/// provider.
#[derive(Clone, Debug)]
pub struct Offline {
    service: Arc<Service>,
    recorder: Arc<Recorder>,
}

impl Offline {
    pub(crate) fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        scenario.check()?;
        let clock = Clock::start(scenario.clock_skew);
        let recorder = Arc::new(Recorder::new(&scenario, clock));
        let service = Arc::new(Service::new(scenario, clock, Arc::clone(&recorder)));
        Ok(Self { service, recorder })
    }

    /// Serves one connection, which is open from now on and until the client or a behaviour ends it; then the future
    /// is ready, and dropping it earlier ends the connection too. A reset is an end without a word here.
    pub fn serve<S>(&self, io: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.serve_resettable(io, |_| Ok(()))
    }

    /// As [`serve`](Self::serve); `reset` makes sure that the end of the connection is a reset.
    pub(crate) fn serve_resettable<S>(
        &self,
        io: S,
        reset: fn(&S) -> io::Result<()>,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let link = Link::open(Arc::clone(&self.recorder));
        let service = Arc::clone(&self.service);
        let socket = TokioIo::new(Socket::new(io, reset, Arc::clone(&link)));
        let answer = service_fn(move |request| {
            let (service, link) = (Arc::clone(&service), Arc::clone(&link));
            async move { Ok::<_, Infallible>(service.answer(link, request).await) }
        });
        async move {
            // An error here is a client that left or a break we asked for; both are in the stats. The date is not
            // hyper's but the provider's.
            let _ = http1::Builder::new()
                .half_close(false)
                .auto_date_header(false)
                .serve_connection(socket, answer)
                .await;
        }
    }

    /// What it saw so far.
    pub fn stats(&self) -> Stats {
        self.recorder.snapshot()
    }

    /// Begins the counters and lists of the stats anew. Rules and limits keep what they remember.
    pub fn reset_stats(&self) {
        self.recorder.reset();
    }

    /// Waits until the stats are as asked for and returns them; looks after every change, without polling. The
    /// predicate runs under the lock of the stats, so it should only look.
    ///
    /// # Errors
    /// [`NotReached`], with the stats as they were, after `timeout`.
    pub async fn wait_for(
        &self,
        reached: impl FnMut(&Stats) -> bool,
        timeout: Duration,
    ) -> Result<Stats, NotReached> {
        self.recorder.wait_for(reached, timeout).await
    }

    /// From now on no end of a connection is a client that went away.
    pub(crate) fn stopping(&self) {
        self.recorder.stopping();
    }
}
