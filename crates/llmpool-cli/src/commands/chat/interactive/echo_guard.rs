//! Hides what the user types while an answer is printed, so that the typed text does not appear inside the
//! answer. The editor receives the typed text at the next prompt.

/// Disables the echo of typed characters on the terminal until the guard is dropped. Has no effect on systems
/// other than Unix.
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
