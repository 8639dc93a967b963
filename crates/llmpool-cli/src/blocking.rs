//! Runs blocking work from async commands.

/// Runs `work` on a blocking thread, so that the async thread can still handle Ctrl-C. If `work` panics, the
/// panic continues in the caller.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
