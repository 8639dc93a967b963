//! The state file. `save_key_states` writes the file; `load_key_states` and `saved_status` read it.
//!
//! Keys are identified by salted fingerprints. The salt differs in each file, so that the file reveals
//! nothing about the keys. Stored responses and encrypted items are identified by fingerprints without salt.
//! Times are stored as milliseconds since the Unix epoch, because the values of a monotonic clock have no
//! meaning in another process. Members whose names end with `_ms` are milliseconds relative to `saved_at`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use llmpool_core::limits::CooldownReason;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::secrets::Secret;
use crate::stored_limits::StoredLimits;

/// The version of the file format. A file with another version is not read.
pub(crate) const VERSION: u32 = 1;

/// The content of a state file. A member that the file does not contain, because an earlier release wrote the
/// file, has its default value.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoredState {
    pub(crate) version: u32,
    /// The random salt of the key fingerprints in this file.
    pub(crate) salt: String,
    pub(crate) saved_at: Option<u64>,
    /// The keys that are in a cooldown or disabled. The cooldowns are for display, except in files that do
    /// not contain `limits`.
    pub(crate) keys: Vec<StoredKey>,
    /// Everything that counts against limits, cooldowns, and learned paces. `None` in files of earlier
    /// releases.
    pub(crate) limits: Option<Vec<StoredLimits>>,
    #[serde(rename = "made")]
    pub(crate) affinities: Vec<StoredAffinity>,
    /// The keys with attempts in flight. For display only: `load_key_states` ignores this list.
    pub(crate) loads: Vec<StoredLoad>,
    /// The rate limits and wait queues of the models. For display only: `load_key_states` ignores this list.
    #[serde(rename = "rates")]
    pub(crate) models: Vec<StoredModel>,
}

/// A key that is in a cooldown or disabled.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredKey {
    pub(crate) provider: String,
    pub(crate) fingerprint: String,
    pub(crate) state: StoredKeyState,
    /// The end of the cooldown, in milliseconds since the Unix epoch. `None` for a disabled key.
    pub(crate) until: Option<u64>,
}

/// The reason why a key in a state file is not used.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredKeyState {
    Throttled,
    NoQuota,
    Invalid,
    Disabled,
}

/// The resources that one key created, such as stored responses, oldest first.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredAffinity {
    pub(crate) provider: String,
    pub(crate) fingerprint: String,
    /// The fingerprints of the resources, in hexadecimal.
    #[serde(rename = "by_it")]
    pub(crate) resources: Vec<String>,
}

/// The number of attempts in flight that use one key.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredLoad {
    pub(crate) provider: String,
    pub(crate) fingerprint: String,
    pub(crate) in_flight: u32,
}

/// The rate limit and wait queue of one model when the file was written.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredModel {
    #[serde(rename = "model")]
    pub(crate) id: String,
    /// The number of requests that the model's rate limit would have admitted at once. `None` if the model
    /// has no rate limit.
    pub(crate) available: Option<u32>,
    pub(crate) waiting: usize,
}

impl StoredKeyState {
    /// Returns the state to store for a key in a cooldown with this reason. Returns `None` if a cooldown with
    /// this reason applies to one target instead of the whole key.
    pub(crate) fn from_cooldown(reason: CooldownReason) -> Option<Self> {
        match reason {
            CooldownReason::Throttled | CooldownReason::Unclear => Some(Self::Throttled),
            CooldownReason::NoQuota | CooldownReason::NoQuotaUntil => Some(Self::NoQuota),
            CooldownReason::Invalid => Some(Self::Invalid),
            CooldownReason::Forbidden | CooldownReason::Overloaded | CooldownReason::Broken => None,
        }
    }

    /// Returns the cooldown reason that corresponds to this state, or `None` if the key is disabled.
    pub(crate) fn cooldown(self) -> Option<CooldownReason> {
        match self {
            Self::Throttled => Some(CooldownReason::Throttled),
            Self::NoQuota => Some(CooldownReason::NoQuota),
            Self::Invalid => Some(CooldownReason::Invalid),
            Self::Disabled => None,
        }
    }
}

impl StoredState {
    /// Reads a state file. Returns `None` if the file does not exist. Fails if the file cannot be read, is
    /// not a state file, or has another version.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(path, &error.to_string())),
        };
        let state: Self = serde_json::from_str(&text).map_err(|error| unusable(path, &error.to_string()))?;
        if state.version != VERSION {
            let message = format!(
                "version {} of the file format is not supported; expected version {VERSION}",
                state.version
            );
            return Err(unusable(path, &message));
        }
        Ok(Some(state))
    }

    /// Returns the system time, and the time since the file was written. If the file was written at a later
    /// system time, the clock has been set back: then no time counts as passed, so that no limit is exceeded.
    pub(crate) fn now(&self) -> (Duration, Duration) {
        let saved_at = self.saved_at.map(Duration::from_millis);
        let wall_now = clock::wall_now();
        let wall_now = saved_at.map_or(wall_now, |saved_at| saved_at.max(wall_now));
        (wall_now, wall_now - saved_at.unwrap_or(wall_now))
    }

    /// Writes the state to the file at `path`. Replaces an existing file.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        self.replace(path)
            .map_err(|error| unusable(path, &error.to_string()))
    }

    /// Writes a temporary file and renames it to `path`. Even after a crash, the file at `path` is complete:
    /// either the old file or the new one.
    fn replace(&self, path: &Path) -> io::Result<()> {
        let mut new_path = path.as_os_str().to_owned();
        new_path.push(".new");
        let new_path = Path::new(&new_path);
        let mut file = create_private(new_path)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(new_path, path)
    }
}

/// Returns the fingerprint that identifies a key in a state file with this salt.
pub(crate) fn fingerprint(key: &Secret, salt: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(salt.as_bytes());
    hash.update(b"\0llmpool key state\0");
    hash.update(key.expose().as_bytes());
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Creates a file that, on Unix, only its owner can read. Truncates the file if it exists.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn unusable(path: &Path, problem: &str) -> Error {
    let path = path.display();
    let error = Error::new(ErrorKind::Config, format!("state file {path}: {problem}"));
    error.with_help("remove the state file to start without saved key states")
}
