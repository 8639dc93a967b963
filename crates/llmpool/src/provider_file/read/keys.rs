//! The keys of a model.

use llmpool_core::limits::Limits;
use llmpool_core::limits::key::KeyLimits;
use serde_json::value::RawValue;

use super::super::KeyEntry;
use super::super::json::Kind;
use super::{KEY_FIELDS, Reader, References, joined};
use crate::secrets::{Reference, Secret};

/// What is written where a server asks for no key: nothing that would have to be kept out of a file.
const STANDS_FOR_NONE: [&str; 2] = ["none", "EMPTY"];

impl<'a> Reader<'a> {
    pub(super) fn keys(&mut self, value: &'a RawValue, path: &str) -> Vec<KeyEntry> {
        let Some(values) = self.list(value, path) else {
            return Vec::new();
        };
        if values.is_empty() {
            self.defect(
                value,
                path,
                "there is no key",
                "add one, as in \"${OPENAI_API_KEY}\"",
            );
        }
        let mut keys: Vec<KeyEntry> = Vec::new();
        let mut literal = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some((key, is_literal)) = self.key(value, &path) else {
                continue;
            };
            if is_literal {
                literal.push((index + 1).to_string());
            }
            match keys.iter().position(|earlier| earlier.secret == key.secret) {
                Some(earlier) => {
                    let problem = format!("this key is the same as number {} and counts once", earlier + 1);
                    self.warn(value, &path, &problem, "remove it");
                }
                None => keys.push(key),
            }
        }
        if !literal.is_empty() {
            let problem = match &literal[..] {
                [one] => format!("key {one} stands in the file as it is"),
                several => format!("keys {} stand in the file as they are", several.join(", ")),
            };
            self.warn(
                value,
                path,
                &problem,
                "a reference such as ${NAME} or file:PATH keeps it out",
            );
        }
        keys
    }

    fn key(&mut self, value: &'a RawValue, path: &str) -> Option<(KeyEntry, bool)> {
        let (at, limits, quota_group) = match Kind::of(value) {
            Kind::Object => self.key_object(value, path)?,
            _ => (value, KeyLimits::default(), None),
        };
        let reference = Reference::read(&self.text(at, path)?);
        let secret = self.resolve(&reference, at, path)?;
        if secret.bearer().is_none() {
            self.defect(
                at,
                path,
                "this key holds blanks or signs that no header can carry",
                "copy it again",
            );
            return None;
        }
        Some((
            KeyEntry {
                secret,
                limits,
                quota_group,
            },
            matches!(&reference, Reference::Literal(key) if !STANDS_FOR_NONE.contains(&key.expose())),
        ))
    }

    fn key_object(
        &mut self,
        value: &'a RawValue,
        path: &str,
    ) -> Option<(&'a RawValue, KeyLimits, Option<String>)> {
        let members = self.members(value, path, Some(&KEY_FIELDS))?;
        let get = |name: &str| {
            members
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| *value)
        };
        let weight = get("weight").map(|value| self.whole(value, &joined(path, "weight"), 1, 1000));
        let caps = self.caps(&members, path);
        let group = get("quota_group").filter(|value| Kind::of(value) != Kind::Null);
        let group = group.and_then(|value| self.text(value, &joined(path, "quota_group")));
        let Some(key) = get("key") else {
            self.defect(value, &joined(path, "key"), "this field is missing", "add it");
            return None;
        };
        Some((
            key,
            KeyLimits {
                weight: weight.flatten().unwrap_or(1),
                limits: Limits {
                    rate_limit: None,
                    rpm: caps.rpm,
                    tpm: caps.tpm,
                    rpd: caps.rpd,
                    max_concurrency: caps.max_concurrency,
                },
                ..KeyLimits::default()
            },
            group,
        ))
    }

    pub(super) fn resolve(&mut self, reference: &Reference, at: &RawValue, path: &str) -> Option<Secret> {
        let References { env, stand_in } = self.references;
        let found = reference.resolve(env).or_else(|problem| {
            let stands_in = reference.stand_in().filter(|_| stand_in);
            stands_in.ok_or(problem)
        });
        match found {
            Ok(secret) => Some(secret),
            Err((problem, cure)) => {
                self.defect(at, path, &problem, &cure);
                None
            }
        }
    }
}
