//! The socket: accepts connections until it is stopped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::offline::Offline;
use crate::scenario::{Scenario, ScenarioError};
use crate::stats::{NotReached, Stats};

/// A simulated provider, running until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    provider: Offline,
    /// Says stop, when used or dropped; the accepting task holds the only receiver until all is closed.
    stop: watch::Sender<()>,
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1. Needs a tokio runtime with IO and time.
    ///
    /// # Errors
    /// `InvalidInput` if the scenario cannot be played; whatever binding fails with.
    pub async fn start(scenario: Scenario) -> io::Result<Self> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), scenario).await
    }

    /// Starts on a given address; port 0 means a free one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_on(addr: SocketAddr, scenario: Scenario) -> io::Result<Self> {
        let provider =
            Offline::new(scenario).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(());
        tokio::spawn(accept(listener, provider.clone(), stopped));
        Ok(Self { addr, provider, stop })
    }

    /// The same provider without a socket, for connections of the caller's own making. Its time begins now.
    ///
    /// # Errors
    /// A scenario that cannot be played.
    pub fn offline(scenario: Scenario) -> Result<Offline, ScenarioError> {
        Offline::new(scenario)
    }

    /// What to configure as a client's base URL: `http://127.0.0.1:PORT/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it saw so far.
    pub fn stats(&self) -> Stats {
        self.provider.stats()
    }

    /// Begins the counters and lists of the stats anew. Rules and limits keep what they remember.
    pub fn reset_stats(&self) {
        self.provider.reset_stats();
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
        self.provider.wait_for(reached, timeout).await
    }

    /// Stops accepting and closes all connections, whatever is under way on them; returns when that is done. The
    /// stats stay readable. Dropping the simulator does the same without waiting.
    pub async fn stop(&self) {
        self.provider.stopping();
        self.stop.send_replace(());
        self.stop.closed().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.provider.stopping();
    }
}

async fn accept(listener: TcpListener, provider: Offline, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Each event is to leave at once; where this fails the connection is gone anyway.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(provider.serve_resettable(stream, TcpStream::set_zero_linger));
                }
                // Out of file descriptors, mostly: give those who have one the time to finish.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}
