//! The simulator on a TCP socket.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::offline::OfflineSimulator;
use crate::scenario::{Scenario, ScenarioError};
use crate::stats::{Stats, WaitTimeout};

/// A simulated provider on a TCP socket. The provider runs until [`stop`](Self::stop) is called or the [`Simulator`] is
/// dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    provider: OfflineSimulator,
    /// Sending a value or dropping the sender stops the task that accepts connections. That task drops the
    /// only receiver once all connections are closed, so `stop.closed()` waits for the end of the shutdown.
    stop: watch::Sender<()>,
}

impl Simulator {
    /// Starts a simulator on a free port of 127.0.0.1. Requires a tokio runtime with IO and time enabled.
    ///
    /// # Errors
    /// Returns an error of kind [`InvalidInput`](io::ErrorKind::InvalidInput) if the scenario is invalid, or
    /// the I/O error if the socket cannot be bound.
    pub async fn start(scenario: Scenario) -> io::Result<Self> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), scenario).await
    }

    /// Starts a simulator on the address `addr`. Port 0 selects a free port.
    ///
    /// # Errors
    /// Returns the same errors as [`start`](Self::start).
    pub async fn start_on(addr: SocketAddr, scenario: Scenario) -> io::Result<Self> {
        let provider = OfflineSimulator::new(scenario)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(());
        tokio::spawn(accept(listener, provider.clone(), stopped));
        Ok(Self { addr, provider, stop })
    }

    /// Creates a simulator without a socket, for in-memory connections. The simulator's clock starts when
    /// this function is called.
    ///
    /// # Errors
    /// Returns an error if the scenario is invalid.
    pub fn offline(scenario: Scenario) -> Result<OfflineSimulator, ScenarioError> {
        OfflineSimulator::new(scenario)
    }

    /// Returns the base URL for clients, such as `http://127.0.0.1:8080/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Returns the address on which the simulator listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns a snapshot of the statistics.
    pub fn stats(&self) -> Stats {
        self.provider.stats()
    }

    /// Resets the statistics, but not the state of rules and limits. Open connections and requests in flight
    /// remain counted.
    pub fn reset_stats(&self) {
        self.provider.reset_stats();
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
        self.provider.wait_for(condition, timeout).await
    }

    /// Stops accepting connections, closes all open connections, and returns when all connections are closed. Requests
    /// in flight are not recorded as aborted. The statistics remain available. Dropping the simulator also stops it,
    /// but does not wait.
    pub async fn stop(&self) {
        self.provider.mark_stopping();
        self.stop.send_replace(());
        self.stop.closed().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.provider.mark_stopping();
    }
}

async fn accept(listener: TcpListener, provider: OfflineSimulator, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Send each event at once. This call fails only if the connection is closed already.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(provider.serve_resettable(stream, TcpStream::set_zero_linger));
                }
                // Usually the process is out of file descriptors: wait for open connections to close.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}
