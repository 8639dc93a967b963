//! Saves the state of a limiter as plain data, and adds saved state to a limiter, usually that of a later
//! process.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::cooldown::CooldownReason;
use super::super::key::KeyId;
use super::super::saved_limits::{SavedCooldown, SavedLimits, SavedScope, SavedState, remaining};
use super::super::target::TargetId;
use super::Limiter;
use crate::time::Timestamp;

impl Limiter {
    /// Returns the state of all limits: what was charged, cooldowns, and learned paces. Left out are the
    /// attempts in flight, of which only the charges remain, and disabled keys.
    pub fn save(&self, now: Timestamp) -> Vec<SavedLimits> {
        let mut saved = Vec::new();
        let mut add = |scope, state| {
            if state != SavedState::default() || matches!(scope, SavedScope::Account(_)) {
                saved.push(SavedLimits { scope, state });
            }
        };
        for id in self.key_ids() {
            let [key, group] = self.key_table.subjects(id);
            let mut state = key.limit_set.save(now);
            let healths = [&key.health, &group.health].into_iter();
            state.cooldowns = healths.filter_map(|health| health.save(now)).collect();
            add(SavedScope::Key(id), state);
        }
        for group in self.key_table.groups.iter().filter(|group| group.is_declared) {
            let scope = SavedScope::Account(group.members.clone());
            add(scope, group.subject.limit_set.save(now));
        }
        for (id, target) in (0..).map(TargetId).zip(&self.targets) {
            let mut state = target.subject.limit_set.save(now);
            state.cooldowns.extend(target.subject.health.save(now));
            add(SavedScope::Target(id), state);
            for key in self.keys_of(id) {
                let Some((set, place)) = self.place_of(id, *key) else {
                    continue;
                };
                let state = SavedState {
                    cooldowns: set.key(place).denial.save(now).into_iter().collect(),
                    learned: set.observed(place, &self.key_table).save(now),
                    ..SavedState::default()
                };
                add(SavedScope::Model(id, *key), state);
            }
        }
        saved
    }

    /// Adds the state that another limiter saved `elapsed` ago. Keys and targets of that limiter are given by
    /// their ids in this one.
    ///
    /// The result admits nothing that either of the two states would not admit. The charges of keys that now
    /// belong to one quota group, but belonged to none, count for the group. The charges of a quota group
    /// count for each key that now belongs to none.
    ///
    /// Invariant: if `elapsed` is at most the time that has passed since the state was saved, the charges
    /// before and afterwards together exceed no limit.
    pub fn load(&mut self, saved: &[SavedLimits], elapsed: Duration, now: Timestamp) {
        let accounts = saved.iter().filter_map(|saved| match &saved.scope {
            SavedScope::Account(keys) => Some(keys),
            _ => None,
        });
        let grouped: BTreeSet<KeyId> = accounts.flatten().copied().collect();
        let end = |cooldown: &SavedCooldown| now + remaining(cooldown.ends_in_ms, elapsed);
        for SavedLimits { scope, state } in saved {
            let seq = self.next_seq();
            match scope {
                SavedScope::Target(id) => {
                    let target = &mut self.targets[id.index()].subject;
                    target.limit_set.load(state, elapsed, seq, now);
                    for cooldown in &state.cooldowns {
                        target.health.cool_down_until(cooldown.reason, end(cooldown));
                    }
                }
                SavedScope::Key(id) => {
                    let [own, group] = self.key_table.subjects_mut(*id);
                    own.limit_set.load(state, elapsed, seq, now);
                    if !grouped.contains(id) {
                        group.limit_set.load(state, elapsed, seq, now);
                    }
                    for cooldown in &state.cooldowns {
                        self.key_table.set_cooldown(*id, cooldown.reason, end(cooldown));
                    }
                }
                SavedScope::Account(keys) => {
                    let mut loaded = BTreeSet::new();
                    for id in keys {
                        let is_declared = self.key_table.group_of(*id).is_declared;
                        let is_new = loaded.insert(self.key_table.keys[id.index()].group);
                        let [own, group] = self.key_table.subjects_mut(*id);
                        if is_new {
                            let counted = if is_declared { group } else { own };
                            counted.limit_set.load(state, elapsed, seq, now);
                        }
                    }
                }
                SavedScope::Model(target, key) => {
                    let Some(set) = &mut self.targets[target.index()].key_set else {
                        continue;
                    };
                    let Some(place) = set.place_of(*key, &self.key_table) else {
                        continue;
                    };
                    for cooldown in &state.cooldowns {
                        let denial = &mut set.key_mut(place).denial;
                        denial.cool_down_until(CooldownReason::Forbidden, end(cooldown));
                    }
                    if let Some(learned) = &state.learned {
                        let observed = set.observed_mut(place, &mut self.key_table);
                        observed.load(learned, elapsed, now);
                    }
                }
            }
        }
        for id in self.key_ids() {
            self.update(id, now);
        }
    }
}
