//! What a change of the limiter concerns.

use super::key::KeyId;
use super::target::TargetId;

/// The targets and keys whose wait queues must be served after a change of the limiter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changed {
    /// A target whose own limits or health have changed.
    pub(super) target: Option<TargetId>,
    /// A key that has changed, or whose quota group has.
    pub(super) key: Option<KeyId>,
    /// Whether a second target or key has changed.
    pub(super) others: bool,
}

impl Changed {
    #[inline(always)]
    pub(super) fn add_target(&mut self, target: TargetId) {
        let previous = self.target.replace(target);
        self.others |= previous.is_some_and(|previous| previous != target);
    }

    #[inline(always)]
    pub(super) fn add_key(&mut self, key: KeyId) {
        let previous = self.key.replace(key);
        self.others |= previous.is_some_and(|previous| previous != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_target_or_key_counts_as_others() {
        for added in [[0, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 1]] {
            let (mut targets, mut keys) = (Changed::default(), Changed::default());
            for id in added {
                targets.add_target(TargetId(id));
                keys.add_key(KeyId(id));
            }
            let has_others = added != [0, 0, 0];
            assert_eq!(
                (targets.others, keys.others),
                (has_others, has_others),
                "{added:?}"
            );
            assert_eq!(targets.target, Some(TargetId(added[2])));
            assert_eq!(keys.key, Some(KeyId(added[2])));
        }
    }
}
