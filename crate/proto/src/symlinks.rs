//! Targets of symlinks, as text: which of them lead out of a tree, and how they are made to lead nowhere.

/// The prefix of a munged symlink's target, by which it leads nowhere, as in rsync.
pub const MUNGED: &[u8] = b"/rsyncd-munged/";

/// Whether a symlink leads out of its tree, by its text alone; `above` is how many directories of the tree are above
/// it. A target with `..` anywhere but at its beginning counts as leading out: where it leads depends on the entries on
/// its way.
#[must_use]
pub fn is_unsafe_target(target: &[u8], above: usize) -> bool {
    if matches!(target.first(), None | Some(b'/')) || target.ends_with(b"/..") {
        return true;
    }
    let (mut rest, mut climbs) = (target, 0);
    while let Some(after) = rest.strip_prefix(b"../") {
        climbs += 1;
        let slashes = after.iter().take_while(|&&byte| byte == b'/').count();
        rest = &after[slashes..];
    }
    climbs += usize::from(rest == b"..");
    climbs > above || rest.windows(4).any(|window| window == b"/../")
}

/// The target of a symlink that leads nowhere until [`unmunged`] gives it back.
#[must_use]
pub fn munged(target: &[u8]) -> Vec<u8> {
    [MUNGED, target].concat()
}

/// The target that was munged; none for a target that was not.
#[must_use]
pub fn unmunged(target: &[u8]) -> Option<&[u8]> {
    target.strip_prefix(MUNGED)
}

#[cfg(test)]
mod tests {
    use super::{is_unsafe_target, munged, unmunged};

    #[test]
    fn what_climbs_above_the_top_or_behind_a_name_leads_out() {
        let safe: &[(&str, usize)] =
            &[("a", 0), ("a/b", 0), ("./a", 0), ("..", 1), ("../a", 1), ("..//..//a", 2), ("../", 1), ("a/..b/c", 0)];
        for (target, above) in safe {
            assert!(!is_unsafe_target(target.as_bytes(), *above), "{target} at {above}");
        }
        let led_out: &[(&str, usize)] = &[
            ("", 9),
            ("/a", 9),
            ("..", 0),
            ("../a", 0),
            ("../../a", 1),
            ("../..", 9),
            ("a/..", 9),
            ("a/../b", 9),
            ("./../a", 9),
            (".././../a", 9),
        ];
        for (target, above) in led_out {
            assert!(is_unsafe_target(target.as_bytes(), *above), "{target} at {above}");
        }
    }

    #[test]
    fn a_munged_target_is_given_back() {
        for target in [&b"a"[..], b"/etc", b"/rsyncd-munged/a", b""] {
            assert_eq!(unmunged(&munged(target)), Some(target));
        }
        assert_eq!(unmunged(b"a"), None);
        assert_eq!(unmunged(b"/rsyncd-munged"), None);
    }
}
