//! Keeps input that is typed during an answer from appearing in the middle of it. The input is kept for the next prompt.

/// Disables the echo of the terminal until it is dropped. On systems other than Unix it does nothing.
pub(super) struct EchoGuard {
    #[cfg(unix)]
    previous: Option<rustix::termios::Termios>,
}

#[cfg(unix)]
impl EchoGuard {
    pub(super) fn new() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let stdin = std::io::stdin();
        let previous = tcgetattr(&stdin).ok();
        if let Some(previous) = &previous {
            let mut silent = previous.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(&stdin, OptionalActions::Now, &silent);
        }
        Self { previous }
    }
}

#[cfg(unix)]
impl Drop for EchoGuard {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(previous) = &self.previous {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, previous);
        }
    }
}

#[cfg(not(unix))]
impl EchoGuard {
    pub(super) fn new() -> Self {
        Self {}
    }
}
