//! Follow-ups go to the account that made what they refer to: see [`llmpool_core::limits::affinity`].

use std::sync::Arc;

use llmpool_core::api_format::ApiFormat;
use llmpool_core::limits::{AffinityError, KeyConstraint, KeyId};
use llmpool_core::responses::{ResourceRef, created_resources, resource_refs};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::target::{Provider, Target};

/// Notes what a key made.
pub(crate) struct AffinityRecorder {
    provider: Arc<Provider>,
    key: KeyId,
}

impl AffinityRecorder {
    /// `None` where nobody will ask: a chat refers to nothing, and a single key is always the right one.
    pub(crate) fn of(target: &Target, key: Option<KeyId>) -> Option<Self> {
        let provider = target.provider.clone();
        let is_asked = keeps_things(target);
        key.filter(|_| is_asked).map(|key| Self { provider, key })
    }

    /// An answer, or an event with one, came.
    pub(crate) fn note(&self, answer: &[u8]) {
        let made = created_resources(answer);
        if made.is_empty() {
            return;
        }
        let made: Vec<u64> = made.iter().map(|made| fingerprint(made)).collect();
        let mut affinity = self.provider.affinity();
        made.into_iter().for_each(|made| affinity.record(made, self.key));
    }
}

fn keeps_things(target: &Target) -> bool {
    target.wire == ApiFormat::Responses && target.provider.keys.len() > 1
}

/// Which keys a request may use.
pub(crate) fn binding_of(target: &Target, body: &[u8]) -> Result<KeyConstraint, Error> {
    if !keeps_things(target) {
        return Ok(KeyConstraint::Any);
    }
    let ties = resource_refs(body);
    let made = |needed: bool| -> Vec<u64> {
        let ties = ties.iter().filter(|tie| tie.needed == needed);
        ties.map(|tie| fingerprint(&tie.made)).collect()
    };
    let (needed, better) = (made(true), made(false));
    let affinity = target.provider.affinity();
    let constraint = target
        .provider
        .admission
        .with_limiter(|limiter| affinity.constraint(&needed, &better, limiter, target.id));
    constraint.map_err(|homeless| {
        let member = ties.iter().find(|tie| tie.needed).map_or("", |tie| tie.member);
        Error::new(ErrorKind::Unsendable, message(&ties, homeless)).with_param(member)
    })
}

fn message(ties: &[ResourceRef<'_>], homeless: AffinityError) -> String {
    let needed = ties.iter().filter(|tie| tie.needed);
    let mut members: Vec<&str> = needed.map(|tie| tie.member).collect();
    members.dedup();
    let members = members.join(" and ");
    match homeless {
        AffinityError::Unknown { accounts } => format!(
            "{members} refers to what one account made, and which of the {accounts} behind these keys is not known (made elsewhere, or too \
             long ago); send the earlier items themselves, or ask with that account's key alone"
        ),
        AffinityError::OtherAccount => format!(
            "{members} refers to what was made with a key that this model does not use; send the earlier items themselves"
        ),
        AffinityError::Conflicting => format!(
            "{members} refers to what different accounts made, and no account knows all of it; send the earlier items themselves"
        ),
    }
}

fn fingerprint(made: &str) -> u64 {
    let hash = Sha256::digest(made.as_bytes());
    u64::from_be_bytes(std::array::from_fn(|at| hash[at]))
}
