//! What is known of the keys, kept across a restart: a small file with times and states.
//!
//! A key is in it as a fingerprint that is keyed with the file's own salt: it tells whether a key at hand is the same one, and nothing
//! else. With them goes who made the responses and encrypted items that requests may refer to, as fingerprints too. Times are wall times, as
//! the process that reads them has another origin. Loads and rates are in it for who looks on (`saved_status.rs`), and are not taken over:
//! they are over by then.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use llmpool_core::limits::{CooldownReason, KeyAvailability, KeyId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::openai_compatible::OpenAiCompatible;
use crate::providers::Providers;
use crate::secrets::Secret;
use crate::target::Provider;
use crate::{clock, random};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(crate) struct StateFile {
    version: u32,
    pub(crate) salt: String,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saved_at: Option<u64>,
    pub(crate) keys: Vec<Kept>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    made: Vec<Made>,
    /// For who looks on; not taken over by the next process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) loads: Vec<Load>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rates: Vec<Rate>,
}

/// What was under way with a key.
#[derive(Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) provider: String,
    pub(crate) fingerprint: String,
    pub(crate) in_flight: u32,
}

/// What a model's rate limit admitted at once, and who waited.
#[derive(Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) model: String,
    /// Absent where there is no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) available: Option<u32>,
    pub(crate) waiting: usize,
}

/// What one key made, the oldest first.
#[derive(Serialize, Deserialize)]
struct Made {
    provider: String,
    fingerprint: String,
    by_it: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) provider: String,
    pub(crate) fingerprint: String,
    pub(crate) state: State,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Throttled,
    NoQuota,
    Invalid,
    Disabled,
}

impl Providers {
    /// Writes down which keys rest and until when, which are disabled, and who made what requests may refer to; and, for
    /// [`saved_status`](Self::saved_status), what is under way and what the rate limits admit. The file is replaced as a whole, and readable
    /// for its owner only. Neither keys nor labels are in it.
    pub fn save_key_states(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let salt = format!(
            "{:016x}{:016x}",
            random::fresh_seed(),
            random::mixed(clock::wall_now().as_nanos() as u64)
        );
        let keys = self
            .pools()
            .iter()
            .flat_map(|provider| kept(provider, &salt))
            .collect();
        let made = self
            .pools()
            .iter()
            .flat_map(|provider| made(provider, &salt))
            .collect();
        let file = StateFile {
            version: VERSION,
            saved_at: Some(clock::wall_now().as_millis() as u64),
            keys,
            made,
            loads: self
                .pools()
                .iter()
                .flat_map(|provider| loads(provider, &salt))
                .collect(),
            rates: self.models().map(rate).collect(),
            salt,
        };
        replace(path.as_ref(), &file).map_err(|error| unusable(path.as_ref(), &error.to_string()))
    }

    /// Lets those keys rest that rested when the file was written, as far as that is not over, disables those that were disabled, and
    /// remembers who made what.
    /// Keys that are no longer there are passed over. A file that is not there says nothing. Answers how many keys it changed.
    pub fn load_key_states(&self, path: impl AsRef<Path>) -> Result<usize, Error> {
        let Some(file) = read(path.as_ref())? else {
            return Ok(0);
        };
        let wall_now = clock::wall_now();
        let pools = self.pools();
        let changed = pools.iter().map(|provider| {
            let kept = file.keys.iter().filter(|kept| kept.provider == provider.id);
            kept.filter(|kept| restore(provider, kept, &file.salt, wall_now))
                .count()
        });
        let changed = changed.sum();
        for provider in &pools {
            let made = file.made.iter().filter(|made| made.provider == provider.id);
            made.for_each(|made| remember(provider, made, &file.salt));
        }
        Ok(changed)
    }
}

/// The file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<StateFile>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error.to_string())),
    };
    let file: StateFile = serde_json::from_str(&text).map_err(|error| unusable(path, &error.to_string()))?;
    if file.version != VERSION {
        return Err(unusable(
            path,
            &format!("its version is {}, not {VERSION}", file.version),
        ));
    }
    Ok(Some(file))
}

fn loads(provider: &Arc<Provider>, salt: &str) -> Vec<Load> {
    let status = provider.key_status(None, provider.admission.key_ids());
    let keys = provider
        .keys
        .iter()
        .zip(status)
        .filter(|(_, status)| status.in_flight > 0);
    keys.map(|(key, status)| Load {
        provider: provider.id.clone(),
        fingerprint: fingerprint(&key.secret, salt),
        in_flight: status.in_flight,
    })
    .collect()
}

fn rate(model: &OpenAiCompatible) -> Rate {
    Rate {
        model: model.id().to_owned(),
        available: model.rate_limit_status().map(|status| status.available_tokens),
        waiting: model.waiting(),
    }
}

fn kept(provider: &Arc<Provider>, salt: &str) -> Vec<Kept> {
    let (now, wall_now) = (clock::now(), clock::wall_now());
    let ids = provider.admission.key_ids();
    let known = provider.admission.with_limiter(|limiter| {
        let known = ids
            .iter()
            .map(|id| (limiter.key_availability(*id), limiter.known_cooldown(*id)));
        known.collect::<Vec<_>>()
    });
    let keys = provider.keys.iter().zip(known);
    keys.filter_map(|(key, known)| {
        let (kept, until) = match known {
            (KeyAvailability::Disabled, _) => (State::Disabled, None),
            (_, Some((until, why))) => (State::of(why)?, Some(until)),
            (_, None) => return None,
        };
        let until = until.map(|until| (wall_now + until.since(now)).as_millis() as u64);
        Some(Kept {
            provider: provider.id.clone(),
            fingerprint: fingerprint(&key.secret, salt),
            state: kept,
            until,
        })
    })
    .collect()
}

impl State {
    /// `None` where it concerns a model and not the key.
    fn of(why: CooldownReason) -> Option<Self> {
        match why {
            CooldownReason::Throttled => Some(Self::Throttled),
            CooldownReason::NoQuota => Some(Self::NoQuota),
            CooldownReason::Invalid => Some(Self::Invalid),
            CooldownReason::Forbidden | CooldownReason::Overloaded | CooldownReason::Broken => None,
        }
    }
}

fn made(provider: &Arc<Provider>, salt: &str) -> Vec<Made> {
    let mut by_key: BTreeMap<KeyId, Vec<String>> = BTreeMap::new();
    for (made, key) in provider.affinity().entries() {
        by_key.entry(key).or_default().push(format!("{made:016x}"));
    }
    let made = by_key.into_iter().map(|(key, by_it)| Made {
        provider: provider.id.clone(),
        fingerprint: fingerprint(&provider.key(key).secret, salt),
        by_it,
    });
    made.collect()
}

fn remember(provider: &Arc<Provider>, made: &Made, salt: &str) {
    let Some(key) = key_of(provider, &made.fingerprint, salt) else {
        return;
    };
    let mut affinity = provider.affinity();
    for made in &made.by_it {
        if let Ok(made) = u64::from_str_radix(made, 16) {
            affinity.record(made, key);
        }
    }
}

fn key_of(provider: &Arc<Provider>, known_as: &str, salt: &str) -> Option<KeyId> {
    let mut keys = provider.keys.iter().zip(provider.admission.key_ids());
    keys.find(|(key, _)| fingerprint(&key.secret, salt) == known_as)
        .map(|(_, id)| id)
}

fn restore(provider: &Arc<Provider>, kept: &Kept, salt: &str, wall_now: Duration) -> bool {
    let Some(id) = key_of(provider, &kept.fingerprint, salt) else {
        return false;
    };
    let why = match kept.state {
        State::Disabled => {
            provider.admission.set_enabled(id, false);
            return true;
        }
        State::Throttled => CooldownReason::Throttled,
        State::NoQuota => CooldownReason::NoQuota,
        State::Invalid => CooldownReason::Invalid,
    };
    let left = Duration::from_millis(kept.until.unwrap_or_default()).saturating_sub(wall_now);
    // What is over but for the probe is found out at once: by a single call.
    provider.admission.set_cooldown(id, why, clock::now() + left);
    true
}

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

/// Beside the old file first, so that a crash leaves either the old or the new one.
fn replace(path: &Path, file: &StateFile) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut new = private(beside)?;
    new.write_all(serde_json::to_string_pretty(file)?.as_bytes())?;
    new.write_all(b"\n")?;
    new.sync_all()?;
    fs::rename(beside, path)
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn unusable(path: &Path, problem: &str) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::Config,
        format!("key states in {path}: {problem}; remove the file to begin anew"),
    )
}
