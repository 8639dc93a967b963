//! The simulator without a socket.

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
use crate::connection::{ConnectionHandle, InstrumentedStream};
use crate::scenario::{Scenario, ScenarioError};
use crate::service::Service;
use crate::stats::{Recorder, Stats, WaitTimeout};

/// A simulated provider without a socket, which serves the connections that the caller passes to
/// [`serve`](Self::serve), such as in-memory pipes.
///
/// The simulator measures time with tokio's clock, so a test with in-memory pipes and paused time can cover
/// hours of limits and outages in milliseconds. Clones share one provider.
#[derive(Clone, Debug)]
pub struct OfflineSimulator {
    service: Arc<Service>,
    recorder: Arc<Recorder>,
}

impl OfflineSimulator {
    pub(crate) fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        scenario.validate()?;
        let clock = Clock::start(scenario.clock_skew);
        let recorder = Arc::new(Recorder::new(&scenario, clock));
        let service = Arc::new(Service::new(scenario, clock, Arc::clone(&recorder)));
        Ok(Self { service, recorder })
    }

    /// Serves one connection. The connection counts as open as soon as this method is called. The returned
    /// future completes when the client or a behaviour closes the connection; dropping the future earlier
    /// also closes the connection. If a behaviour resets the connection, the client sees an orderly end,
    /// because `io` has no TCP reset.
    pub fn serve<S>(&self, io: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.serve_resettable(io, |_| Ok(()))
    }

    /// Serves one connection like [`serve`](Self::serve). `reset` configures the stream to send a TCP reset
    /// when it is closed.
    pub(crate) fn serve_resettable<S>(
        &self,
        io: S,
        reset: fn(&S) -> io::Result<()>,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = ConnectionHandle::open(Arc::clone(&self.recorder));
        let service = Arc::clone(&self.service);
        let stream = TokioIo::new(InstrumentedStream::new(io, reset, Arc::clone(&connection)));
        let answer = service_fn(move |request| {
            let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
            async move { Ok::<_, Infallible>(service.answer(connection, request).await) }
        });
        async move {
            // An error means that the client disconnected or that a break was requested; the statistics record both.
            // The service sets the `date` header itself, because the date may be skewed.
            let _ = http1::Builder::new()
                .half_close(false)
                .auto_date_header(false)
                .serve_connection(stream, answer)
                .await;
        }
    }

    /// Returns a snapshot of the statistics.
    pub fn stats(&self) -> Stats {
        self.recorder.snapshot()
    }

    /// Resets the statistics, but not the state of rules and limits. Open connections and requests in flight
    /// remain counted.
    pub fn reset_stats(&self) {
        self.recorder.reset();
    }

    /// Waits until the statistics satisfy `condition`, and returns these statistics. Evaluates `condition` at
    /// the start and after every change, while holding the lock of the statistics, so `condition` must be
    /// fast and must not call the simulator. Cancel safe.
    ///
    /// # Errors
    /// Returns [`WaitTimeout`] with the current statistics if `condition` is still false after `timeout`.
    pub async fn wait_for(
        &self,
        condition: impl FnMut(&Stats) -> bool,
        timeout: Duration,
    ) -> Result<Stats, WaitTimeout> {
        self.recorder.wait_for(condition, timeout).await
    }

    /// Marks the simulator as stopping. From now on, requests whose connection closes are not recorded as
    /// aborted by the client.
    pub(crate) fn mark_stopping(&self) {
        self.recorder.mark_stopping();
    }
}
