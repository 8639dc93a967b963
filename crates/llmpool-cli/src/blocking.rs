//! Blocking work in an async command.

/// Runs blocking work on another thread, so that the async thread handles Ctrl-C meanwhile. Propagates panics of the work.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
