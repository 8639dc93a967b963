//! Affinity: sends each request that refers to a resource, such as an earlier response, to the account that
//! created the resource. See [`llmpool_core::limits::affinity`].

use std::sync::Arc;

use llmpool_core::api_format::ApiFormat;
use llmpool_core::limits::{AffinityError, KeyConstraint, KeyId};
use llmpool_core::responses::{ResourceRef, created_resources, resource_refs};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::provider::Provider;
use crate::target::Target;

/// Records the resources that one key creates through its requests: responses, conversations, items and
/// encrypted contents.
pub(crate) struct AffinityRecorder {
    provider: Arc<Provider>,
    key: KeyId,
}

impl AffinityRecorder {
    /// Creates a recorder for `key`. Returns `None` if `key` is `None`. Also returns `None` if the choice of
    /// the key never matters: the target uses Chat Completions, or its provider has only one key.
    pub(crate) fn new(target: &Target, key: Option<KeyId>) -> Option<Self> {
        let provider = target.provider.clone();
        let key = key.filter(|_| needs_affinity(target))?;
        Some(Self { provider, key })
    }

    /// Records the resources that an answer creates. `response` is the JSON of a complete response, or of a
    /// stream event that contains a response or an item.
    pub(crate) fn record(&self, response: &[u8]) {
        let resources = created_resources(response);
        if resources.is_empty() {
            return;
        }
        let resources: Vec<u64> = resources.iter().map(|resource| fingerprint(resource)).collect();
        let mut affinity = self.provider.affinity();
        for resource in resources {
            affinity.record(resource, self.key);
        }
    }
}

/// Returns whether it matters which key sends a request that refers to a resource. Returns false if the
/// provider has only one key, or if the target uses Chat Completions, which create no resources.
fn needs_affinity(target: &Target) -> bool {
    target.format == ApiFormat::Responses && target.provider.keys.len() > 1
}

/// Returns the keys that may serve the request with this JSON body. Fails if the account that created a
/// needed resource is unknown or is not used by the target, or if the needed resources belong to different
/// accounts.
pub(crate) fn key_constraint(target: &Target, body: &[u8]) -> Result<KeyConstraint, Error> {
    if !needs_affinity(target) {
        return Ok(KeyConstraint::Any);
    }
    let refs = resource_refs(body);
    let fingerprints = |needed: bool| -> Vec<u64> {
        let refs = refs.iter().filter(|reference| reference.required == needed);
        refs.map(|reference| fingerprint(&reference.resource)).collect()
    };
    let (required, preferred) = (fingerprints(true), fingerprints(false));
    let affinity = target.provider.affinity();
    let constraint = target
        .provider
        .admission
        .with_limiter(|limiter| affinity.constraint(&required, &preferred, limiter, target.id));
    constraint.map_err(|error| {
        let first = refs.iter().find(|reference| reference.required);
        let member = first.map_or("", |reference| reference.field);
        let help = match error {
            AffinityError::Unknown { .. } => {
                "send the earlier items in full, or use only the key that created the resource"
            }
            AffinityError::OtherAccount | AffinityError::Conflicting => "send the earlier items in full",
        };
        Error::new(ErrorKind::Unsendable, message(&refs, error))
            .with_param(member)
            .with_help(help)
    })
}

fn message(refs: &[ResourceRef<'_>], error: AffinityError) -> String {
    let required = refs.iter().filter(|reference| reference.required);
    let mut members: Vec<&str> = required.map(|reference| reference.field).collect();
    members.dedup();
    let members = members.join(" and ");
    match error {
        AffinityError::Unknown { accounts } => format!(
            "{members} refers to a resource whose account is unknown; the keys belong to {accounts} accounts"
        ),
        AffinityError::OtherAccount => {
            format!("{members} refers to a resource created with a key that this model does not use")
        }
        AffinityError::Conflicting => {
            format!("{members} refers to resources that belong to different accounts")
        }
    }
}

fn fingerprint(resource: &str) -> u64 {
    let hash = Sha256::digest(resource.as_bytes());
    u64::from_be_bytes(std::array::from_fn(|at| hash[at]))
}
