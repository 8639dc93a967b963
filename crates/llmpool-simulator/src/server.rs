//! The socket: accepts connections until it is stopped.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::{Link, Socket};
use crate::scenario::Scenario;
use crate::service::Service;
use crate::stats::{NotReached, Recorder, Stats};

/// A simulated provider, running until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    recorder: Arc<Recorder>,
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
        scenario
            .check()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let labels = scenario.keys.iter().enumerate();
        let labels = labels.map(|(index, key)| key.label.clone().unwrap_or_else(|| format!("key-{index}")));
        let recorder = Arc::new(Recorder::new(labels));
        let service = Arc::new(Service::new(scenario, Arc::clone(&recorder)));
        let (stop, stopped) = watch::channel(());
        tokio::spawn(accept(listener, service, Arc::clone(&recorder), stopped));
        Ok(Self { addr, recorder, stop })
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
        self.recorder.snapshot()
    }

    /// Begins the counters and lists of the stats anew. Rules keep what they remember.
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

    /// Stops accepting and closes all connections, whatever is under way on them; returns when that is done. The
    /// stats stay readable. Dropping the simulator does the same without waiting.
    pub async fn stop(&self) {
        self.recorder.stopping();
        self.stop.send_replace(());
        self.stop.closed().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.recorder.stopping();
    }
}

async fn accept(
    listener: TcpListener,
    service: Arc<Service>,
    recorder: Arc<Recorder>,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Link::open(Arc::clone(&recorder)), Arc::clone(&service)));
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

async fn serve(stream: TcpStream, link: Arc<Link>, service: Arc<Service>) {
    // Each event is to leave at once; where this fails the connection is gone anyway.
    let _ = stream.set_nodelay(true);
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&link)));
    let answer = service_fn(move |request| {
        let (service, link) = (Arc::clone(&service), Arc::clone(&link));
        async move { Ok::<_, Infallible>(service.answer(link, request).await) }
    });
    // An error here is a client that left or a break we asked for; both are in the stats.
    let _ = http1::Builder::new()
        .half_close(false)
        .serve_connection(socket, answer)
        .await;
}
